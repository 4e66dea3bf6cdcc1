package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/redistest"
)

// newRingSite is a site whose keys are generated, and in a fleet shared.
func newRingSite(t *testing.T, redis *redistest.Server, rotation string) *site {
	t.Helper()
	s := newSite(t, redis)
	key := make([]byte, 32)
	rand.Read(key)
	s.tokens = "  rotation: " + rotation + "\n"
	if redis != nil {
		s.tokens += "  ring_key_file: ring.key\n"
		s.ringKey = base64.StdEncoding.EncodeToString(key) + "\n"
		s.file("ring.key", s.ringKey)
	}
	s.write()
	return s
}

// post asks a node's admin API, and fails where the status is not the one that is wanted.
func post[Out any](n *node, path string, in any, want int) (out Out) {
	n.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		n.t.Fatal(err)
	}
	res, err := http.Post("http://"+n.AdminAddr().String()+path, "application/json", strings.NewReader(string(body)))
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != want {
		n.t.Fatalf("POST %s %s gave %d %s, want %d", path, body, res.StatusCode, text, want)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		n.t.Fatalf("%s: %v", text, err)
	}
	return out
}

// rotate is post of a rotation. On a machine that is busy Redis may take longer than a call waits; then it is asked again.
func rotate(n *node, q adminapi.RotateRequest) adminapi.Rotation {
	n.t.Helper()
	for range 20 {
		out, err := n.rotateKeys(context.Background(), q)
		if err == nil {
			return out[0]
		}
		n.t.Logf("rotation: %v", err)
	}
	n.t.Fatal("no rotation in 20 attempts")
	return adminapi.Rotation{}
}

// verifier is somebody else's: it knows our tokens by the key set at a URL, which it keeps for as long as the response
// allows and never a moment less, and by nothing of ours.
type verifier struct {
	url  string
	keys map[string]*ecdsa.PublicKey
	good time.Time // until when keys may be kept
}

var errUnknownKid = errors.New("a kid that the key set does not have")

func (v *verifier) verify(raw string) error {
	if !time.Now().Before(v.good) {
		if err := v.fetch(); err != nil {
			return err
		}
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return errors.New("not a JWT")
	}
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return err
	}
	var header struct{ Alg, Kid string }
	if err := json.Unmarshal(head, &header); err != nil {
		return err
	}
	key := v.keys[header.Kid]
	if key == nil {
		return fmt.Errorf("%w: %s", errUnknownKid, header.Kid)
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(sig) != 64 || header.Alg != "ES256" {
		return errors.New("not an ES256 signature")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return errors.New("the signature does not verify")
	}
	return nil
}

func (v *verifier) fetch() error {
	res, err := http.Get(v.url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var set struct{ Keys []struct{ Kid, X, Y string } }
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil || res.StatusCode != 200 {
		return fmt.Errorf("the key set: %d, %v", res.StatusCode, err)
	}
	age, err := strconv.Atoi(strings.TrimPrefix(res.Header.Get("Cache-Control"), "public, max-age="))
	if err != nil {
		return err
	}
	v.keys = map[string]*ecdsa.PublicKey{}
	for _, k := range set.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if errX != nil || errY != nil {
			return errors.New("a key without coordinates")
		}
		if v.keys[k.Kid], err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); err != nil {
			return err
		}
	}
	v.good = time.Now().Add(time.Duration(age) * time.Second)
	return nil
}

// Twenty rotations under load on two gateways with one Redis: each token is good on both, from the moment it is issued until
// the end, and a verifier of somebody else's that keeps each key set for its max-age never meets a kid that it lacks.
func TestRotationsRefuseNobody(t *testing.T) {
	t.Parallel()
	s := newRingSite(t, redistest.Start(t), "{every: 720h, publish_before: 2s}")
	a, b := s.start(), s.second()
	nodes := []*node{a, b}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var issued, calls, checked atomic.Int64
	fresh := make(chan string, 64)
	load := func(work func()) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					work()
				}
			}
		})
	}
	call := func(n *node, raw string) {
		if r, err := n.try("GET", "/orders/1", raw); err != nil || r.status != 200 {
			t.Errorf("a good token was refused: %v %d %s", err, r.status, r.body)
		}
		calls.Add(1)
	}
	for i := range 4 {
		from, to := nodes[i%2], nodes[(i+1)%2]
		kept := []string{}
		cc := clientcredentials.Config{ClientID: "reader", ClientSecret: s.secrets["reader"], TokenURL: "http://" + from.Addr().String() + "/oauth/token"}
		load(func() {
			tok, err := cc.Token(context.Background())
			if err != nil {
				t.Errorf("no token: %v", err)
				return
			}
			issued.Add(1)
			call(to, tok.AccessToken)
			call(from, tok.AccessToken)
			if len(kept) < 50 {
				kept = append(kept, tok.AccessToken)
			}
			call(to, kept[int(issued.Load())%len(kept)])
			select {
			case fresh <- tok.AccessToken:
			default:
			}
			time.Sleep(10 * time.Millisecond) // load, not a flood: others test on this machine too
		})
	}
	v := &verifier{url: "http://" + b.Addr().String() + "/.well-known/jwks.json"}
	load(func() {
		select {
		case raw := <-fresh:
			if err := v.verify(raw); err != nil {
				t.Errorf("another verifier: %v", err)
			}
			checked.Add(1)
		case <-stop:
		}
	})
	signed := map[string]bool{}
	for i := range 20 {
		n := nodes[i%2]
		r := rotate(n, adminapi.RotateRequest{PublishBefore: "1s"})
		if r.Signs.Sub(r.Published) < 2*time.Second {
			t.Errorf("a key signs %s after it was published", r.Signs.Sub(r.Published))
		}
		signed[r.New] = true
		for _, n := range nodes {
			eventually(t, 20*time.Second, "the new key signs", func() bool {
				for _, k := range n.listKeys() {
					if k.ID == r.New {
						return k.State == "current"
					}
				}
				return false
			})
		}
	}
	close(stop)
	wg.Wait()
	if len(signed) != 20 || issued.Load() < 100 || checked.Load() < 100 {
		t.Errorf("%d keys signed, %d tokens, %d checked elsewhere", len(signed), issued.Load(), checked.Load())
	}
	t.Logf("%d tokens, %d calls, %d checked elsewhere", issued.Load(), calls.Load(), checked.Load())
}

// The emergency: within a second no node takes what the withdrawn key signed, and what the new one signs is good at once.
func TestEmergency(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newRingSite(t, redis, "{every: 720h, publish_before: 15m}")
		a := s.start()
		nodes := []*node{a}
		if redis != nil {
			nodes = append(nodes, s.second())
		}
		old := s.token(a, "reader")
		for _, n := range nodes {
			eventually(t, 5*time.Second, "the token is good", func() bool { return n.call("GET", "/orders/1", old).status == 200 })
		}
		r := rotate(a, adminapi.RotateRequest{Algorithm: "ES256", Revoke: true, Reason: "a test"})
		done := time.Now()
		fresh := s.token(a, "reader")
		for _, n := range nodes {
			if got := n.call("GET", "/orders/1", fresh); got.status != 200 {
				t.Errorf("the new key's token gave %d %s", got.status, got.body)
			}
			eventually(t, time.Second, "the old key's token is refused", func() bool { return n.call("GET", "/orders/1", old).status == 401 })
			if _, jwks := n.get("/.well-known/jwks.json"); strings.Contains(jwks, r.Old) || !strings.Contains(jwks, r.New) {
				t.Errorf("the key set: %s", jwks)
			}
		}
		t.Logf("refused everywhere %s after the answer", time.Since(done))
		if err := a.stop(); err != nil {
			t.Error(err)
		}
		s.relisten()
		a = s.start()
		if got := a.call("GET", "/orders/1", old); got.status != 401 {
			t.Errorf("after a restart: %d", got.status)
		}
		if got := a.call("GET", "/orders/1", fresh); got.status != 200 {
			t.Errorf("after a restart the new key's token gave %d %s", got.status, got.body)
		}
		if strings.Contains(a.log.String(), "PRIVATE") || s.ringKey != "" && strings.Contains(a.log.String(), strings.TrimSpace(s.ringKey)) {
			t.Error("a key is in the log")
		}
	})
}

// A node of a fleet that has neither a ring nor Redis runs, is not ready, and says 503 until it has both.
func TestNoRingYet(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	redis.Stop()
	s := newRingSite(t, redis, "{every: 720h, publish_before: 15m}")
	n := s.startNotReady()
	if status, _ := n.get("/.well-known/jwks.json"); status != 503 {
		t.Errorf("key set: %d", status)
	}
	cc := clientcredentials.Config{ClientID: "reader", ClientSecret: s.secrets["reader"], TokenURL: s.url() + "/oauth/token"}
	if _, err := cc.Token(context.Background()); err == nil || !strings.Contains(err.Error(), "temporarily_unavailable") {
		t.Errorf("token: %v", err)
	}
	if got := n.call("GET", "/orders/1", "eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ."+base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+s.url()+`"}`))+".AAAA"); got.status != 503 {
		t.Errorf("a token of a key that nobody knows yet: %d %s", got.status, got.body)
	}
	if got := n.call("GET", "/open/x", ""); got.status != 200 {
		t.Errorf("public route: %d", got.status)
	}
	redis.Restart(false)
	eventually(t, 15*time.Second, "readiness", func() bool { return n.adminGet("/-/ready") == 200 })
	if got := n.call("GET", "/orders/1", s.token(n, "reader")); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// With key_dir, no rotation; and a file is withdrawn only where another can sign.
func TestWithdrawFile(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	n := s.start()
	if e := post[adminapi.Error](n, "/api/v1/keys/rotate", nil, 409); !strings.Contains(e.Error, "key_dir") {
		t.Errorf("rotate: %s", e.Error)
	}
	revokeIt := adminapi.RotateRequest{Revoke: true}
	if e := post[adminapi.Error](n, "/api/v1/keys/rotate", revokeIt, 409); !strings.Contains(e.Error, "no other key") {
		t.Errorf("revoke: %s", e.Error)
	}
	first := s.token(n, "reader")
	next := filepath.Join(s.dir, "keys", "0.pem") // before a.pem, which goes on to sign
	if err := os.WriteFile(next, newKeyPEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Reload("api"); err != nil {
		t.Fatal(err)
	}
	out := post[[]adminapi.Rotation](n, "/api/v1/keys/rotate", revokeIt, 200)
	if len(out) != 1 || out[0].Old != s.key.Public().ID() || out[0].Note == "" {
		t.Errorf("%+v", out)
	}
	for range 2 {
		if got := n.call("GET", "/orders/1", first); got.status != 401 {
			t.Errorf("the withdrawn key's token gave %d", got.status)
		}
		if got := n.call("GET", "/orders/1", s.token(n, "reader")); got.status != 200 {
			t.Errorf("a new token gave %d %s", got.status, got.body)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		s.relisten()
		n = s.start()
	}
}

func TestAdminRevocations(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newRingSite(t, redis, "{every: 720h, publish_before: 15m}")
		n := s.start()
		kid := func() string { return n.listKeys()[0].ID }
		refused := func(what, raw string) {
			t.Helper()
			if got := n.call("GET", "/orders/1", raw); got.status != 401 || got.reason() != "revoked" {
				t.Errorf("%s: %d %s", what, got.status, got.reason())
			}
			if got := n.call("GET", "/orders/1", s.token(n, "reader")); got.status != 200 {
				t.Errorf("%s: a new token gave %d %s", what, got.status, got.body)
			}
		}
		for _, q := range []func(raw string) adminapi.RevokeRequest{
			func(raw string) adminapi.RevokeRequest { return adminapi.RevokeRequest{Token: raw, Reason: "a test"} },
			func(raw string) adminapi.RevokeRequest {
				return adminapi.RevokeRequest{JTI: jti(t, raw), Expires: adminapi.Time{Time: time.Now().Add(time.Hour)}}
			},
			func(string) adminapi.RevokeRequest { return adminapi.RevokeRequest{Client: "reader"} },
			func(string) adminapi.RevokeRequest { return adminapi.RevokeRequest{KID: kid()} },
			func(string) adminapi.RevokeRequest { return adminapi.RevokeRequest{All: true, Issuer: s.url()} },
		} {
			raw := s.token(n, "reader")
			q := q(raw)
			out := post[adminapi.Revoked](n, "/api/v1/revocations", q, 200)
			if !out.Local || out.Applied != 1 || out.Live != 1 || redis == nil && out.Shared {
				t.Errorf("%+v: %+v", q, out)
			}
			refused(fmt.Sprintf("%+v", out), raw)
		}
		for _, tt := range []struct {
			body string
			want int
			says string
		}{
			{`{`, 400, "not JSON"},
			{`{"all":true} {}`, 400, "more than one"},
			{`[]`, 422, "not a JSON object"},
			{`{"clint":"reader"}`, 422, `unknown field \"clint\"`},
			{`{"client":7}`, 422, "client: expected a string"},
			{`{}`, 422, "exactly one"},
			{``, 422, "exactly one"},
			{`{"all":true,"client":"reader"}`, 422, "exactly one"},
			{`{"client":"raeder"}`, 422, "no \\\"raeder\\\""},
			{`{"jti":"x"}`, 422, "needs expires"},
			{`{"jti":"x","expires":"soon"}`, 422, "RFC 3339"},
			{`{"jti":"x","expires":1}`, 200, `"kind":"token"`},
			{`{"all":true,"expires":1}`, 422, "jti alone"},
			{`{"kid":"x"}`, 422, "no key"},
			{`{"all":true,"issuer":"https://other.example"}`, 422, "issuer"},
			{`{"token":"c4n4ry.c4n4ry.c4n4ry"}`, 422, "refused already"},
			{strings.Repeat(" ", 70<<10), 413, "larger than"},
		} {
			res, err := http.Post("http://"+n.AdminAddr().String()+"/api/v1/revocations", "application/json", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != tt.want || !strings.Contains(string(text), tt.says) || strings.Contains(string(text), "c4n4ry") {
				t.Errorf("%.60s gave %d %s, want %d with %q", tt.body, res.StatusCode, text, tt.want, tt.says)
			}
		}
		for _, q := range []adminapi.RotateRequest{{Algorithm: "RS256"}, {PublishBefore: "soon"}, {PublishBefore: "1h", Revoke: true}} {
			post[adminapi.Error](n, "/api/v1/keys/rotate", q, 422)
		}
		post[[]adminapi.Rotation](n, "/api/v1/keys/rotate", adminapi.RotateRequest{}, 200)
		n.stop()
		var acts []string
		for _, l := range s.trail() {
			if l["kind"] != "admin" || l["action"] == "start" {
				continue
			}
			about := ""
			for _, name := range []string{"client", "jti", "kid"} {
				if l[name] != nil {
					about += " " + name
				}
			}
			acts = append(acts, fmt.Sprint(l["outcome"], " ", l["action"], " ", l["detail"], about))
		}
		want := "ok revoke token jti, ok revoke token jti, ok revoke client client, ok revoke key kid, ok revoke all, ok revoke token jti, ok rotate keys ES256 kid"
		if got := strings.Join(acts, ", "); got != want {
			t.Errorf("the trail says %s\nwant %s", got, want)
		}
	})
}

// What key metrics say.
func TestKeyMetrics(t *testing.T) {
	t.Parallel()
	s := newRingSite(t, nil, "{every: 720h, publish_before: 1s}")
	n := s.start()
	r := rotate(n, adminapi.RotateRequest{})
	eventually(t, 10*time.Second, "the rotation is counted", func() bool {
		_, text := n.adminBody("GET", "/metrics")
		return strings.Contains(text, "gatehouse_signing_key_rotations_total 1") &&
			strings.Contains(text, fmt.Sprintf(`gatehouse_signing_key_state{alg="ES256",kid=%q,state="retiring"} 1`, r.Old)) &&
			strings.Contains(text, fmt.Sprintf(`gatehouse_signing_key_expiry_timestamp_seconds{kid=%q}`, r.Old)) &&
			strings.Contains(text, "gatehouse_signing_key_unsealable 0")
	})
}

// jti is a token's id.
func jti(t *testing.T, raw string) string {
	t.Helper()
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Jti string }
	if err := json.Unmarshal(body, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Jti
}

// Keys that take turns by the clock refuse nobody either, here or elsewhere.
func TestScheduleRefusesNobody(t *testing.T) {
	t.Parallel()
	s := newRingSite(t, nil, "{every: 3s, publish_before: 2s}")
	n := s.start()
	v := &verifier{url: s.url() + "/.well-known/jwks.json"}
	kids, tokens := map[string]bool{}, []string{}
	eventually(t, 40*time.Second, "four keys have signed", func() bool {
		raw := s.token(n, "reader")
		tokens = append(tokens, raw)
		for _, raw := range []string{raw, tokens[0], tokens[len(tokens)/2]} {
			if got := n.call("GET", "/orders/1", raw); got.status != 200 {
				t.Errorf("a good token gave %d %s", got.status, got.body)
			}
		}
		if err := v.verify(raw); err != nil {
			t.Errorf("another verifier: %v", err)
		}
		kids[strings.Split(raw, ".")[0]] = true
		time.Sleep(10 * time.Millisecond)
		return len(kids) == 4
	})
}
