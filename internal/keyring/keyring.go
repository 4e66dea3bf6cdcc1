// Package keyring holds the keys with which Gatehouse signs its tokens and verifies them: generated and rotated, or read
// from the files of tokens.key_dir.
//
// # Generated keys
//
// Of each algorithm in use there is a ring. A key has a slot, its place in the order of succession, and a moment from
// which it signs. Everything else follows from these and the clock (see judge): the key of the highest slot whose moment
// has come is current and signs; those above it are next and published already; those below it are retiring and verify
// until the last token they signed has expired, and then they are gone. A key never changes, but for two things that only
// grow: the longest life of a token that it may have signed, and whether it was withdrawn. So any two copies of a ring can
// be merged, in any order and any number of times.
//
// A node keeps its ring in state.dir and has every key on disk before it uses it. With Redis the fleet shares one ring,
// sealed (see seal): HSETNX decides who makes the key of a slot, the losers take the winner's, and what Redis has lost the
// nodes give it back.
package keyring

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"gatehouse/internal/token"
)

// The states of a key.
const (
	Next      = "next"      // published, and will sign
	Current   = "current"   // signs and verifies
	Retiring  = "retiring"  // has signed, and verifies until what it signed has expired
	Verifying = "verifying" // a file of key_dir that verifies only
)

// The states of a key that nobody sees any more.
const (
	gone    = "gone"    // what it signed has expired
	revoked = "revoked" // withdrawn
)

// Info is what people may know of a key.
type Info struct {
	ID        string // the kid
	Algorithm token.Algorithm
	State     string    // Next, Current, Retiring or Verifying
	Created   time.Time // when it was generated and published; for a file of key_dir, when that was last modified
	Signs     time.Time // from when it signs; zero for files
	Until     time.Time // a Retiring key: when it stops to verify; a Current one: when its successor is due; zero for files
}

// Ring is a set of keys. It is safe for concurrent use, and a read costs one atomic load. Make it with Load or Open.
type Ring struct {
	now      atomic.Pointer[keys]
	handed   atomic.Int64 // until when somebody may use an old JWKS, in milliseconds since 1970
	warnings []string
	spare    map[string]bool // of a ring of files: see CanReplace
	life     *lifecycle      // nil: the keys are files
}

// keys are the keys at one moment. They are never changed.
type keys struct {
	generation uint64
	verify     map[string]*token.PublicKey
	sign       map[token.Algorithm]*token.PrivateKey
	withdrawn  map[string]bool
	retired    map[string]time.Time // by the kid of a key that is gone: until when it verified
	infos      []Info
	jwks       []byte
	change     time.Time // when the next signer takes over, as far as that is known
}

// entry is a key as it is kept.
type entry struct {
	id      string // the kid
	alg     token.Algorithm
	public  *token.PublicKey  // nil: it was withdrawn
	private *token.PrivateKey // nil: it verifies only
	created time.Time
	file    string // its name in key_dir; "" for a generated key

	slot    int64 // from 1
	signs   time.Time
	life    time.Duration // the longest that a token lives which it may have signed
	revoked time.Time     // when it was withdrawn; zero: it was not
}

// standing is an entry with what it is at one moment.
type standing struct {
	entry
	state string
	until time.Time // as in Info
}

// generations counts the sets of keys of this process, so that no two rings ever share a generation: what was verified
// under the ring of an old configuration never counts under that of a new one.
var generations atomic.Uint64

// assemble makes the set of what list holds, in its order. What is gone or revoked has no place in it.
func assemble(list []standing) (*keys, error) {
	k := &keys{verify: map[string]*token.PublicKey{}, sign: map[token.Algorithm]*token.PrivateKey{}, withdrawn: map[string]bool{}, retired: map[string]time.Time{}}
	var public []*token.PublicKey
	for _, s := range list {
		switch s.state {
		case revoked:
			k.withdrawn[s.id] = true
			continue
		case gone:
			k.retired[s.id] = s.until
			continue
		case Current:
			k.sign[s.alg] = s.private
		}
		k.verify[s.id] = s.public
		k.infos = append(k.infos, Info{s.id, s.alg, s.state, s.created, s.signs, s.until})
		public = append(public, s.public)
		k.change = earliest(k.change, s)
	}
	var err error
	k.jwks, err = token.MarshalJWKS(public)
	k.generation = generations.Add(1)
	return k, err
}

// earliest is the earlier of a change and the one that s brings: a next key's first signature, or a current key's
// succession. A zero time is none.
func earliest(change time.Time, s standing) time.Time {
	var own time.Time
	switch s.state {
	case Next:
		own = s.signs
	case Current:
		own = s.until
	}
	if own.IsZero() || !change.IsZero() && change.Before(own) {
		return change
	}
	return own
}

// Signer is the key that signs with alg, or nil where there is none.
func (r *Ring) Signer(alg token.Algorithm) *token.PrivateKey { return r.now.Load().sign[alg] }

// Key is the key that verifies under kid, or nil where there is none.
func (r *Ring) Key(kid string) *token.PublicKey { return r.now.Load().verify[kid] }

// Past tells of a kid that verifies no more: "withdrawn", or "retired" with the time until which it verified; "" for any other,
// and for one that retired before this process began.
func (r *Ring) Past(kid string) (what string, until time.Time) {
	k := r.now.Load()
	if k.withdrawn[kid] {
		return "withdrawn", time.Time{}
	}
	if until, ok := k.retired[kid]; ok {
		return "retired", until
	}
	return "", time.Time{}
}

// Generation grows whenever the set of keys that verify changes. No two rings of a process have the same one.
func (r *Ring) Generation() uint64 { return r.now.Load().generation }

// JWKS is the JWK Set of the keys that verify (RFC 7517), or nil while there is no key to sign with: a node of a fleet
// that has not met its ring yet has nothing to say. The caller must not change it.
func (r *Ring) JWKS() []byte {
	k := r.now.Load()
	if r.life != nil && len(k.sign) == 0 && r.life.shared != nil {
		return nil
	}
	return k.jwks
}

// Keys is what people may know of the keys: generated ones oldest first, files in the order of their names.
func (r *Ring) Keys() []Info { return slices.Clone(r.now.Load().infos) }

// Warnings are what deserves a look but stops nothing, such as a private key that others on the machine can read.
func (r *Ring) Warnings() []string { return slices.Clone(r.warnings) }

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

// byAge orders keys from the oldest to the newest, and those of one moment by their slots and ids.
func byAge(a, b standing) int {
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.slot, b.slot), cmp.Compare(a.id, b.id))
}

func sortByAge(list []standing) { slices.SortFunc(list, byAge) }
