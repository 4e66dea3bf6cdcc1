package blackbox

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
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
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"text/template"
	"time"

	"golang.org/x/crypto/argon2"

	"gatehouse/internal/redistest"
)

// The audiences of the fixture, and the client whose id and secret hold everything that an encoding can get wrong.
const (
	apiA, apiB, apiC = "https://api.a.example/", "https://api.b.example/", "urn:c"
	apiN, apiP, apiE = "urn:n", "urn:p", "urn:e"
	oddID            = "a:b%c+d e"
	oddSecret        = `p+q/r=%:&"z`
	phrase           = "a phrase of more than seventy-two bytes, since some hashes look at no more than that: and its end"
)

// The engines that every row passes on.
const (
	embedded = "embedded"
	fleet    = "redis" // two nodes on one Redis
)

// plan says how a deployment differs from the fixture. The zero value of everything but engine is the fixture.
type plan struct {
	engine  string
	nodes   int    // 0: one embedded, two in a fleet
	keyDir  bool   // an embedded node too has its keys in files
	ring    bool   // a fleet shares generated keys, sealed, instead of files
	path    string // after the host in public_url
	tokens  string // more keys of the tokens section, as YAML's flow style has them
	budget  string // the longest that a request may wait for Redis; "" is 2s, for a machine that is busy
	direct  bool   // no proxy is trusted
	clients string // more of clients.yaml
}

// deployment is the nodes of one plan, with the API behind them.
type deployment struct {
	t        testing.TB
	plan     plan
	dir      string
	issuer   string
	nodes    []*node
	redis    *redistest.Server // nil: embedded
	upstream *upstream
	partners *partners

	mu      sync.Mutex
	secrets map[string]string // by client
	planted []string          // what else must never be shown
}

// deploy starts the nodes of a plan and waits until all are ready. They end with the test, and must then have kept every
// secret to themselves.
func deploy(t testing.TB, p plan) *deployment {
	t.Helper()
	if p.nodes == 0 {
		p.nodes = 1
		if p.engine == fleet {
			p.nodes = 2
		}
	}
	d := &deployment{t: t, plan: p, dir: t.TempDir(), secrets: map[string]string{}}
	d.upstream, d.partners = newUpstream(t), newPartners(t)
	if p.engine == fleet {
		d.redis = redistest.Start(t)
	}
	d.writeKeys()
	d.writeClients()
	for range 5 {
		err := d.start()
		if err == nil {
			return d
		}
		if !errors.Is(err, errPortTaken) {
			t.Fatal(err)
		}
		forget(t, d.redis)
	}
	t.Fatal("no free ports")
	return nil
}

// forget takes from a Redis what nodes left there that could not go on: the keys of another public_url do not unseal. nil has nothing.
func forget(t testing.TB, server *redistest.Server) {
	t.Helper()
	if server == nil {
		return
	}
	if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// start writes each node's configuration and runs it.
func (d *deployment) start() error {
	d.nodes = nil
	ports := freePorts(d.t, 2*d.plan.nodes)
	for i := range d.plan.nodes {
		n := &node{t: d.t, config: filepath.Join(d.dir, fmt.Sprintf("node%d.yaml", i)), state: filepath.Join(d.dir, fmt.Sprintf("state%d", i))}
		n.url, n.admin = fmt.Sprintf("http://127.0.0.1:%d", ports[2*i]), fmt.Sprintf("http://127.0.0.1:%d", ports[2*i+1])
		if i == 0 {
			d.issuer = n.url + d.plan.path
		}
		d.nodes = append(d.nodes, n)
		d.write(n.config, d.configText(n))
	}
	for i, n := range d.nodes {
		if err := n.start(); err != nil {
			for _, started := range d.nodes[:i] {
				started.cmd.Process.Kill()
				<-started.exited
			}
			return err
		}
	}
	for _, n := range d.nodes {
		d.t.Cleanup(func() {
			select {
			case <-n.exited: // the row ended it
			default:
				n.sweep(append(slices.Collect(maps.Values(d.secrets)), d.planted...)...)
				n.stop()
			}
		})
	}
	return nil
}

// configText is config.yaml for one node.
func (d *deployment) configText(n *node) string {
	p := d.plan
	tokens := p.tokens
	more := func(key string) {
		if tokens != "" {
			tokens += ", "
		}
		tokens += key
	}
	switch {
	case p.engine == fleet && p.ring:
		more("ring_key_file: ring.key")
	case p.engine == fleet || p.keyDir:
		more("key_dir: keys")
	}
	values := map[string]string{"Listen": n.url[len("http://"):], "PublicURL": d.issuer, "Admin": n.admin[len("http://"):], "State": n.state,
		"Tokens": tokens, "Upstream": d.upstream.URL, "Trusted": "127.0.0.1/32"}
	if p.direct {
		values["Trusted"] = ""
	}
	if d.redis != nil {
		values["Redis"], values["Budget"] = d.redis.Addr(), cmp.Or(p.budget, "2s")
	}
	return d.fill("testdata/config.yaml", nil, values)
}

// clientsData is what the template of clients.yaml sees.
type clientsData struct {
	d       *deployment
	JWKS    string
	Clients string
}

// Argon makes the PHC string of the client's secret.
func (c clientsData) Argon(id string) string {
	const memory, passes = 256, 1 // small, so that tests are quick
	salt := random(16)
	sum := argon2.IDKey([]byte(c.d.secrets[id]), salt, passes, memory, 1, 32)
	raw := base64.RawStdEncoding
	return fmt.Sprintf("%q", fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=1$%s$%s", memory, passes, raw.EncodeToString(salt), raw.EncodeToString(sum)))
}

// writeClients writes clients.yaml and the key sets of those that sign.
func (d *deployment) writeClients() {
	d.secrets[oddID], d.secrets["c-phrase"] = oddSecret, phrase
	digest := func(id string) string {
		if d.secrets[id] == "" {
			d.secrets[id] = newSecret()
		}
		return fmt.Sprintf("%x", sha256.Sum256([]byte(d.secrets[id])))
	}
	more := d.expand(d.plan.clients, digest)
	d.write("clients.yaml", d.fill("testdata/clients.yaml", template.FuncMap{"sha256": digest}, clientsData{d, d.partners.url("c-pkrs"), more}))
	for _, id := range []string{"c-pk", "c-pk2"} {
		d.write(id+".jwks.json", d.partners.set(id))
	}
}

// expand replaces {{sha256 "id"}} in a snippet of clients.yaml.
func (d *deployment) expand(text string, digest func(string) string) string {
	return regexp.MustCompile(`\{\{sha256 "([^"]+)"\}\}`).ReplaceAllStringFunc(text, func(m string) string {
		return digest(m[len(`{{sha256 "`) : len(m)-len(`"}}`)])
	})
}

func (d *deployment) fill(name string, funcs template.FuncMap, data any) string {
	d.t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		d.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := template.Must(template.New(name).Funcs(funcs).Parse(string(text))).Execute(&out, data); err != nil {
		d.t.Fatal(err)
	}
	return out.String()
}

// write replaces a file of the deployment as a whole.
func (d *deployment) write(name, text string) {
	d.t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(d.dir, name)
	}
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) read(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// exampleKey is the public key of RFC 7638 section 3.1, whose thumbprint the RFC gives.
const exampleKey = `{"kty":"RSA","alg":"RS256","kid":"2011-04-29","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}`

// writeKeys writes key_dir and the key that seals a ring.
func (d *deployment) writeKeys() {
	d.t.Helper()
	if d.plan.engine == fleet && d.plan.ring {
		d.write("ring.key", base64.StdEncoding.EncodeToString(random(32))+"\n")
		return
	}
	if d.plan.engine != fleet && !d.plan.keyDir {
		return
	}
	if err := os.Mkdir(filepath.Join(d.dir, "keys"), 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.write("keys/rs256.pem", pemOf(d.t, newRSA(d.t, 2048)))
	d.write("keys/es256.pem", pemOf(d.t, newEC(d.t, elliptic.P256())))
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	d.write("keys/eddsa.pem", pemOf(d.t, edwards))
	d.write("keys/ps256.jwk", rsaJWK(newRSA(d.t, 2048), "PS256"))
	d.write("keys/.hidden", "not a key")
	d.write("keys/example.jwk", exampleKey)
}

func newRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newEC(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func pemOf(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func rsaJWK(k *rsa.PrivateKey, alg string) string {
	k.Precompute()
	return fmt.Sprintf(`{"kty":"RSA","alg":%q,"n":%q,"e":"AQAB","d":%q,"p":%q,"q":%q,"dp":%q,"dq":%q,"qi":%q}`, alg, b64(k.N.Bytes()), b64(k.D.Bytes()),
		b64(k.Primes[0].Bytes()), b64(k.Primes[1].Bytes()), b64(k.Precomputed.Dp.Bytes()), b64(k.Precomputed.Dq.Bytes()), b64(k.Precomputed.Qinv.Bytes()))
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// newSecret makes a client secret by what is written of it: gatecs_, 43 base62 characters, and their CRC-32 in six more.
func newSecret() string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	body := make([]byte, 43)
	for i := range body {
		body[i] = digits[int(random(1)[0])%len(digits)]
	}
	sum := make([]byte, 6)
	for i, crc := 5, crc32.ChecksumIEEE(body); i >= 0; i, crc = i-1, crc/62 {
		sum[i] = digits[crc%62]
	}
	return fmt.Sprintf("gatecs_%s_%s", body, sum)
}

// plant remembers what no node may ever show.
func (d *deployment) plant(text string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.planted = append(d.planted, text)
	return text
}

// upstream is the API behind the gateway: it tells who called, and remembers how often.
type upstream struct {
	*httptest.Server
	mu   sync.Mutex
	seen []http.Header
}

func newUpstream(t testing.TB) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		u.mu.Lock()
		u.seen = append(u.seen, r.Header.Clone())
		u.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"client": r.Header.Get("X-Client-Id"), "scopes": r.Header.Get("X-Token-Scopes")})
	}))
	t.Cleanup(u.Close)
	return u
}

// partners are the clients that sign their requests: their keys, and the server where one of them publishes its own.
type partners struct {
	*httptest.Server
	keys map[string]crypto.Signer

	mu   sync.Mutex
	hits map[string]int // requests by path
}

func newPartners(t testing.TB) *partners {
	p := &partners{hits: map[string]int{}, keys: map[string]crypto.Signer{
		"c-pk": newEC(t, elliptic.P256()), "c-pk2": newEC(t, elliptic.P256()), "c-pkrs": newRSA(t, 2048)}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.hits[r.URL.Path]++
		p.mu.Unlock()
		w.Header().Set("Content-Type", "application/jwk-set+json")
		io.WriteString(w, p.set(filepath.Base(r.URL.Path)))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *partners) url(id string) string { return p.URL + "/keys/" + id }

func (p *partners) asked(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits[path]
}

// set is the public key set of a client.
func (p *partners) set(id string) string {
	switch k := p.keys[id].(type) {
	case *ecdsa.PrivateKey:
		point, err := k.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		return fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":%q,"x":%q,"y":%q}]}`, id, b64(point[1:33]), b64(point[33:]))
	case *rsa.PrivateKey:
		return fmt.Sprintf(`{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":%q,"n":%q,"e":"AQAB"}]}`, id, b64(k.N.Bytes()))
	}
	return `{"keys":[]}`
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// until is a time limit for a loop that should end by itself.
func until(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().Before(end) }
}
