package revoke

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// The journal's buckets. Tokens are kept by expiry and id, so that those of one time lie together and the expired ones
// are the first.
var (
	rootBucket   = []byte("revocations")
	tokensBucket = []byte("tokens") // expiry, id → nothing
	rulesBucket  = []byte("rules")  // ruleKey.String → T, expiry
	queueBucket  = []byte("queue")  // Entry.marshal → nothing: what Redis has not acknowledged
	// In the root: Unix nanoseconds, offset of the fleet's time in nanoseconds, nodes, and the two parts of a streamID, which
	// earlier versions did not write.
	syncKey = []byte("sync")
)

// loadBatch is how many entries Load hands on at once.
const loadBatch = 4096

// Journal keeps revocations in a bbolt file, so that they outlive the process. What it was given is on the disk when Put
// returns without an error. Safe for concurrent use.
type Journal struct {
	db *bbolt.DB

	mu   sync.Mutex
	owed []record // what could not be written; the next Put writes it too
}

// record is an entry with whether Redis is still to be told of it.
type record struct {
	Entry
	queued bool
}

// OpenJournal returns the journal in db, which the caller closes after the last use.
func OpenJournal(db *bbolt.DB) (*Journal, error) {
	err := db.Update(func(tx *bbolt.Tx) error {
		root, err := tx.CreateBucketIfNotExists(rootBucket)
		if err != nil {
			return err
		}
		for _, name := range [][]byte{tokensBucket, rulesBucket, queueBucket} {
			if _, err := root.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("journal of revocations: %w", err)
	}
	return &Journal{db: db}, nil
}

// Put writes the entries, and with queued also that Redis is to be told of them. On an error nothing of them is on the
// disk yet; they are kept and written with the next Put that succeeds.
func (j *Journal) Put(queued bool, entries ...Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		j.owed = append(j.owed, record{e, queued})
	}
	return j.write()
}

// write writes what is owed; j.mu is held.
func (j *Journal) write() error {
	if len(j.owed) == 0 {
		return nil
	}
	err := j.db.Update(func(tx *bbolt.Tx) error {
		root := tx.Bucket(rootBucket)
		for i := range j.owed {
			if err := put(root, &j.owed[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal of revocations: %w", err)
	}
	j.owed = nil
	return nil
}

func put(root *bbolt.Bucket, r *record) error {
	if r.queued {
		if err := root.Bucket(queueBucket).Put(r.marshal(), nil); err != nil {
			return err
		}
	}
	if r.Kind == Token {
		tokens := root.Bucket(tokensBucket)
		tokens.FillPercent = 0.9 // keys come nearly in order
		return tokens.Put(tokenKey(r.Expires, r.ID[:]), nil)
	}
	rules, key := root.Bucket(rulesBucket), []byte(r.member())
	_, next := r.rule()
	if old, ok := parseTimes(rules.Get(key)); ok {
		if next = next.with(old); next == old {
			return nil
		}
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(next.notBefore))
	return rules.Put(key, binary.BigEndian.AppendUint64(value, uint64(next.expires)))
}

func tokenKey(expires int64, id []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 24), uint64(expires)), id...)
}

func parseTimes(b []byte) (rule, bool) {
	if len(b) != 16 {
		return rule{}, false
	}
	return rule{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))}, true
}

// Load gives add every entry that has not expired by now, in Unix seconds, a few thousand at a time, and returns those of
// which Redis is still to be told. Add must not keep the slice.
func (j *Journal) Load(now int64, add func(...Entry)) (queue []Entry, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		root := tx.Bucket(rootBucket)
		if err := loadTokens(root.Bucket(tokensBucket), now, add); err != nil {
			return err
		}
		if err := loadRules(root.Bucket(rulesBucket), now, add); err != nil {
			return err
		}
		return root.Bucket(queueBucket).ForEach(func(k, _ []byte) error {
			e, ok := unmarshal(k)
			if !ok {
				return errDamaged
			}
			if e.Expires > now {
				queue = append(queue, e)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("journal of revocations: %w", err)
	}
	return queue, nil
}

// errDamaged stops the start: a node that skipped what it cannot read would let revoked tokens pass.
var errDamaged = errors.New("an entry that is not one of ours: the file is damaged or of a newer version")

func loadTokens(b *bbolt.Bucket, now int64, add func(...Entry)) error {
	batch := make([]Entry, 0, loadBatch)
	c := b.Cursor()
	for k, _ := c.Seek(tokenKey(now+1, nil)); k != nil; k, _ = c.Next() {
		if len(k) != 24 {
			return errDamaged
		}
		e := Entry{Kind: Token, ID: [16]byte(k[8:])}
		if !e.timed(0, int64(binary.BigEndian.Uint64(k))) {
			return errDamaged
		}
		if batch = append(batch, e); len(batch) == loadBatch {
			add(batch...)
			batch = batch[:0]
		}
	}
	add(batch...)
	return nil
}

func loadRules(b *bbolt.Bucket, now int64, add func(...Entry)) error {
	var all []Entry
	err := b.ForEach(func(k, v []byte) error {
		e, ok := fromMember(false, string(k))
		times, timesOK := parseTimes(v)
		if !ok || !timesOK || !e.timed(times.notBefore, times.expires) {
			return errDamaged
		}
		if e.Expires > now {
			all = append(all, e)
		}
		return nil
	})
	add(all...)
	return err
}

// Unqueue forgets that Redis was to be told of the entries.
func (j *Journal) Unqueue(entries []Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.db.Update(func(tx *bbolt.Tx) error {
		queue := tx.Bucket(rootBucket).Bucket(queueBucket)
		for i := range entries {
			if err := queue.Delete(entries[i].marshal()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal of revocations: %w", err)
	}
	return nil
}

// synced is when a node last knew all that the fleet knew, how far the fleet's time was ahead of its own then, how many nodes the
// fleet had, and up to which entry of the log all is in the journal; zero: nobody knows.
type synced struct {
	at      time.Time
	offset  time.Duration
	nodes   int64
	applied streamID
}

// owes reports whether something is yet to be written.
func (j *Journal) owes() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.owed) > 0
}

// putSync persists s.
func (j *Journal) putSync(s synced) error {
	b := binary.BigEndian.AppendUint64(nil, uint64(s.at.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, uint64(s.offset))
	b = binary.BigEndian.AppendUint64(b, uint64(s.nodes))
	b = binary.BigEndian.AppendUint64(b, s.applied.ms)
	b = binary.BigEndian.AppendUint64(b, s.applied.seq)
	err := j.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(rootBucket).Put(syncKey, b) })
	if err != nil {
		return fmt.Errorf("journal of revocations: %w", err)
	}
	return nil
}

// lastSync returns what putSync last persisted; ok is false where nothing was.
func (j *Journal) lastSync() (s synced, ok bool, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(rootBucket).Get(syncKey)
		if len(b) != 24 && len(b) != 40 {
			return nil
		}
		ok = true
		s.at = time.Unix(0, int64(binary.BigEndian.Uint64(b)))
		s.offset = time.Duration(binary.BigEndian.Uint64(b[8:]))
		s.nodes = int64(binary.BigEndian.Uint64(b[16:]))
		if len(b) == 40 {
			s.applied = streamID{binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[32:])}
		}
		return nil
	})
	return s, ok, err
}
