package hook

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"gatehouse/internal/token"
)

// denials are what a hook may deny with.
var denials = []string{"invalid_scope", "invalid_request", "access_denied"}

// maxDescription is in bytes.
const maxDescription = 512

// readAnswer reads {"scopes": […], "claims": {…}}, both of which may be absent, or {"deny": {"error": …, "description": …}}. Scopes may
// hold what was offered and nothing else.
func readAnswer(text []byte, offered []string) (Answer, error) {
	members, err := object("answer", text, "scopes", "claims", "deny")
	if err != nil {
		return Answer{}, err
	}
	if deny, ok := members["deny"]; ok {
		if len(members) > 1 {
			return Answer{}, errors.New("deny stands beside scopes or claims")
		}
		return readDenial(deny)
	}
	a := Answer{Scopes: token.NewScopes(offered...)}
	if scopes, ok := members["scopes"]; ok {
		if a.Scopes, err = readScopes(scopes, offered); err != nil {
			return Answer{}, err
		}
	}
	if claims, ok := members["claims"]; ok {
		if a.Claims, err = readClaims(claims); err != nil {
			return Answer{}, err
		}
	}
	return a, nil
}

func readScopes(text []byte, offered []string) (token.Scopes, error) {
	var list []*string // null is no scope
	if err := json.Unmarshal(text, &list); err != nil || list == nil || slices.Contains(list, nil) {
		return token.Scopes{}, errors.New("scopes is not a list of texts")
	}
	var scopes []string
	for _, s := range list {
		if !slices.Contains(offered, *s) {
			return token.Scopes{}, errors.New("scopes holds one that was not offered")
		}
		scopes = append(scopes, *s)
	}
	return token.NewScopes(scopes...), nil
}

func readClaims(text []byte) (claims []token.Claim, err error) {
	members, err := object("claims", text)
	if err != nil {
		return nil, err
	}
	for name, value := range members {
		claims = append(claims, token.Claim{Name: name, Value: value})
	}
	slices.SortFunc(claims, func(a, b token.Claim) int { return cmp.Compare(a.Name, b.Name) })
	return claims, nil
}

func readDenial(text []byte) (Answer, error) {
	members, err := object("deny", text, "error", "description")
	if err != nil {
		return Answer{}, err
	}
	var d Denial
	if json.Unmarshal(members["error"], &d.Error) != nil || !slices.Contains(denials, d.Error) {
		return Answer{}, fmt.Errorf("deny.error is not one of %v", denials)
	}
	if said, ok := members["description"]; ok && (json.Unmarshal(said, &d.Description) != nil || !describes(d.Description)) {
		return Answer{}, fmt.Errorf("deny.description is not 1 to %d bytes of printable ASCII without quotes and backslashes", maxDescription)
	}
	return Answer{Deny: &d}, nil
}

// describes reports whether s may be an error_description (RFC 6749 section 5.2).
func describes(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= maxDescription
}

// object reads one JSON object, in which no name stands twice, and where names are given only those. Errors call it what.
func object(what string, text []byte, names ...string) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New(what + " is not a JSON object")
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, errors.New(what + " is not well-formed JSON")
		}
		name := t.(string) // the decoder takes nothing else here
		if _, twice := members[name]; twice || len(names) > 0 && !slices.Contains(names, name) {
			return nil, errors.New(what + " has a member that is not known, or one twice")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errors.New(what + " is not well-formed JSON")
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New(what + " is not well-formed JSON")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the " + what)
	}
	return members, nil
}
