package tokenep

import (
	"time"

	"gatehouse/internal/token"
)

const (
	assertionLife = 5 * time.Minute  // an assertion's exp may be so far ahead
	assertionSkew = 10 * time.Second // and clocks may differ by so much (FAPI 2.0 §5.3.2.1)
)

// readAssertion checks the claims, and says which is wrong and what was wanted; "" where none is.
func readAssertion(c token.Claims, client, issuer string, now time.Time) (*use, string) {
	iss, _ := c.Text("iss")
	sub, _ := c.Text("sub")
	if iss != client || sub != client {
		return nil, "iss and sub are not both the client's id"
	}
	if aud, _ := c.Texts("aud"); len(aud) != 1 || aud[0] != issuer {
		return nil, "aud is not the issuer as its only value" // not the URL of an endpoint: it could be used elsewhere
	}
	exp, flaw := readTimes(c, now)
	if flaw != "" {
		return nil, flaw
	}
	id, _ := c.Text("jti")
	if id == "" {
		return nil, "jti is missing"
	}
	return &use{id, time.Unix(exp, 0).Add(assertionSkew)}, ""
}

// readTimes checks exp, nbf and iat: whole seconds, of which only exp is required.
func readTimes(c token.Claims, now time.Time) (exp int64, flaw string) {
	exp, _, ok := c.Int("exp")
	latest := now.Add(assertionSkew).Unix()
	switch {
	case !ok:
		return 0, "exp is not a time"
	case exp <= now.Unix():
		return 0, "exp is past"
	case exp > now.Add(assertionLife+assertionSkew).Unix():
		return 0, "exp is more than 5 minutes ahead"
	}
	for _, name := range []string{"nbf", "iat"} {
		if v, present, ok := c.Int(name); present && (!ok || v > latest) {
			return 0, name + " is ahead, or not a time"
		}
	}
	return exp, ""
}
