package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

func init() { caddy.RegisterModule(&bearer{}) }

// bearer lets a request through whose bearer token verifies with the key, is of the issuer, for the audience, and neither
// expired nor too early. It looks at no scope. All fields are required.
type bearer struct {
	Algorithm string `json:"algorithm"`
	KeyFile   string `json:"key_file"` // PEM, a public key
	Issuer    string `json:"issuer"`
	Audience  string `json:"audience"`

	key jwk.Key
}

// CaddyModule implements caddy.Module.
func (*bearer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bench_jwt", New: func() caddy.Module { return new(bearer) }}
}

// Provision implements caddy.Provisioner.
func (b *bearer) Provision(caddy.Context) error {
	if b.Algorithm == "" || b.Issuer == "" || b.Audience == "" {
		return fmt.Errorf("bench_jwt wants an algorithm, an issuer and an audience")
	}
	text, err := os.ReadFile(b.KeyFile)
	if err != nil {
		return err
	}
	b.key, err = jwk.ParseKey(text, jwk.WithPEM(true))
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (b *bearer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return caddyhttp.Error(http.StatusUnauthorized, fmt.Errorf("no bearer token"))
	}
	token, err := jwt.ParseString(raw, jwt.WithKey(jwa.SignatureAlgorithm(b.Algorithm), b.key),
		jwt.WithValidate(true), jwt.WithIssuer(b.Issuer), jwt.WithAudience(b.Audience))
	if err != nil {
		return caddyhttp.Error(http.StatusUnauthorized, err)
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	repl.Set("http.auth.user.id", token.Subject())
	return next.ServeHTTP(w, r)
}
