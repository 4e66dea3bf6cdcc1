package tokenep

import (
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/internal/token"
)

// credentials are what a client claims to be and to know. Nothing in them is trusted.
type credentials struct{ id, secret string }

// presented is how a request authenticates: by one method, whose bytes may be read in more than one way.
type presented struct {
	method    string
	readings  []credentials       // of a secret
	assertion *token.Token        // in their place
	id        string              // client_id beside an assertion or a certificate; "" where there is none
	chain     []*x509.Certificate // that the caller showed, its own first; in place of a secret or an assertion
}

// ids are the client ids that were sent, in every way in which they can be read.
func (p presented) ids() []string {
	var ids []string
	add := func(id string) {
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, c := range p.readings {
		add(c.id)
	}
	if p.assertion != nil {
		add(p.assertion.UnverifiedIssuer())
	}
	add(p.id)
	return ids
}

// readCredentials finds the credentials of a request, in the Authorization header or in the body. More than one
// mechanism at once is refused (RFC 6749 §2.3). A certificate counts where there is nothing else, beside a client_id (RFC 8705 §2):
// whoever is asked for one may show it and authenticate otherwise.
func readCredentials(r *http.Request, f form) (presented, *refusal) {
	id, secret, assertion := f.get("client_id"), f.get("client_secret"), f.get("client_assertion")
	if assertion != "" && secret != "" {
		return presented{}, refuse(invalidRequest, "client_secret and client_assertion exclude each other")
	}
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return presented{}, refuse(invalidRequest, "the request has more than one Authorization header")
	}
	if len(values) == 1 {
		return readBasic(values[0], f)
	}
	if assertion != "" {
		return readAssertionForm(f)
	}
	if id != "" && secret == "" && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return presented{method: methodTLS, id: id, chain: r.TLS.PeerCertificates}, nil
	}
	if id == "" || secret == "" {
		return presented{}, noCredentials()
	}
	return presented{method: methodPost, readings: []credentials{{id, secret}}}, nil
}

// readAssertionForm reads the parameters of RFC 7521 §4.2. The client is the one that the assertion names; client_id is
// not needed, and must not name another.
func readAssertionForm(f form) (presented, *refusal) {
	if f.get("client_assertion_type") != assertionType {
		return presented{}, refuse(invalidRequest, "client_assertion_type must be "+assertionType)
	}
	t, err := parseAssertion(f.get("client_assertion"))
	if err != nil {
		return presented{}, badClient(failMalformed, "the assertion is none: "+err.Error())
	}
	return presented{method: methodJWT, assertion: t, id: f.get("client_id")}, nil
}

func readBasic(value string, f form) (presented, *refusal) {
	scheme, encoded, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return presented{}, noCredentials()
	}
	for _, name := range []string{"client_secret", "client_assertion"} {
		if f.get(name) != "" {
			return presented{}, refuse(invalidRequest, name+" and an Authorization header exclude each other")
		}
	}
	readings := parseBasic(encoded)
	if len(readings) == 0 {
		return presented{}, badClient(failMalformed, "the Authorization header holds no usable Basic credentials")
	}
	if id := f.get("client_id"); id != "" {
		readings = slices.DeleteFunc(readings, func(c credentials) bool { return c.id != id })
		if len(readings) == 0 {
			return presented{}, refuse(invalidRequest, "client_id is not that of the Authorization header")
		}
	}
	return presented{method: methodBasic, readings: readings}, nil
}

// parseBasic decodes what follows the scheme (RFC 7617 §2). Id and secret are form-encoded inside (RFC 6749 §2.3.1), but
// many client libraries leave that out: where it makes a difference, what stands there is a reading too.
func parseBasic(encoded string) []credentials {
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil
	}
	id, secret, found := strings.Cut(string(decoded), ":")
	if !found {
		return nil
	}
	plain := credentials{id, secret}
	var readings []credentials
	if c, ok := unescape(plain); ok && c.usable() {
		readings = append(readings, c)
	}
	if plain.usable() && !slices.Contains(readings, plain) {
		readings = append(readings, plain)
	}
	return readings
}

func unescape(c credentials) (credentials, bool) {
	id, err1 := url.QueryUnescape(c.id)
	secret, err2 := url.QueryUnescape(c.secret)
	return credentials{id, secret}, err1 == nil && err2 == nil
}

// usable refuses empty values and control bytes, which no id and no secret has.
func (c credentials) usable() bool {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	return c.id != "" && c.secret != "" && !strings.ContainsFunc(c.id+c.secret, control)
}

func noCredentials() *refusal {
	return &refusal{status: http.StatusUnauthorized, word: invalidClient, failure: failNone,
		description: "the client must authenticate: by Basic, with client_id and client_secret in the body, with client_assertion, or by TLS"}
}
