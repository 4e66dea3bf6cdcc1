// Package keyring holds the keys with which Gatehouse signs its tokens and verifies them: generated on first start and
// kept in state.dir, or read from the files of tokens.key_dir. A key is known for verifying before it signs.
package keyring

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/token"

	"go.etcd.io/bbolt"
)

// The states of a key.
const (
	Current   = "current"   // signs and verifies
	Verifying = "verifying" // verifies only
)

// Info is what people may know of a key.
type Info struct {
	ID        string // the kid
	Algorithm token.Algorithm
	State     string    // Current or Verifying
	Created   time.Time // when it was generated; for a file of key_dir, when that was last modified
}

// Ring is a set of keys. It is safe for concurrent use, and a read costs one atomic load. Make it with Load or Open.
type Ring struct {
	db       *bbolt.DB // nil: the keys are files
	mu       sync.Mutex
	now      atomic.Pointer[keys]
	warnings []string
}

// keys are the keys at one moment. They are never changed.
type keys struct {
	generation uint64
	verify     map[string]*token.PublicKey
	sign       map[token.Algorithm]*token.PrivateKey
	infos      []Info
	jwks       []byte
}

// entry is a key as it is kept.
type entry struct {
	public  *token.PublicKey
	private *token.PrivateKey // nil: it verifies only
	created time.Time
	file    string // its name in key_dir; "" for a generated key
}

// generations counts the sets of keys of this process, so that no two rings ever share a generation: what was verified
// under the ring of an old configuration never counts under that of a new one.
var generations atomic.Uint64

// assemble makes the set of entries, of which signers sign. The entries' order is that of the key set.
func assemble(entries []entry, signers map[token.Algorithm]*token.PrivateKey) (*keys, error) {
	k := &keys{verify: map[string]*token.PublicKey{}, sign: signers}
	public := make([]*token.PublicKey, 0, len(entries))
	for _, e := range entries {
		state := Verifying
		if s := signers[e.public.Algorithm()]; s != nil && s.Public().ID() == e.public.ID() {
			state = Current
		}
		k.verify[e.public.ID()] = e.public
		k.infos = append(k.infos, Info{e.public.ID(), e.public.Algorithm(), state, e.created})
		public = append(public, e.public)
	}
	var err error
	k.jwks, err = token.MarshalJWKS(public)
	k.generation = generations.Add(1)
	return k, err
}

// Signer is the key that signs with alg, or nil where there is none.
func (r *Ring) Signer(alg token.Algorithm) *token.PrivateKey { return r.now.Load().sign[alg] }

// Key is the key that verifies under kid, or nil where there is none.
func (r *Ring) Key(kid string) *token.PublicKey { return r.now.Load().verify[kid] }

// Generation grows whenever the set of keys that verify changes. No two rings of a process have the same one.
func (r *Ring) Generation() uint64 { return r.now.Load().generation }

// JWKS is the JWK Set of the keys that verify (RFC 7517). The caller must not change it.
func (r *Ring) JWKS() []byte { return r.now.Load().jwks }

// Keys is what people may know of the keys: generated ones oldest first, files in the order of their names.
func (r *Ring) Keys() []Info { return slices.Clone(r.now.Load().infos) }

// Warnings are what deserves a look but stops nothing, such as a private key that others on the machine can read.
func (r *Ring) Warnings() []string { return slices.Clone(r.warnings) }

// Ensure sees to it that every algorithm of need has a key that signs. A ring of generated keys makes what it lacks, and
// has it on disk before it is used; a ring of files cannot, and says which algorithms lack a signer. On error the ring
// stays as it was.
func (r *Ring) Ensure(need []token.Algorithm) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	lacking := lacks(need, r.now.Load().sign)
	if len(lacking) == 0 {
		return nil
	}
	if r.db == nil {
		return noSigner(lacking)
	}
	return r.generate(lacking)
}

// lacks is what need names without having a signer, each once, sorted.
func lacks(need []token.Algorithm, signers map[token.Algorithm]*token.PrivateKey) []token.Algorithm {
	var out []token.Algorithm
	for _, alg := range need {
		if signers[alg] == nil {
			out = append(out, alg)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func noSigner(algs []token.Algorithm) error {
	return fmt.Errorf("no private key for %v, which an API uses", algs)
}

// byAge orders entries from the oldest to the newest, and those of one moment by their ids.
func byAge(a, b entry) int {
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.public.ID(), b.public.ID()))
}
