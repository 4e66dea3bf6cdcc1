// Package revoke ends tokens before they expire.
//
// What is revoked stands in three places. The Set in memory answers every request, without locks and without allocation.
// The Journal, a bbolt file, is written and fsynced before a revocation is answered, so that it outlives the process. With
// Redis, the Feed shares revocations with the fleet: Redis holds the truth that all nodes share and a stream that carries
// what is new, and each node keeps its own journal, so that nothing is lost when Redis comes back empty. Without Redis
// there is no feed and nothing else changes. Store joins the three.
//
// A revocation only ever adds: of two entries for one token the later expiry counts, of two rules for one name the later
// T and the later expiry, each by itself. Any two copies can therefore be merged, in any order and any number of times.
package revoke

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Skew is how long an entry is kept beyond the time at which the last token that it names expires, because clocks differ.
const Skew = 60 * time.Second

// Kind says what an Entry revokes. The zero value is no kind.
type Kind uint8

// The kinds. Token revokes one token; the others are rules, which revoke what was issued before their T: a client's
// tokens, those signed by one key, and all of an issuer's.
const (
	Token Kind = iota + 1
	Client
	Key
	All
)

// String is the kind as a metric label.
func (k Kind) String() string {
	switch k {
	case Token:
		return "token"
	case Client:
		return "client"
	case Key:
		return "key"
	case All:
		return "all"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Entry is one revocation. The zero value is none and is refused.
type Entry struct {
	Kind Kind
	// ID names the token of a Token entry, as TokenID computes it.
	ID [16]byte
	// Issuer is the name of the issuer whose tokens a rule ends, "local" for our own. A Token entry has it within its ID.
	Issuer string
	// Name is the client of a Client rule and the key id of a Key rule.
	Name string
	// NotBefore is the T of a rule in Unix seconds: tokens with iat < T are refused. Store.Revoke sets it.
	NotBefore int64
	// Expires is when the entry may be forgotten, in Unix seconds. A caller of Store.Revoke sets it to the exp of the
	// token and leaves it 0 for rules; Store.Revoke adds Skew.
	Expires int64
	// Reason is for people. It goes to the log and is kept nowhere.
	Reason string
}

// maxText bounds issuer and name, which are stored and sent as they are.
const maxText = 1024

// check reports what makes e no revocation.
func (e *Entry) check() error {
	switch e.Kind {
	case Token:
		if e.ID == ([16]byte{}) {
			return errors.New("revocation of a token needs the token's id")
		}
		if e.Expires <= 0 || e.Expires > math.MaxUint32-int64(Skew/time.Second) {
			return fmt.Errorf("revocation of a token needs the token's expiry in Unix seconds, got %d", e.Expires)
		}
		return nil
	case Client, Key:
		if e.Name == "" {
			return fmt.Errorf("revocation by %s needs its name", e.Kind)
		}
	case All:
		if e.Name != "" {
			return fmt.Errorf("revocation of all tokens of an issuer takes no name, got %q", e.Name)
		}
	default:
		return fmt.Errorf("unknown kind of revocation %d", uint8(e.Kind))
	}
	if e.Issuer == "" {
		return fmt.Errorf("revocation by %s needs the issuer", e.Kind)
	}
	if len(e.Issuer) > maxText || len(e.Name) > maxText {
		return fmt.Errorf("issuer and name of a revocation have at most %d bytes, got %d and %d", maxText, len(e.Issuer), len(e.Name))
	}
	return nil
}

// TokenID is the name of a token in a revocation: the first 16 bytes of the SHA-256 over issuer and jti, each after its
// length, so that no two pairs run together. It does not allocate for names of usual length.
func TokenID(issuer, jti string) [16]byte {
	var buf [512]byte
	b := binary.BigEndian.AppendUint32(buf[:0], uint32(len(issuer)))
	b = append(b, issuer...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(jti)))
	b = append(b, jti...)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

// Target is what a verified token says of itself, to be looked up. Empty members are named by no entry.
type Target struct {
	// Issuer is the name of the token's issuer, "local" for our own.
	Issuer string
	// TokenID is the jti.
	TokenID string
	// Client is the id of the client that the token was issued to.
	Client string
	// Key is the id of the key that signed it.
	Key string
	// IssuedAt is the iat in Unix seconds; 0 means that the token has none, and every rule that names it refuses it.
	IssuedAt int64
}
