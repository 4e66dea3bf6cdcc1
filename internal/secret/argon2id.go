package secret

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What one hash may cost: verifying takes Memory KiB for as long as the passes need, and configurations come from people.
const (
	maxArgonMemory  = 128 << 10 // KiB
	maxArgonTime    = 16
	maxArgonWork    = 512 << 10 // memory times passes, in KiB: about half a second
	maxArgonThreads = 16
)

// Argon2idCost is how expensive a hash is (RFC 9106 section 3.1). The zero value is no cost that a hash has.
type Argon2idCost struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// Argon2id is the hash of a secret that was imported from elsewhere. It is immutable, safe for concurrent use, and prints
// as "[redacted]": unlike the digest of 256 random bits, it can be guessed at.
type Argon2id struct {
	cost Argon2idCost
	salt []byte
	hash []byte
}

var argonText = regexp.MustCompile(`^\$argon2id\$v=19\$m=([0-9]{1,8}),t=([0-9]{1,4}),p=([0-9]{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$`)

// ParseArgon2id reads a PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$hash, both in base64 without padding. The error says
// what was wanted and holds nothing of the salt or the hash.
func ParseArgon2id(s string) (*Argon2id, error) {
	m := argonText.FindStringSubmatch(s)
	if m == nil {
		return nil, errors.New("expected $argon2id$v=19$m=…,t=…,p=…$salt$hash, salt and hash in base64 without padding")
	}
	a := &Argon2id{cost: Argon2idCost{Memory: uint32(decimal(m[1])), Time: uint32(decimal(m[2])), Threads: uint8(min(decimal(m[3]), 255))}}
	if err := a.cost.check(); err != nil {
		return nil, err
	}
	var err error
	if a.salt, err = phcBytes("salt", m[4], 8, 64); err != nil {
		return nil, err
	}
	if a.hash, err = phcBytes("hash", m[5], 16, 64); err != nil {
		return nil, err
	}
	return a, nil
}

func (c Argon2idCost) check() error {
	switch {
	case c.Threads < 1 || c.Threads > maxArgonThreads:
		return fmt.Errorf("p=%d: expected 1 to %d", c.Threads, maxArgonThreads)
	case c.Time < 1 || c.Time > maxArgonTime:
		return fmt.Errorf("t=%d: expected 1 to %d", c.Time, maxArgonTime)
	case c.Memory < 8*uint32(c.Threads) || c.Memory > maxArgonMemory:
		return fmt.Errorf("m=%d: expected %d (8 times p) to %d KiB", c.Memory, 8*int(c.Threads), maxArgonMemory)
	case c.Memory*c.Time > maxArgonWork:
		return fmt.Errorf("m=%d with t=%d: expected a product of at most %d, or one guess would keep a processor for too long", c.Memory, c.Time, maxArgonWork)
	}
	return nil
}

func decimal(digits string) int {
	n, _ := strconv.Atoi(digits) // few enough digits to fit
	return n
}

func phcBytes(name, text string, shortest, longest int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("the %s is not base64 without padding", name)
	}
	if len(b) < shortest || len(b) > longest {
		return nil, fmt.Errorf("the %s has %d bytes, expected %d to %d", name, len(b), shortest, longest)
	}
	return b, nil
}

// DummyArgon2id is a hash of this cost that no secret has: what is compared where a client has none.
func DummyArgon2id(c Argon2idCost) *Argon2id {
	a := &Argon2id{cost: c, salt: make([]byte, 16), hash: make([]byte, 32)}
	rand.Read(a.salt) // never fails
	rand.Read(a.hash)
	return a
}

// HashArgon2id is the PHC string of a secret with a new salt.
func HashArgon2id(secret string, c Argon2idCost) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	a := DummyArgon2id(c)
	a.hash = a.derive(secret)
	b64 := base64.RawStdEncoding.EncodeToString
	var out strings.Builder
	fmt.Fprintf(&out, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Time, c.Threads, b64(a.salt), b64(a.hash))
	return out.String(), nil
}

// Cost is what one Matches takes.
func (a *Argon2id) Cost() Argon2idCost { return a.cost }

// Matches reports whether a is the hash of secret. It takes tens of milliseconds and Cost().Memory KiB, so that callers
// bound how many run at once. The comparison is in constant time.
func (a *Argon2id) Matches(secret string) bool {
	return subtle.ConstantTimeCompare(a.derive(secret), a.hash) == 1
}

func (a *Argon2id) derive(secret string) []byte {
	return argon2.IDKey([]byte(secret), a.salt, a.cost.Time, a.cost.Memory, a.cost.Threads, uint32(len(a.hash)))
}

// String implements fmt.Stringer.
func (*Argon2id) String() string { return redacted }

// Format implements fmt.Formatter, so that no verb shows the hash.
func (*Argon2id) Format(f fmt.State, _ rune) { f.Write([]byte(redacted)) }

// MarshalText implements encoding.TextMarshaler, which JSON uses too.
func (*Argon2id) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (*Argon2id) LogValue() slog.Value { return slog.StringValue(redacted) }
