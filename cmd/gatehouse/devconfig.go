package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/secret"
)

const demoAPI = `apis:
  demo:
    audience: %s/demo
    upstream: %s
    scopes:
      demo:read: Read the greeting
      demo:write: Send something to be echoed
    routes:
      - match: GET /demo/hello
        scopes: [demo:read]
      - match: POST /demo/echo
        scopes: [demo:write]
`

const upstreamAPI = `apis:
  app:
    audience: %s/
    upstream: %q
    scopes:
      app:access: Call the API
    routes:
      - match: /{path...}
        scopes: [app:access]
`

// writeConfig writes the files of a run without -c, so that dev takes the same way through the loader as every other
// run. The demo client lacks demo:write on purpose: a refusal is there to be seen. stop ends the demo API.
func (d *dev) writeConfig() (stop func(), err error) {
	stop = func() {}
	url := "http://" + d.public.Addr().String()
	api, grant := fmt.Sprintf(upstreamAPI, url, d.upstream), "{app: [app:access]}"
	if d.upstream == "" {
		var address string
		if address, stop, err = serveDemo(); err != nil {
			return nil, err
		}
		api, grant = fmt.Sprintf(demoAPI, url, address), "{demo: [demo:read]}"
	}
	tokens, err := d.keyConfig()
	if err != nil {
		return nil, err
	}
	admin := fmt.Sprintf("admin:\n  listen: %s\n", d.admin.Addr())
	insecure := ""
	if d.anywhere {
		insecure = "  insecure_http: true\n"
		admin += "  token_file: admin.token\n"
		if err := os.WriteFile(filepath.Join(d.dir, "admin.token"), []byte(secret.New()), 0o600); err != nil {
			return nil, err
		}
	}
	text := fmt.Sprintf("version: 1\nserver:\n  listen: %s\n  public_url: %s\n%s%sstate:\n  dir: state\n%sclients_file: clients.yaml\n%s",
		d.public.Addr(), url, insecure, admin, tokens, api)
	sum := secret.Sum(d.secret)
	clients := fmt.Sprintf("version: 1\nclients:\n  %q:\n    grants: %s\n    secrets:\n      - sha256: %s\n", d.clientID, grant, hex.EncodeToString(sum[:]))
	if err := os.WriteFile(filepath.Join(d.dir, "config.yaml"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	return stop, os.WriteFile(filepath.Join(d.dir, "clients.yaml"), []byte(clients), 0o600)
}

// keyConfig puts the key of --key-file where key_dir finds it, under the algorithm that its kind signs with.
func (d *dev) keyConfig() (string, error) {
	if d.keyFile == "" {
		return "", nil
	}
	data, err := os.ReadFile(d.keyFile)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return "", fmt.Errorf("--key-file %s: no PEM block", d.keyFile)
	}
	algorithm := ""
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	switch key.(type) {
	case *ecdsa.PrivateKey:
		algorithm = "ES256"
	case *rsa.PrivateKey:
		algorithm = "RS256"
	case ed25519.PrivateKey:
		algorithm = "EdDSA"
	default:
		return "", fmt.Errorf("--key-file %s: want a private key in PKCS #8 (openssl genpkey makes one): %w", d.keyFile, err)
	}
	if err := os.Mkdir(filepath.Join(d.dir, "keys"), 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "keys", "key.pem"), data, 0o600); err != nil {
		return "", err
	}
	return fmt.Sprintf("tokens:\n  key_dir: keys\n  algorithm: %s\n", algorithm), nil
}

func scopeNames(api config.API) []string {
	names := slices.Sorted(maps.Keys(api.Scopes))
	return slices.DeleteFunc(names, func(s string) bool { return strings.TrimSpace(s) == "" })
}
