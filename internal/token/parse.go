package token

import (
	"encoding/base64"
	"strings"
)

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 8 << 10

// Error is why a token was refused by Parse or Verify.
type Error struct {
	Kind ErrorKind
	// Detail is the reason in words, for people. It never holds bytes of the token.
	Detail string
}

// ErrorKind is the class of an Error.
type ErrorKind uint8

// The kinds. The zero value is a refusal like the others.
const (
	Malformed      ErrorKind = iota // not a compact JWS that we would look at
	UnsupportedAlg                  // an alg that we have not, or not the key's
	BadSignature                    // the signature is not the key's over these bytes
)

// Error implements error.
func (e *Error) Error() string { return e.Detail }

func malformed(detail string) *Error { return &Error{Malformed, detail} }

// Token is what somebody sent: well formed, and not to be trusted in anything. Only Verify makes Claims of it.
type Token struct {
	Algorithm string // one of the four algorithms
	KeyID     string // kid; "" where there is none
	Type      string // typ; "" where there is none
	// ExtraHeader says that the header has members besides alg, kid and typ. None of them is ever used.
	ExtraHeader bool

	input     string // what is signed: header and payload as they were sent
	signature []byte
	claims    []member
}

// strict refuses a last character with bits that no byte needs (RFC 4648 section 3.5), so that a token has one spelling.
var strict = base64.RawURLEncoding.Strict()

// Parse splits a compact JWS (RFC 7515 section 7.1) of at most 8 KiB: three parts in unpadded, canonical base64url, the
// first two each one JSON object as scanner takes it. It verifies nothing. The error is an *Error of kind Malformed or
// UnsupportedAlg. Parse never panics, and what it allocates is bounded by a small multiple of the token's length.
func Parse(raw string) (*Token, error) {
	if len(raw) > maxToken {
		return nil, malformed("the token is longer than 8 KiB")
	}
	head, rest, _ := strings.Cut(raw, ".")
	body, sig, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(sig, ".") {
		return nil, malformed("the token is not three parts with a dot between them")
	}
	buf := make([]byte, 0, strict.DecodedLen(len(raw)))
	buf, headOK := decode(buf, head)
	headLen := len(buf)
	buf, bodyOK := decode(buf, body)
	bodyLen := len(buf)
	buf, sigOK := decode(buf, sig)
	if !headOK || !bodyOK || !sigOK {
		return nil, malformed("a part of the token is not canonical base64url")
	}
	t := &Token{input: raw[:len(head)+1+len(body)], signature: buf[bodyLen:]}
	if err := t.read(string(buf[:bodyLen]), headLen); err != nil {
		return nil, err
	}
	return t, nil
}

// decode appends the bytes of part to buf. The decoder of the standard library would skip line breaks; we do not.
func decode(buf []byte, part string) ([]byte, bool) {
	if strings.ContainsAny(part, "\r\n") {
		return buf, false
	}
	buf, err := strict.AppendDecode(buf, []byte(part))
	return buf, err == nil
}

// read takes the header, which is the first headLen bytes of docs, and the claims, which are the rest.
func (t *Token) read(docs string, headLen int) *Error {
	members, err := scanObject(docs[:headLen], make([]member, 0, 16))
	if err != nil {
		return malformed("the header's bytes " + err.Error())
	}
	inHeader := len(members)
	if err := t.header(members); err != nil {
		return err
	}
	if len(t.signature) == 0 {
		return malformed("the token has no signature")
	}
	members, err = scanObject(docs[headLen:], members)
	if err != nil {
		return malformed("the claims' bytes " + err.Error())
	}
	if len(members) > maxMembers {
		return malformed("the token has more than 64 header members and claims")
	}
	t.claims = members[inHeader:]
	return nil
}

// header reads the members that we know, and refuses those that would change what the token means (RFC 7515 section
// 4.1.11, RFC 7797, and what belongs to encryption). Those that name a key, jku, jwk and x5*, are never used.
func (t *Token) header(members []member) *Error {
	for _, m := range members {
		var into *string
		switch m.name {
		case "alg":
			into = &t.Algorithm
		case "kid":
			into = &t.KeyID
		case "typ":
			into = &t.Type
		case "crit", "b64", "zip", "enc":
			return malformed("the header has a member that we do not take: crit, b64, zip or enc")
		default:
			t.ExtraHeader = true
			continue
		}
		if m.kind != text {
			return malformed("the header's alg, kid and typ are not all strings")
		}
		*into = m.value
	}
	if t.Algorithm == "" {
		return malformed("the header has no alg")
	}
	if !Algorithm(t.Algorithm).Known() {
		return &Error{UnsupportedAlg, "the token's alg is not ES256, RS256, PS256 or EdDSA"}
	}
	return nil
}

// UnverifiedIssuer is the iss that the token claims, or "". Nobody vouches for it: it serves only to choose the issuer
// under which to look up the key that must then verify.
func (t *Token) UnverifiedIssuer() string {
	iss, _ := Claims{t.claims}.Text("iss")
	return iss
}
