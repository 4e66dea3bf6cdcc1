package token

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Issue is what an access token of ours will say. Times are in seconds since 1970.
type Issue struct {
	Issuer   string // iss: public_url exactly as configured
	Client   string // client_id and sub, or azp and the sub of the dialect
	Audience string // aud, one string
	ID       string // jti, as NewID makes them
	Scopes   Scopes // scope; the claim is absent where empty
	IssuedAt int64  // iat
	Expires  int64  // exp, after IssuedAt
	Dialect  Dialect
	Claims   []Claim // of the API's own; nil for none
}

// payload is the JSON form of an Issue. The order is that of RFC 9068 section 2.2.
type payload struct {
	Issuer   string `json:"iss"`
	Expires  int64  `json:"exp"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Client   string `json:"client_id,omitempty"`
	Party    string `json:"azp,omitempty"`
	Grant    string `json:"gty,omitempty"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	Scope    string `json:"scope,omitempty"`
}

// Issue signs an access token: by RFC 9068, with sub = client_id = Client; or as Auth0 does, with sub = Client@clients,
// azp = Client and gty = client-credentials. Everything but the scopes and the claims is required; what is missing is an error.
// Claims that CheckClaims refuses are its error, and so is a token of more than 8 KiB, which no gate looks at.
func (k *PrivateKey) Issue(i Issue) (string, error) {
	if i.Issuer == "" || i.Client == "" || i.Audience == "" || i.ID == "" {
		return "", fmt.Errorf("a token wants an issuer, a client, an audience and an id: got %q, %q, %q, %q",
			i.Issuer, i.Client, i.Audience, i.ID)
	}
	if i.IssuedAt <= 0 || i.Expires <= i.IssuedAt {
		return "", fmt.Errorf("a token wants to expire after it is issued: got iat %d, exp %d", i.IssuedAt, i.Expires)
	}
	p := payload{Issuer: i.Issuer, Expires: i.Expires, Audience: i.Audience, IssuedAt: i.IssuedAt, ID: i.ID, Scope: i.Scopes.String()}
	switch i.Dialect {
	case RFC9068:
		p.Subject, p.Client = i.Client, i.Client
	case Auth0:
		p.Subject, p.Party, p.Grant = i.Client+"@clients", i.Client, "client-credentials"
	default:
		return "", fmt.Errorf("dialect %q: want rfc9068 or auth0", i.Dialect)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	if len(i.Claims) > 0 {
		if body, err = withClaims(body, i.Claims); err != nil {
			return "", err
		}
	}
	return k.sign(k.headers[i.Dialect], body)
}

// sign makes the compact form of header, which is encoded already, and the claims in body.
func (k *PrivateKey) sign(header string, body []byte) (string, error) {
	out := make([]byte, 0, len(header)+base64.RawURLEncoding.EncodedLen(len(body)+maxRSA/8)+2)
	out = append(out, header...)
	out = base64.RawURLEncoding.AppendEncode(out, body)
	sig, err := k.signer.Sign(out, k.raw)
	if err != nil {
		return "", fmt.Errorf("signature by %s: %w", k.public.id, err)
	}
	out = append(out, '.')
	out = base64.RawURLEncoding.AppendEncode(out, sig)
	if len(out) > maxToken {
		return "", fmt.Errorf("with its scopes and claims the token has %d bytes, and no more than %d are looked at", len(out), maxToken)
	}
	return string(out), nil
}
