package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"gatehouse/internal/token"
)

// SealKeySize is the length of the key under which a fleet seals its ring, in bytes.
const SealKeySize = 32

// sealed stores keys under AES-256-GCM with a random nonce. The additional data binds each record to its place: prefix,
// issuer, kid, algorithm, slot and state. Nobody without the key can read one, move one, or pass a live key off as another.
type sealedCodec struct {
	aead           cipher.AEAD
	prefix, issuer string
}

// envelope is a sealed record. All but the box is public anyway, and is believed only once the box opens.
type envelope struct {
	Algorithm token.Algorithm `json:"alg"`
	Slot      int64           `json:"slot"`
	State     string          `json:"state"` // live or revoked
	Box       []byte          `json:"box"`   // nonce and ciphertext of a record
}

const live = "live"

func newSealedCodec(key []byte, prefix, issuer string) (*sealedCodec, error) {
	if len(key) != SealKeySize {
		return nil, fmt.Errorf("the key that seals the ring has %d bytes: want %d", len(key), SealKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealedCodec{aead, prefix, issuer}, nil
}

func (c *sealedCodec) encode(e entry) ([]byte, error) {
	text, err := plainCodec{}.encode(e)
	if err != nil {
		return nil, err
	}
	env := envelope{Algorithm: e.alg, Slot: e.slot, State: stateOf(e)}
	nonce := make([]byte, c.aead.NonceSize())
	rand.Read(nonce) // never fails: the process aborts where the system has no randomness
	env.Box = c.aead.Seal(nonce, nonce, text, c.place(e.id, env))
	return json.Marshal(env)
}

// stateOf is what of a key's state is kept; the rest follows from the clock.
func stateOf(e entry) string {
	if e.revoked.IsZero() {
		return live
	}
	return revoked
}

func (c *sealedCodec) decode(kid string, value []byte) (entry, error) {
	var env envelope
	if err := json.Unmarshal(value, &env); err != nil || len(env.Box) < c.aead.NonceSize() {
		return entry{}, errors.New("its record is not a sealed one")
	}
	nonce, box := env.Box[:c.aead.NonceSize()], env.Box[c.aead.NonceSize():]
	text, err := c.aead.Open(nil, nonce, box, c.place(kid, env))
	if err != nil {
		return entry{}, errors.New("its record does not unseal")
	}
	e, err := plainCodec{}.decode(kid, text)
	if err != nil {
		return entry{}, err
	}
	if e.alg != env.Algorithm || e.slot != env.Slot || e.slot < 1 || stateOf(e) != env.State {
		return entry{}, errors.New("its record is another key's")
	}
	return e, nil
}

// place is the additional data of a record, each part after its length, so that no two places run together.
func (c *sealedCodec) place(kid string, env envelope) []byte {
	var out []byte
	for _, part := range []string{"gatehouse ring 1", c.prefix, c.issuer, kid, string(env.Algorithm), env.State} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return binary.BigEndian.AppendUint64(out, uint64(env.Slot))
}
