package tokenep

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// credentials are what a client claims to be and to know. Nothing in them is trusted.
type credentials struct{ id, secret string }

// presented is how a request authenticates: by one method, whose bytes may be read in more than one way.
type presented struct {
	method   string
	readings []credentials
}

// readCredentials finds the credentials of a request, in the Authorization header or in the body. More than one
// mechanism at once is refused (RFC 6749 §2.3).
func readCredentials(h http.Header, f form) (presented, *refusal) {
	id, secret, assertion := f.get("client_id"), f.get("client_secret"), f.get("client_assertion")
	if assertion != "" && secret != "" {
		return presented{}, refuse(invalidRequest, "client_secret and client_assertion exclude each other")
	}
	values := h.Values("Authorization")
	if len(values) > 1 {
		return presented{}, refuse(invalidRequest, "the request has more than one Authorization header")
	}
	if len(values) == 1 {
		return readBasic(values[0], f)
	}
	if id == "" || secret == "" {
		return presented{}, noCredentials()
	}
	return presented{methodPost, []credentials{{id, secret}}}, nil
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
		return presented{}, badClient("the Authorization header holds no usable Basic credentials")
	}
	if id := f.get("client_id"); id != "" {
		readings = slices.DeleteFunc(readings, func(c credentials) bool { return c.id != id })
		if len(readings) == 0 {
			return presented{}, refuse(invalidRequest, "client_id is not that of the Authorization header")
		}
	}
	return presented{methodBasic, readings}, nil
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
	return &refusal{status: http.StatusUnauthorized, word: invalidClient,
		description: "the client must authenticate: by Basic, or with client_id and client_secret in the body"}
}
