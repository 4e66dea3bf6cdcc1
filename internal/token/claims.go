package token

import "strconv"

// Claims are the members of a payload whose signature was verified. Names are exact: no case is folded. The zero value has
// none. Text that they return shares the memory of the payload; it is immutable and may be shared between goroutines.
type Claims struct {
	members []member
}

// Verify returns the claims of t if k made its signature with k's own algorithm, which must be the one that the header
// names (RFC 8725 section 3.1). The error is an *Error of kind UnsupportedAlg or BadSignature. A nil key verifies nothing.
func (t *Token) Verify(k *PublicKey) (Claims, error) {
	if k == nil {
		return Claims{}, &Error{BadSignature, "there is no key to verify the signature with"}
	}
	if t.Algorithm != string(k.alg) {
		return Claims{}, &Error{UnsupportedAlg, "the token's alg is " + t.Algorithm + ", its key's is " + string(k.alg)}
	}
	if k.alg == ES256 && len(t.signature) != 64 {
		return Claims{}, &Error{BadSignature, "an ES256 signature is not 64 bytes"}
	}
	if err := k.verifier.Verify([]byte(t.input), t.signature, k.raw); err != nil {
		return Claims{}, &Error{BadSignature, "the signature does not verify"}
	}
	return Claims{t.claims}, nil
}

// Unverified are the claims that the token makes, whoever wrote them. It is for explanations by those who have no keys, and for
// nothing that lets anybody through.
func (t *Token) Unverified() Claims { return Claims{t.claims} }

func (c Claims) find(name string) (member, bool) {
	for _, m := range c.members {
		if m.name == name {
			return m, true
		}
	}
	return member{}, false
}

// Has reports whether there is a claim of this name, of whatever type, null included.
func (c Claims) Has(name string) bool {
	_, ok := c.find(name)
	return ok
}

// Text is the claim's value if it is a string.
func (c Claims) Text(name string) (string, bool) {
	m, _ := c.find(name)
	if m.kind != text {
		return "", false
	}
	return m.value, true
}

// Int is the claim's value if it is a whole number that fits into 64 bits, written without fraction and exponent. present
// tells a claim of another form, for which ok is false, from none at all.
func (c Claims) Int(name string) (v int64, present, ok bool) {
	m, present := c.find(name)
	if m.kind != number {
		return 0, present, false
	}
	v, err := strconv.ParseInt(m.value, 10, 64)
	if err != nil {
		return 0, present, false
	}
	return v, present, true
}

// Texts is the claim's value if it is an array of strings, or a string, which counts as an array of one (RFC 7519 section
// 4.1.3). ok is false for a missing claim and for an array that holds anything else; an empty array is ok.
func (c Claims) Texts(name string) (texts []string, ok bool) {
	m, _ := c.find(name)
	switch m.kind {
	case text:
		return []string{m.value}, true
	case list:
		return elements(m.value)
	}
	return nil, false
}

// elements reads an array that the scanner has passed before.
func elements(array string) (texts []string, ok bool) {
	ok = true
	s := scanner{in: array}
	err := s.array(1, func(k kind, v string) {
		ok = ok && k == text
		texts = append(texts, v)
	})
	if err != nil || !ok {
		return nil, false
	}
	return texts, true
}
