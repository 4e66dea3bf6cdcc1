package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatehouse/internal/token"

	"go.etcd.io/bbolt"
)

// bucket holds the generated keys: kid → record.
var bucket = []byte("keys")

// record is a generated key as it is stored.
type record struct {
	Algorithm token.Algorithm `json:"alg"`
	Created   time.Time       `json:"created"`
	Private   string          `json:"private"` // PEM, PKCS #8
}

// Open reads the generated keys that db holds and makes those that need lacks, so that it returns only once every key
// that will sign is on disk. The newest key of an algorithm signs. The same db gives the same keys, with the same ids,
// after a restart.
func Open(db *bbolt.DB, need []token.Algorithm) (*Ring, error) {
	entries, err := read(db)
	if err != nil {
		return nil, err
	}
	set, err := assemble(entries, newest(entries))
	if err != nil {
		return nil, err
	}
	r := &Ring{db: db}
	r.now.Store(set)
	if err := r.Ensure(need); err != nil {
		return nil, err
	}
	return r, nil
}

// newest is the newest key of each algorithm.
func newest(entries []entry) map[token.Algorithm]*token.PrivateKey {
	signers := map[token.Algorithm]*token.PrivateKey{}
	for _, e := range entries { // oldest first
		signers[e.public.Algorithm()] = e.private
	}
	return signers
}

// generate makes a key for each of algs, stores them, and only then puts them into use. The caller holds r.mu.
func (r *Ring) generate(algs []token.Algorithm) error {
	var made []entry
	for _, alg := range algs {
		key, err := token.Generate(alg)
		if err != nil {
			return err
		}
		made = append(made, entry{public: key.Public(), private: key, created: time.Now().UTC().Truncate(time.Second)})
	}
	if err := write(r.db, made); err != nil {
		return err
	}
	entries, err := read(r.db)
	if err != nil {
		return err
	}
	set, err := assemble(entries, newest(entries))
	if err != nil {
		return err
	}
	r.now.Store(set)
	return nil
}

// write stores entries in one transaction, which bbolt has fsynced when it returns.
func write(db *bbolt.DB, entries []entry) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucket)
		if err != nil {
			return err
		}
		for _, e := range entries {
			private, err := e.private.PEM()
			if err != nil {
				return err
			}
			value, err := json.Marshal(record{e.public.Algorithm(), e.created, string(private)})
			if err != nil {
				return err
			}
			if err := b.Put([]byte(e.public.ID()), value); err != nil {
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

// read returns the stored keys, oldest first.
func read(db *bbolt.DB) ([]entry, error) {
	var entries []entry
	err := db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		if b == nil {
			return nil
		}
		return b.ForEach(func(kid, value []byte) error {
			e, err := decode(string(kid), value)
			if err != nil {
				return fmt.Errorf("key %q: %w", kid, err)
			}
			entries = append(entries, e)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("signing keys in state.dir: %w", err)
	}
	slices.SortFunc(entries, byAge)
	return entries, nil
}

func decode(kid string, value []byte) (entry, error) {
	var rec record
	if err := json.Unmarshal(value, &rec); err != nil {
		return entry{}, errors.New("its record is not JSON") // the decoder's error might quote what it read
	}
	key, err := token.ParsePrivatePEM([]byte(rec.Private), rec.Algorithm)
	if err != nil {
		return entry{}, err
	}
	if key.Public().ID() != kid {
		return entry{}, fmt.Errorf("its record holds the key %q", key.Public().ID())
	}
	return entry{public: key.Public(), private: key, created: rec.Created}, nil
}
