package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"gatehouse/internal/secret"
)

type rawSecret struct {
	sha256    val[[32]byte]
	argon2id  val[*secret.Argon2id]
	notBefore val[time.Time]
	notAfter  val[time.Time]
	created   val[string]
	note      val[string]
}

var secretForm = object(
	is("sha256", aHash, func(s *rawSecret) *val[[32]byte] { return &s.sha256 }).
		says("The SHA-256 of the whole secret, in lower-case hex.").such("9f2c41d0c0b14ee1a5c08be9a9b0e5b6f1e6d2b7a1f6c4cf6b6a9ad51f7a0e31"),
	is("argon2id", aPHC, func(s *rawSecret) *val[*secret.Argon2id] { return &s.argon2id }).
		says("The hash of an imported secret; m at most 131072, m times t at most 524288.").such("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
	is("not_before", aTime, func(s *rawSecret) *val[time.Time] { return &s.notBefore }).
		says("When it begins to be good.").such("2026-11-24T00:00:00Z"),
	is("not_after", aTime, func(s *rawSecret) *val[time.Time] { return &s.notAfter }).
		says("When it ends.").such("2027-11-24T00:00:00Z"),
	is("created", aNote, func(s *rawSecret) *val[string] { return &s.created }).
		says("When it was made, for people; check --audit tells the old ones.").such("2026-11-24"),
	is("note", aNote, func(s *rawSecret) *val[string] { return &s.note }).
		says("A note for people.").such("the first one"),
).oneOf("sha256", "argon2id")

var hashText = regexp.MustCompile(`^[0-9a-f]{64}$`)

// aHash is 64 lower-case hex digits, whatever YAML takes them for.
var aHash = form[[32]byte]{shape{kind: "SHA-256", pattern: hashText.String()}, func(r *reader, n node) (out [32]byte, ok bool) {
	s, _, ok := r.scalar(n, "a SHA-256")
	if !ok {
		return out, false
	}
	if !isHash(s) {
		if strings.HasPrefix(n.Value, "gatecs_") {
			n.hide()
			r.fail(n, "a secret never stands in the file — write its SHA-256: printf %%s \"$SECRET\" | sha256sum")
		} else {
			if strings.Trim(n.Value, "0123456789abcdefABCDEF") != "" {
				n.hide() // it may be the secret itself
			}
			r.fail(n, "expected the SHA-256 of the whole secret in 64 lower-case hex digits, got %s", notHex(s))
		}
		return out, false
	}
	_, err := hex.Decode(out[:], []byte(s))
	return out, err == nil
}}

// isHash is hashText without a regular expression, which would take longer than all else about a client.
func isHash(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}

func notHex(s string) string {
	if len(s) != 64 {
		return plural(len(s), "character")
	}
	if isHash(strings.ToLower(s)) {
		return "upper-case ones — write them in lower case"
	}
	return "others among 64 characters"
}

// aPHC is an argon2id hash. What is none may be the secret itself, and is not repeated.
var aPHC = form[*secret.Argon2id]{shape{kind: "PHC string", pattern: "^\\$argon2"}, func(r *reader, n node) (*secret.Argon2id, bool) {
	s, _, ok := r.scalar(n, "a PHC string")
	if !ok {
		return nil, false
	}
	out, err := secret.ParseArgon2id(s)
	if err != nil {
		n.hide()
		if !strings.HasPrefix(s, "$argon2") {
			err = fmt.Errorf("%w — the secret itself never stands in the file", err)
		}
		r.fail(n, "%v", err)
	}
	return out, err == nil
}}

var aTime = parsed("time", func(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, errors.New("expected a time as in RFC 3339 — such as 2027-01-31T12:00:00Z")
	}
	return t, nil
}).like("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")

func (r *reader) buildSecret(x val[*rawSecret]) ClientSecret {
	raw := x.v
	switch {
	case raw.sha256.present() && raw.argon2id.present():
		r.fail(raw.argon2id.at, "sha256 and argon2id exclude each other — remove one, or make it a secret of its own")
	case !raw.sha256.present() && !raw.argon2id.present():
		r.fail(x.at, "expected the hash of a secret — write sha256, or argon2id for an imported one")
	}
	if raw.notBefore.set && raw.notAfter.set && !raw.notAfter.v.After(raw.notBefore.v) {
		r.fail(raw.notAfter.at, "is not after not_before, so that the secret is never good")
	}
	return ClientSecret{SHA256: raw.sha256.v, Argon2id: raw.argon2id.v, NotBefore: raw.notBefore.v, NotAfter: raw.notAfter.v,
		Created: raw.created.v, Note: raw.note.v}
}
