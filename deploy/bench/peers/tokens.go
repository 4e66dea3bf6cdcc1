package main

import (
	"bufio"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	issuer     = "http://127.0.0.1:1" // iss of every token: a name only, nothing listens there
	warmCount  = 256                  // tokens that a warm load uses in turn
	rigClients = 10                   // clients that they are of
	tokenLife  = 20 * time.Hour
	reuseFor   = 12 * time.Hour // how old kept tokens may be
)

// signer makes tokens of one algorithm, as Gatehouse itself makes them (RFC 9068).
type signer struct {
	alg    string // RS256 or ES256
	key    crypto.Signer
	header string // encoded
}

// openSigner reads the key in dir, or makes it, with its public half beside it for those who only verify.
func openSigner(dir, alg string) (*signer, error) {
	private, public := filepath.Join(dir, alg+".pem"), filepath.Join(dir, "..", alg+".pub.pem")
	b, err := os.ReadFile(private)
	if os.IsNotExist(err) {
		b, err = makeKey(alg, private, public)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", private)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", private, err)
	}
	key := parsed.(crypto.Signer)
	header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, thumbprint(key.Public()))
	return &signer{alg, key, base64.RawURLEncoding.EncodeToString([]byte(header))}, nil
}

func makeKey(alg, private, public string) ([]byte, error) {
	var key crypto.Signer
	var err error
	if alg == "RS256" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), 0o600); err != nil {
		return nil, err
	}
	return text, os.WriteFile(private, text, 0o600)
}

// thumbprint is the key's kid (RFC 7638).
func thumbprint(key crypto.PublicKey) string {
	b64 := base64.RawURLEncoding.EncodeToString
	var text string
	switch k := key.(type) {
	case *rsa.PublicKey:
		text = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, b64(big.NewInt(int64(k.E)).Bytes()), b64(k.N.Bytes()))
	case *ecdsa.PublicKey:
		point, _ := k.Bytes() // a key of P-256 that was made or parsed has them: 4, x, y
		text = fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, b64(point[1:33]), b64(point[33:]))
	}
	sum := sha256.Sum256([]byte(text))
	return b64(sum[:])
}

// payload is what a token says, in the order in which Gatehouse says it.
type payload struct {
	Issuer   string `json:"iss"`
	Expires  int64  `json:"exp"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Client   string `json:"client_id"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	Scope    string `json:"scope"`
}

// tokenSet is a file of tokens that a load uses in turn.
type tokenSet struct {
	name     string
	count    int
	audience string
	scope    string
	age      time.Duration             // since they were issued
	clients  int                       // that they are of, in turn; 0 is all
	change   func(token string) string // what is done to each; nil is nothing
}

// token makes the n-th token of a set.
func (s *signer) token(t *tokenSet, n int) (string, error) {
	id := make([]byte, 16)
	rand.Read(id)
	client, issued := fmt.Sprintf("client-%d", n%cmp.Or(t.clients, rigClients)), time.Now().Add(-t.age-time.Minute) // a minute, so that no clock is ahead of another
	body, err := json.Marshal(payload{issuer, issued.Add(tokenLife).Unix(), t.audience, client, client, issued.Unix(), base64.RawURLEncoding.EncodeToString(id), t.scope})
	if err != nil {
		return "", err
	}
	input := s.header + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(input))
	var sig []byte
	switch key := s.key.(type) {
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		var r, t *big.Int
		if r, t, err = ecdsa.Sign(rand.Reader, key, sum[:]); err == nil {
			sig = make([]byte, 64)
			r.FillBytes(sig[:32])
			t.FillBytes(sig[32:])
		}
	}
	token := input + "." + base64.RawURLEncoding.EncodeToString(sig)
	if t.change != nil {
		token = t.change(token)
	}
	return token, err
}

// tokens makes all of a set, on all cores.
func (s *signer) tokens(t *tokenSet) ([]string, error) {
	out, errs := make([]string, t.count), make([]error, runtime.NumCPU())
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < t.count && errs[w] == nil; i += len(errs) {
				out[i], errs[w] = s.token(t, i)
			}
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

// forge spoils the signature of a token and leaves its form as it was.
func forge(token string) string {
	i := strings.LastIndexByte(token, '.') + 20
	swap := byte('A')
	if token[i] == swap {
		swap = 'B'
	}
	return token[:i] + string(swap) + token[i+1:]
}

// tokenFile returns a file of at least n tokens, one a line, that make returns where path is not there, is too old or has too few.
func tokenFile(path string, n int, make func() ([]string, error)) error {
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) < reuseFor {
		if have, err := countLines(path); err == nil && have >= n {
			return nil
		}
	}
	list, err := make()
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Join(list, "\n")+"\n"), 0o600)
}

func countLines(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); n++ {
	}
	return n, nil
}

// newSecret makes a client secret of the form that Gatehouse generates, whose SHA-256 is what it checks.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	body := base62(new(big.Int).SetBytes(b[:]), 43)
	return "gatecs_" + body + "_" + base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), 6)
}

func base62(n *big.Int, width int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out, base, digit := make([]byte, width), big.NewInt(62), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = digits[digit.Int64()]
	}
	return string(out)
}
