package revoke

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// dropBatch is how many keys one transaction deletes, so that a revocation never waits long for the writer's place.
const dropBatch = 10000

// Drop deletes what has expired by now, in Unix seconds, and writes what an earlier Put could not.
func (j *Journal) Drop(now int64) error {
	err := j.settle(now)
	for more := true; more && err == nil; {
		more, err = j.dropTokens(now)
	}
	if err == nil {
		err = j.dropRest(now)
	}
	if err != nil {
		return fmt.Errorf("journal of revocations: %w", err)
	}
	return nil
}

// settle writes what is owed and has not expired.
func (j *Journal) settle(now int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var rest []record
	for _, r := range j.owed {
		if r.Expires > now {
			rest = append(rest, r)
		}
	}
	j.owed = rest
	return j.write()
}

// dropTokens deletes one batch and reports whether there may be more.
func (j *Journal) dropTokens(now int64) (more bool, err error) {
	var keys [][]byte
	err = j.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(rootBucket).Bucket(tokensBucket).Cursor()
		for k, _ := c.First(); k != nil && int64(binary.BigEndian.Uint64(k)) <= now && len(keys) < dropBatch; k, _ = c.Next() {
			keys = append(keys, append([]byte(nil), k...))
		}
		return nil
	})
	if err != nil || len(keys) == 0 {
		return false, err
	}
	return len(keys) == dropBatch, j.db.Update(func(tx *bbolt.Tx) error {
		return deleteKeys(tx.Bucket(rootBucket).Bucket(tokensBucket), keys)
	})
}

// dropRest deletes the expired rules and queued entries, which are few.
func (j *Journal) dropRest(now int64) error {
	rules, queue, err := j.expiredRest(now)
	if err != nil || len(rules)+len(queue) == 0 {
		return err
	}
	return j.db.Update(func(tx *bbolt.Tx) error {
		root := tx.Bucket(rootBucket)
		if err := deleteKeys(root.Bucket(queueBucket), queue); err != nil {
			return err
		}
		for _, k := range rules {
			b := root.Bucket(rulesBucket)
			if times, ok := parseTimes(b.Get(k)); ok && times.expires > now {
				continue // a later revocation has renewed it
			}
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
}

func (j *Journal) expiredRest(now int64) (rules, queue [][]byte, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		root := tx.Bucket(rootBucket)
		err := root.Bucket(rulesBucket).ForEach(func(k, v []byte) error {
			if times, ok := parseTimes(v); ok && times.expires <= now {
				rules = append(rules, append([]byte(nil), k...))
			}
			return nil
		})
		if err != nil {
			return err
		}
		return root.Bucket(queueBucket).ForEach(func(k, _ []byte) error {
			if e, ok := unmarshal(k); ok && e.Expires <= now {
				queue = append(queue, append([]byte(nil), k...))
			}
			return nil
		})
	})
	return rules, queue, err
}

func deleteKeys(b *bbolt.Bucket, keys [][]byte) error {
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
