package faults

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/adminapi"
)

// token asks a node for a token as a client does. It fails the test where there is none.
func (f *fleet) token(n *node, client int, api string) string {
	f.t.Helper()
	raw, status := n.token(client, api)
	if status != 200 {
		f.t.Fatalf("%s: /oauth/token answered %d", n.name, status)
	}
	return raw
}

func (n *node) token(client int, api string) (raw string, status int) {
	return n.tokenWith(client, n.f.secrets[client], api)
}

func (n *node) tokenWith(client int, secret, api string) (raw string, status int) {
	form := url.Values{"grant_type": {"client_credentials"}, "audience": {"https://api.example.com/" + api}}
	req, err := http.NewRequest("POST", *n.base.Load()+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		n.f.t.Error(err)
		return "", 0
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("c"+strconv.Itoa(client), secret)
	res, err := n.f.http.Do(req)
	if err != nil {
		return "", 0
	}
	defer res.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	json.NewDecoder(res.Body).Decode(&body)
	return body.AccessToken, res.StatusCode
}

// call is one request with a token, and the status and reason of the answer; 0 where there was none.
func (n *node) call(route, bearer string) (status int, reason string) {
	req, err := http.NewRequest("GET", *n.base.Load()+"/"+route+"/1", nil)
	if err != nil {
		n.f.t.Error(err)
		return 0, ""
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	res, err := n.f.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	var problem struct{ Reason string }
	json.Unmarshal(text, &problem)
	return res.StatusCode, problem.Reason
}

// revoke ends a token through a node's admin API.
func (n *node) revoke(raw string) (out adminapi.Revoked, status int) {
	status = n.post("/api/v1/revocations", adminapi.RevokeRequest{Token: raw}, &out)
	return out, status
}

func (n *node) post(path string, in, out any) (status int) {
	body, _ := json.Marshal(in)
	res, err := n.f.http.Post(*n.admin.Load()+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	json.NewDecoder(res.Body).Decode(out)
	return res.StatusCode
}

// revokes has a node revoke a token, and checks what it says became of that, and that it refuses it from then on. Where Redis is
// there, an answer that it missed on a machine that is busy is no failure, as long as asking again helps.
func (f *fleet) revokes(n *node, raw string, shared bool, live int) {
	f.t.Helper()
	got, status := n.revoke(raw)
	for try := 0; try < 10 && status == 200 && shared && (!got.Shared || got.Live != live); try++ {
		f.t.Logf("%s: revoke answered %+v, and is asked again", n.name, got)
		time.Sleep(500 * time.Millisecond)
		got, status = n.revoke(raw)
	}
	f.t.Logf("%s: revoke answered %d %+v", n.name, status, got)
	if status != 200 || !got.Local || got.Shared != shared || got.Live != live || !shared && got.Applied != 1 || got.Applied < 1 {
		f.t.Errorf("%s: revoke answered %d %+v, wanted 200, local, shared %t, of %d nodes", n.name, status, got, shared, live)
	}
	f.refuses(n, raw)
}

// refuses checks that a node knows of a token's end, however old what it knows may be.
func (f *fleet) refuses(n *node, raw string) {
	f.t.Helper()
	if status, reason := n.call("lax", raw); status != 401 || reason != "revoked" {
		f.t.Errorf("%s: a revoked token got %d %q", n.name, status, reason)
	}
}

// passes checks that a node lets a good token pass.
func (f *fleet) passes(n *node, raw string) {
	f.t.Helper()
	if status, reason := n.call("lax", raw); status != 200 {
		f.t.Errorf("%s: a good token got %d %q", n.name, status, reason)
	}
}

// refusedByAll waits until every node refuses a token, and returns how long that took.
func (f *fleet) refusedByAll(raw string, by ...*node) time.Duration {
	f.t.Helper()
	start := time.Now()
	for _, n := range by {
		f.eventually(n.name+" refuses what was revoked", func() bool { status, reason := n.call("lax", raw); return status == 401 && reason == "revoked" })
	}
	return time.Since(start)
}

// stale is the column of revocations at a node that can't hear of them: once max_staleness has passed, deny answers 503 and
// allow goes on; the node stays ready, and what it knows to be revoked is refused all the same.
func (f *fleet) goesStale(n *node, strict, lax, revoked string) {
	f.t.Helper()
	f.eventually(n.name+" is stale", func() bool { return n.staleness() > stale })
	if status, reason := n.call("strict", strict); status != 503 || reason != "state_unavailable" {
		f.t.Errorf("%s: stale, with on_stale deny: %d %q, wanted 503", n.name, status, reason)
	}
	f.passes(n, lax)
	f.refuses(n, revoked)
	if !n.ready() {
		f.t.Errorf("%s: not ready, wanted a node that was ready to stay so", n.name)
	}
}

// issues is the column of tokens: every node issues one, which passes on every other, and all publish the same keys.
func (f *fleet) issues(client int) {
	f.t.Helper()
	keys := f.jwks(f.nodes[0])
	for _, n := range f.nodes {
		raw := f.token(n, client, "lax")
		for _, m := range f.nodes {
			f.passes(m, raw)
		}
		if got := f.jwks(n); !slices.Equal(got, keys) || len(got) == 0 {
			f.t.Errorf("%s publishes the keys %v, %s %v", n.name, got, f.nodes[0].name, keys)
		}
	}
}

// jwks are the ids of the keys that a node publishes, sorted.
func (f *fleet) jwks(n *node) (kids []string) {
	f.t.Helper()
	status, text := f.get(*n.base.Load() + "/.well-known/jwks.json")
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		}
	}
	if err := json.Unmarshal([]byte(text), &set); status != 200 || err != nil {
		f.t.Errorf("%s: the key set is %d %v", n.name, status, err)
	}
	for _, k := range set.Keys {
		kids = append(kids, k.ID)
	}
	slices.Sort(kids)
	return kids
}

// held are tokens that a test takes while all is well: one for each API, and one that is revoked everywhere.
type held struct{ strict, lax, revoked string }

func (f *fleet) hold(client int) held {
	f.t.Helper()
	h := held{f.token(f.nodes[0], client, "strict"), f.token(f.nodes[0], client, "lax"), f.token(f.nodes[0], client, "lax")}
	f.revokes(f.nodes[0], h.revoked, true, len(f.nodes))
	f.refusedByAll(h.revoked, f.nodes...)
	return h
}
