package replay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

var bucket = []byte("assertions") // until when, key → nothing: the expired ones are the first

const (
	maxBatch   = 1024 // claims in one transaction
	maxWaiting = 8192
	maxDropped = 4096 // expired ones that one transaction removes
)

// journal keeps claims in a bbolt file. A claim is on the disk before it is answered; those that come while one is written
// share the next transaction, so that many at once cost no more than one after the other.
type journal struct {
	db  *bbolt.DB
	now func() time.Time

	mu      sync.Mutex
	waiting []*waiter
	writing bool
}

type waiter struct {
	name [24]byte
	done chan error // of one, so that the writer never waits
}

// openJournal puts what has not expired into seen.
func openJournal(db *bbolt.DB, now func() time.Time, seen map[key]int64) (*journal, error) {
	if db == nil {
		return nil, errors.New("without Redis, the journal of assertions needs a database")
	}
	err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucket)
		if err != nil {
			return err
		}
		c := b.Cursor()
		for k, _ := c.Seek(nameOf(key{}, now().Unix())); k != nil; k, _ = c.Next() {
			if len(k) != 24 {
				return errors.New("an entry that is not one of ours: the file is damaged or of a newer version")
			}
			seen[key(k[8:])] = int64(binary.BigEndian.Uint64(k))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("journal of assertions: %w", err)
	}
	return &journal{db: db, now: now}, nil
}

func nameOf(k key, until int64) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 24), uint64(until)), k[:]...)
}

// claim writes k. Who was first was settled in memory: no other process has the file.
func (j *journal) claim(ctx context.Context, k key, until time.Time) (bool, error) {
	w := &waiter{name: [24]byte(nameOf(k, ceil(until))), done: make(chan error, 1)}
	j.mu.Lock()
	if len(j.waiting) >= maxWaiting {
		j.mu.Unlock()
		return false, errors.New("journal of assertions: too many wait to be written")
	}
	j.waiting = append(j.waiting, w)
	if !j.writing {
		j.writing = true
		go j.write()
	}
	j.mu.Unlock()
	err := <-w.done // the disk decides how long; a caller that goes away has still used its assertion
	return err == nil, err
}

// write writes until nobody waits.
func (j *journal) write() {
	for batch := j.next(); len(batch) > 0; batch = j.next() {
		err := j.put(batch)
		for _, w := range batch {
			w.done <- err
		}
	}
}

func (j *journal) next() []*waiter {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.waiting), maxBatch)
	batch := j.waiting[:n:n]
	j.waiting = j.waiting[n:]
	j.writing = n > 0
	return batch
}

// put adds the batch and removes what has expired.
func (j *journal) put(batch []*waiter) error {
	err := j.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		for _, w := range batch {
			if err := b.Put(w.name[:], nil); err != nil {
				return err
			}
		}
		now, c := uint64(j.now().Unix()), b.Cursor()
		for dropped := 0; dropped < maxDropped; dropped++ {
			k, _ := c.First()
			if k == nil || binary.BigEndian.Uint64(k) >= now {
				return nil
			}
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal of assertions: %w", err)
	}
	return nil
}
