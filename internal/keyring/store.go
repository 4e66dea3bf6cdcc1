package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/token"

	"go.etcd.io/bbolt"
)

// The buckets of state.dir, each kid → what codec makes of its key.
var (
	plainBucket  = []byte("keys") // of a node on its own
	sealedBucket = []byte("ring") // of a node in a fleet: sealed as in Redis
	// withdrawnBucket holds the ids of keys of key_dir that were withdrawn.
	withdrawnBucket = []byte("withdrawn keys")
)

// codec turns a key into what is stored, and back. Its errors never quote what was read.
type codec interface {
	encode(e entry) ([]byte, error)
	decode(kid string, value []byte) (entry, error)
}

// record is a generated key as it is stored. Those of the first version hold no slot: see settle.
type record struct {
	Algorithm token.Algorithm `json:"alg"`
	Created   time.Time       `json:"created"`
	Private   string          `json:"private,omitempty"` // PEM, PKCS #8; "" where the key was withdrawn
	Slot      int64           `json:"slot,omitempty"`
	Signs     time.Time       `json:"signs,omitzero"`
	Life      int64           `json:"life,omitempty"` // seconds
	Revoked   time.Time       `json:"revoked,omitzero"`
}

// maxSlot keeps a slot's number, and the next one, far from overflow.
const maxSlot = 1 << 53

// plain stores keys as they are, in a file that only our user can read.
type plainCodec struct{}

func (plainCodec) encode(e entry) ([]byte, error) {
	rec := record{e.alg, e.created, "", e.slot, e.signs, int64(e.life / time.Second), e.revoked}
	if e.private != nil {
		pem, err := e.private.PEM()
		if err != nil {
			return nil, err
		}
		rec.Private = string(pem)
	}
	return json.Marshal(rec)
}

func (plainCodec) decode(kid string, value []byte) (entry, error) {
	var rec record
	if err := json.Unmarshal(value, &rec); err != nil {
		return entry{}, errors.New("its record is not JSON") // the decoder's error might quote what it read
	}
	e := entry{id: kid, alg: rec.Algorithm, created: rec.Created, slot: rec.Slot, signs: rec.Signs,
		life: time.Duration(rec.Life) * time.Second, revoked: rec.Revoked}
	if rec.Slot < 0 || rec.Slot > maxSlot || e.life < 0 || e.life > maxLife {
		return entry{}, errors.New("its record holds a slot or a life out of range")
	}
	if !e.revoked.IsZero() {
		return e, nil
	}
	key, err := token.ParsePrivatePEM([]byte(rec.Private), rec.Algorithm)
	if err != nil {
		return entry{}, err
	}
	if key.Public().ID() != kid {
		return entry{}, fmt.Errorf("its record holds the key %q", key.Public().ID())
	}
	e.public, e.private = key.Public(), key
	return e, nil
}

// store is the keys of a node on its disk.
type store struct {
	db     *bbolt.DB
	bucket []byte
	codec  codec
}

// write stores keys, and forgets those that drop names, in one transaction, which bbolt has fsynced when it returns.
func (s store) write(keys []entry, drop []string) error {
	if len(keys) == 0 && len(drop) == 0 {
		return nil
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(s.bucket)
		if err != nil {
			return err
		}
		for _, e := range keys {
			value, err := s.codec.encode(e)
			if err != nil {
				return err
			}
			if err := b.Put([]byte(e.id), value); err != nil {
				return err
			}
		}
		for _, kid := range drop {
			if err := b.Delete([]byte(kid)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("signing keys in state.dir: %w", err)
	}
	return nil
}

// read returns the stored keys. broken is called for each that cannot be read; its error ends the reading.
func (s store) read(broken func(error) error) (map[string]entry, error) {
	entries := map[string]entry{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(s.bucket)
		if b == nil {
			return nil
		}
		return b.ForEach(func(kid, value []byte) error {
			e, err := s.codec.decode(string(kid), value)
			if err != nil {
				return broken(fmt.Errorf("key %q: %w", kid, err))
			}
			entries[e.id] = e
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("signing keys in state.dir: %w", err)
	}
	settle(entries)
	return entries, nil
}

// settle gives the keys of the first version, which knew no slots, theirs: the newest key of an algorithm signs.
func settle(entries map[string]entry) {
	list := make([]standing, 0, len(entries))
	for _, e := range entries {
		list = append(list, standing{entry: e})
	}
	sortByAge(list)
	for _, s := range list {
		if s.slot == 0 {
			e := s.entry
			e.slot, e.signs, e.life = topSlot(entries, e.alg)+1, e.created, maxLife
			entries[e.id] = e
		}
	}
}

// Withdraw keeps on the disk that a key of key_dir is never to be used again.
func Withdraw(db *bbolt.DB, kid string, now time.Time) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(withdrawnBucket)
		if err != nil {
			return err
		}
		return b.Put([]byte(kid), []byte(now.UTC().Format(time.RFC3339)))
	})
	if err != nil {
		return fmt.Errorf("withdrawn keys in state.dir: %w", err)
	}
	return nil
}

// Withdrawn are the ids that Withdraw was given.
func Withdrawn(db *bbolt.DB) (map[string]bool, error) {
	out := map[string]bool{}
	err := db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(withdrawnBucket)
		if b == nil {
			return nil
		}
		return b.ForEach(func(kid, _ []byte) error { out[string(kid)] = true; return nil })
	})
	if err != nil {
		return nil, fmt.Errorf("withdrawn keys in state.dir: %w", err)
	}
	return out, nil
}
