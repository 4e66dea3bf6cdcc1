package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
)

// Claim is a claim that a token of ours has besides those of Issue.
type Claim struct {
	Name  string          // an absolute URI, so that it can be none of the gateway's
	Value json.RawMessage // one JSON value
}

// TextClaim is a claim whose value is text.
func TextClaim(name, text string) Claim { return Claim{name, encoded(text)} }

// encoded is text as JSON, with nothing escaped that need not be: json.Marshal would make six bytes of each < and &.
func encoded(text string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic(err) // text is always encoded
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// What all claims of a token may take together: the gate looks at no token of more than 8 KiB, and at no more than 64 members.
const (
	maxClaims     = 32
	maxClaimBytes = 4 << 10 // of names and values as JSON
)

// CheckClaims is nil for claims that a token can be issued with. Its error holds neither their names nor their values.
func CheckClaims(claims []Claim) error {
	_, err := withClaims([]byte("{}"), claims)
	return err
}

// withClaims adds claims to a JSON object that has none of their names.
func withClaims(object []byte, claims []Claim) ([]byte, error) {
	if len(claims) > maxClaims {
		return nil, fmt.Errorf("there are more than %d claims", maxClaims)
	}
	var doc []byte
	for _, c := range claims {
		member, err := c.member()
		if err != nil {
			return nil, err
		}
		doc = append(append(doc, ','), member...)
	}
	if len(doc) == 0 {
		return object, nil
	}
	if len(doc) > maxClaimBytes {
		return nil, fmt.Errorf("the claims take more than %d bytes", maxClaimBytes)
	}
	if _, err := scanObject("{"+string(doc[1:])+"}", nil); err != nil {
		return nil, fmt.Errorf("the claims %w", err)
	}
	if len(object) == len("{}") {
		doc = doc[1:]
	}
	return append(append(object[:len(object)-1], doc...), '}'), nil
}

// member is the claim as JSON.
func (c *Claim) member() ([]byte, error) {
	if u, err := url.Parse(c.Name); err != nil || !u.IsAbs() {
		return nil, errors.New("a claim is not named by an absolute URI")
	}
	out := bytes.NewBuffer(append(encoded(c.Name), ':'))
	if err := json.Compact(out, c.Value); err != nil {
		return nil, errors.New("the value of a claim is no JSON")
	}
	return out.Bytes(), nil
}
