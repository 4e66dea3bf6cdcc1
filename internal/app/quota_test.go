package app

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/internal/redistest"
)

// client adds a client to clients.yaml, with further keys in YAML.
func (s *site) client(id, keys string) {
	s.t.Helper()
	if s.clients == nil {
		s.clients = map[string]string{}
	}
	s.clients[id] = keys
	s.writeClients()
}

// post sends a form to one of our endpoints as a client, by Basic.
func (s *site) post(n *node, path, client string, form url.Values) answer {
	s.t.Helper()
	req, err := http.NewRequest("POST", "http://"+n.Addr().String()+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, s.secrets[client])
	a, err := send(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

var clientCredentials = url.Values{"grant_type": {"client_credentials"}}

// Ensure that two nodes on one Redis, or one alone, issue exactly what a quota allows, however the requests come.
func TestQuotaIsExact(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		s.client("limited", "grants: {orders: [orders:read]}\n    quota: {tokens: 100, per: 24h}")
		nodes := []*node{s.start()}
		if redis != nil {
			nodes = append(nodes, s.second())
		}
		var ok, over, rest atomic.Int64
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				for j := range 20 {
					switch s.post(nodes[(i+j)%len(nodes)], "/oauth/token", "limited", clientCredentials).status {
					case 200:
						ok.Add(1)
					case 429:
						over.Add(1)
					default:
						rest.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if ok.Load() != 100 || over.Load() != 100 {
			t.Errorf("%d tokens, %d refusals, %d others; want 100 and 100", ok.Load(), over.Load(), rest.Load())
		}
		if _, err := nodes[0].Reload("api"); err != nil {
			t.Fatal(err)
		}
		if a := s.post(nodes[0], "/oauth/token", "limited", clientCredentials); a.status != 429 || a.header.Get("Retry-After") == "" {
			t.Errorf("after a reload: %d %v", a.status, a.header)
		} else if tr := nodes[0].denial(a.header.Get("X-Request-Id")).Trace; len(tr.Why) != 1 || tr.Why[0].Where == "" || len(tr.Fix) != 1 || !strings.Contains(tr.Fix[0], "raise its quota") {
			t.Errorf("the trace says why %v, and what to do %v", tr.Why, tr.Fix)
		}
		_, metrics := nodes[0].adminBody("GET", "/metrics")
		for _, want := range []string{`gatehouse_quota_used_ratio{client="limited",quota="quota"} 1`, `gatehouse_token_requests_total{result="too_many_requests"}`,
			`gatehouse_quota_decisions_total{client="limited",mode="enforce",quota="quota",result="over"}`} {
			if !strings.Contains(metrics, want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
	})
}

// Ensure that a client with a quota gets its tokens while Redis is away, up to this node's share, and no warning of what
// nobody knows.
func TestQuotaWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := newSite(t, redis)
	s.client("limited", "grants: {orders: [orders:read]}\n    quota: {tokens: 4, per: 24h}")
	n := s.start()
	redis.Stop()
	ok := 0
	for range 6 {
		switch a := s.post(n, "/oauth/token", "limited", clientCredentials); a.status {
		case 200:
			ok++
		case 429:
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if ok != 4 {
		t.Errorf("%d tokens, want this node's share, 4 of 4", ok)
	}
	if _, metrics := n.adminBody("GET", "/metrics"); strings.Contains(metrics, "gatehouse_quota_used_ratio{") || strings.Contains(metrics, "gatehouse_quota_reached_total{") {
		t.Error("a share is told as the whole")
	}
}

// Ensure that a quota that is only observed warns at 60, 80 and 100 per cent, in the log and the trail.
func TestQuotaObservedWarns(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.client("watched", "grants: {orders: [orders:read]}\n    quota: {tokens: 10, per: 24h, mode: observe}")
	n := s.start()
	for range 12 {
		if a := s.post(n, "/oauth/token", "watched", clientCredentials); a.status != 200 {
			t.Fatalf("status %d %s", a.status, a.body)
		}
	}
	_, metrics := n.adminBody("GET", "/metrics")
	n.stop()
	for _, percent := range []int{60, 80, 100} {
		if want := fmt.Sprintf(`"msg":"quota","client":"watched","quota":"quota","mode":"observe","percent":%d}`, percent); strings.Count(n.log.String(), want) != 1 {
			t.Errorf("the log has not one %s", want)
		}
		if want := fmt.Sprintf(`gatehouse_quota_reached_total{client="watched",percent="%d",quota="quota"} 1`, percent); !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	warned := 0
	for _, l := range s.trail() {
		if l["warnings"] != nil {
			warned++
		}
	}
	if warned != 5 {
		t.Errorf("%d lines with warnings in the trail, want 5: three levels, two over", warned)
	}
}

// Ensure that introspection tells an API's own client what the gateway knows, and nobody else anything.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		s.client("rs", "introspect: [orders]")
		n := s.start()
		raw := s.token(n, "reader")
		ask := func(caller string) string {
			return s.post(n, "/oauth/introspect", caller, url.Values{"token": {raw}}).body
		}
		if got := ask("rs"); !strings.Contains(got, `"active":true`) || !strings.Contains(got, `"client_id":"reader"`) {
			t.Errorf("a good token: %s", got)
		}
		if got := ask("reader"); got != `{"active":false}` {
			t.Errorf("a caller that may not: %s", got)
		}
		s.revoke(n, "reader", raw)
		if got := ask("rs"); got != `{"active":false}` {
			t.Errorf("a revoked token: %s", got)
		}
		_, metrics := n.adminBody("GET", "/metrics")
		for _, want := range []string{`gatehouse_introspections_total{result="active"} 1`, `gatehouse_introspections_total{result="inactive"} 2`,
			`gatehouse_requests_total{api="gatehouse",code="200",method="POST",route="introspect"} 3`} {
			if !strings.Contains(metrics, want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
	})
}
