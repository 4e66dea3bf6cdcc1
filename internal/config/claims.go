package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const maxClaimValue = 1024 // bytes, before placeholders

// The placeholders of a claim's value.
const (
	clientID    = "client.id"
	apiName     = "api.name"
	apiAudience = "api.audience"
)

var placeholders = []string{clientID, apiName, apiAudience}

// claimPart is a piece of a claim's value: text as it stands, or a placeholder.
type claimPart struct{ text, placeholder string }

// ownClaims are those that the gateway sets, or that mean something to it or to whoever reads tokens (RFC 7519, 9068, 8705).
var ownClaims = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "client_id", "azp", "gty", "cnf", "act", "may_act", "roles", "groups", "entitlements", "auth_time", "acr", "amr"}

// claimName is a URI with a scheme and something behind it, in printable ASCII.
var claimName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7E]+$`)

var claimsForm = mapOf(parsed("text", readClaim), checkClaimName).named(claimName.String())

func checkClaimName(s string) error {
	if slices.Contains(ownClaims, s) {
		return fmt.Errorf("%q has a meaning of its own in every token — claims of yours are named by an absolute URI, such as https://example.com/%s", s, s)
	}
	if u, err := url.Parse(s); err != nil || !claimName.MatchString(s) || len(s) > 256 || u.Scheme == "" || strings.HasSuffix(s, "://") {
		return fmt.Errorf("%q is not an absolute URI — so that no claim of yours can be taken for another, write one such as https://example.com/team", clipText(s))
	}
	return nil
}

// readClaim splits a value at its placeholders.
func readClaim(s string) (parts []claimPart, err error) {
	switch {
	case s == "":
		return nil, errors.New("the value is empty — write one, or remove the claim")
	case len(s) > maxClaimValue:
		return nil, fmt.Errorf("the value has more than %d bytes", maxClaimValue)
	case strings.Contains(s, "\x00"):
		return nil, errors.New("the value holds a NUL, with which no token is read")
	}
	text := ""
	for s != "" {
		before, rest, open := strings.Cut(s, "{")
		text += before
		if !open {
			break
		}
		if after, twice := strings.CutPrefix(rest, "{"); twice {
			text, s = text+"{", after
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, errors.New("the { is not closed — write {{ for a brace")
		}
		if !slices.Contains(placeholders, name) {
			return nil, unknownPlaceholder(name)
		}
		parts = append(parts, claimPart{text: text}, claimPart{placeholder: name})
		text, s = "", after
	}
	return append(parts, claimPart{text: text}), nil
}

func unknownPlaceholder(name string) error {
	if meant := nearest(name, slices.Values(placeholders)); meant != "" {
		return fmt.Errorf("unknown placeholder {%s} — did you mean {%s}?", clipText(name), meant)
	}
	return fmt.Errorf("unknown placeholder {%s} — the placeholders are {%s}; write {{ for a brace", clipText(name), strings.Join(placeholders, "}, {"))
}

// What the claims of an API may take in a token, with the longest client id that there may be. It is half of what a token takes,
// so that there is room for an id all of whose characters JSON writes in two bytes, and for claims of a hook.
const (
	maxClaims     = 16
	maxClaimBytes = 2 << 10 // of JSON
	maxClientID   = 128
)

// buildClaims fills in what is known of the API.
func (r *reader) buildClaims(raw []entry[[]claimPart], api *API) (claims []Claim) {
	size := 0
	for i, e := range raw {
		c := Claim{Name: e.name, Value: []string{""}}
		for _, p := range e.v {
			last := &c.Value[len(c.Value)-1]
			switch p.placeholder {
			case clientID:
				c.Value = append(c.Value, "")
			case apiName:
				*last += api.Name
			case apiAudience:
				*last += api.Audience
			default:
				*last += p.text
			}
		}
		claims = append(claims, c)
		before := size
		size += jsonSize(c.Name) + jsonSize(strings.Join(c.Value, strings.Repeat("x", maxClientID))) + len(":,")
		if i == maxClaims || before <= maxClaimBytes && size > maxClaimBytes {
			r.fail(e.key, "an API's claims are at most %d, of %d bytes of JSON together — clients send them with every request", maxClaims, maxClaimBytes)
		}
	}
	return claims
}

// jsonSize is how many bytes a text takes in a token.
func jsonSize(s string) int {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // text is always encoded
	}
	return len(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}
