// Package secret knows what a client secret of ours looks like, and keeps secrets out of logs.
//
// A generated secret is "gatecs_", 43 base62 characters (256 bits), "_", and 6 base62 characters of the CRC-32 (IEEE) of
// those 43: easy to find for scanners of leaked secrets, selected by one double click, and checked for typing errors
// without asking a server.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/big"
	"strings"
)

const (
	prefix   = "gatecs_"
	bodyLen  = 43
	sumLen   = 6
	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// New returns a new client secret of 256 random bits.
func New() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: the process aborts where the system has no randomness
	body := base62(new(big.Int).SetBytes(b[:]), bodyLen)
	return prefix + body + "_" + checksum(body)
}

// Whole reports whether s has the form of a generated secret with a correct checksum. It says nothing of whether any
// client has it.
func Whole(s string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok || len(rest) != bodyLen+1+sumLen || rest[bodyLen] != '_' {
		return false
	}
	body, sum := rest[:bodyLen], rest[bodyLen+1:]
	return strings.Trim(body, alphabet) == "" && sum == checksum(body)
}

// Sum is the SHA-256 of the whole secret, as clients.yaml stores it.
func Sum(s string) [32]byte { return sha256.Sum256([]byte(s)) }

func checksum(body string) string {
	return base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), sumLen)
}

// base62 writes n in exactly width digits, with leading zeros.
func base62(n *big.Int, width int) string {
	out := make([]byte, width)
	base, digit := big.NewInt(62), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = alphabet[digit.Int64()]
	}
	return string(out)
}

// Text is a secret that never prints: every way of formatting, logging or encoding it gives "[redacted]", or the address of
// a pointer where fmt does not ask. Reveal it at the one place that needs it. The zero Text means that there is none.
type Text struct {
	// A pointer, since for a verb that suits no struct fmt prints what is inside a pointed-at struct without asking its methods.
	value *string
}

// Hide returns s as a Text; the zero Text for an empty s.
func Hide(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{&s}
}

// Reveal returns the secret; "" where there is none.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Empty reports whether there is none.
func (t Text) Empty() bool { return t.value == nil }

const redacted = "[redacted]"

// String implements fmt.Stringer.
func (Text) String() string { return redacted }

// Format implements fmt.Formatter, so that no verb shows the value.
func (Text) Format(f fmt.State, _ rune) { f.Write([]byte(redacted)) }

// MarshalText implements encoding.TextMarshaler, which JSON uses too.
func (Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML implements yaml.Marshaler.
func (Text) MarshalYAML() (any, error) { return redacted, nil }

// LogValue implements slog.LogValuer.
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }
