package authz

import "strings"

// Failure says why a request or its token gave no Principal. Failures are shared between requests: not to be changed.
type Failure struct {
	Reason Reason
	Detail string // in words, for people; holds no byte of the token
	At     Check  // which one failed: of CheckHeader to CheckClaims, or CheckAudience
	// Said is what the token says of itself where it got that far. Nobody vouches for a word of it.
	Said Said
}

// Said is the part of an unverified token that helps to find out what is wrong with it. It shares the memory of the token:
// who keeps it makes a copy.
type Said struct {
	Algorithm, KeyID, IssuerURL string // alg, kid and iss; "" where there is none, or it was not read
	Issuer                      string // the configured name of the issuer; "" where iss names none
}

var (
	missing  = &Failure{Reason: MissingToken, At: CheckHeader, Detail: "this route needs an access token: send Authorization: Bearer and the token"}
	multiple = &Failure{Reason: MultipleTokens, At: CheckHeader, Detail: "the request has more than one Authorization header"}
	unclear  = &Failure{Reason: MalformedToken, At: CheckHeader, Detail: "wanted Authorization: Bearer, one space and one token"}
)

// Bearer finds the access token in the values of the Authorization header (RFC 6750 §2.1). The scheme is compared
// without regard to case, one space follows, then the token to the end. Another scheme is as good as no token.
func Bearer(values []string) (raw string, f *Failure) {
	if len(values) == 0 {
		return "", missing
	}
	if len(values) > 1 {
		return "", multiple
	}
	scheme, raw, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", missing
	}
	if !b64token(raw) {
		return "", unclear
	}
	return raw, nil
}

// b64token reports whether s is a b64token of RFC 6750 §2.1: it holds no space and no comma, so it is no list either.
func b64token(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) { // a table, since it is done for every request, and tokens are long
		if !isB64token[body[i]] {
			return false
		}
	}
	return body != ""
}

var isB64token = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") {
		set[c] = true
	}
	return set
}()
