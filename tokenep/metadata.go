package tokenep

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/exchange"
	"gatehouse/internal/token"
)

// Where the endpoints are, after the path of the public URL.
const (
	tokenPath      = "/oauth/token"
	revokePath     = "/oauth/revoke"
	introspectPath = "/oauth/introspect"
	jwksPath       = "/.well-known/jwks.json"
)

// metadata is the document of RFC 8414 §2 and of OpenID Connect discovery. It lists what works here and nothing else;
// every URL in it comes from the issuer, never from a request. Certificates are among the methods where clients use them. Scopes are not listed: a stranger need not know them.
func metadata(issuer string, byCertificate []string) []byte {
	base := strings.TrimSuffix(issuer, "/")
	methods := append([]string{methodBasic, methodPost, methodJWT}, byCertificate...)
	algorithms := []token.Algorithm{token.ES256, token.RS256, token.PS256, token.EdDSA} // that a client may sign assertions with
	body, err := json.Marshal(struct {
		Issuer          string            `json:"issuer"`
		Token           string            `json:"token_endpoint"`
		Revocation      string            `json:"revocation_endpoint"`
		Introspection   string            `json:"introspection_endpoint"`
		JWKS            string            `json:"jwks_uri"`
		ResponseTypes   []string          `json:"response_types_supported"` // required, and there is none
		GrantTypes      []string          `json:"grant_types_supported"`    // absent would mean code and implicit
		TokenMethods    []string          `json:"token_endpoint_auth_methods_supported"`
		TokenAlgs       []token.Algorithm `json:"token_endpoint_auth_signing_alg_values_supported"`
		RevokingMethods []string          `json:"revocation_endpoint_auth_methods_supported"`
		RevokingAlgs    []token.Algorithm `json:"revocation_endpoint_auth_signing_alg_values_supported"`
		AskingMethods   []string          `json:"introspection_endpoint_auth_methods_supported"`
		AskingAlgs      []token.Algorithm `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	}{issuer, base + tokenPath, base + revokePath, base + introspectPath, base + jwksPath, []string{}, []string{grantType},
		methods, algorithms, methods, algorithms, methods, algorithms})
	if err != nil {
		panic(err) // only strings are written
	}
	return body
}

// usualAge is how long caches may keep a document that does not say.
const usualAge = 5 * time.Minute

// get serves a public JSON document to GET and HEAD, with an ETag over its content. Caches may keep it for maxAge.
func get(name string, document func() []byte, maxAge func() time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := exchange.FromContext(r.Context())
		rec.Endpoint = name
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			wrongMethod("GET, HEAD").write(w, rec)
			return
		}
		body := document()
		if body == nil {
			unavailable("there are no keys on this node yet").write(w, rec)
			return
		}
		rec.Verdict = exchange.Allow
		age := usualAge
		if maxAge != nil {
			age = maxAge()
		}
		sum := sha256.Sum256(body)
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age="+strconv.FormatInt(int64(age/time.Second), 10))
		h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`)
		// ServeContent answers If-None-Match with 304, and HEAD without a body.
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}
