package statuspage

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/pulse"
)

func TestBanners(t *testing.T) {
	now := time.Now()
	stale := 45.0
	for name, tc := range map[string]struct {
		change func(*adminapi.Status)
		red    bool
		want   string
	}{
		"not ready":    {func(s *adminapi.Status) { s.Ready, s.Why = false, "draining" }, true, "Not ready: draining."},
		"Redis down":   {func(s *adminapi.Status) { s.State.Redis.Up = false; s.Revocations.Outbox = 3 }, true, "3 of this node's revocations wait"},
		"breaker":      {func(s *adminapi.Status) { s.State.Redis.BreakerOpen = true }, true, "requests do without it"},
		"never synced": {func(s *adminapi.Status) { s.Revocations.Staleness = nil }, true, "never read"},
		"stale":        {func(s *adminapi.Status) { s.Revocations.Staleness = &stale }, false, "are over 40 s old"},
		"no key":       {func(s *adminapi.Status) { s.Keys = nil }, true, "no key to sign"},
		"next only":    {func(s *adminapi.Status) { s.Keys[0].State = "next" }, true, "No key signs ES256"},
		"overdue":      {func(s *adminapi.Status) { s.Keys[0].Until = now.Add(-time.Hour) }, false, "should have been replaced"},
		"audit":        {func(s *adminapi.Status) { s.Audit = &adminapi.AuditStatus{Failing: true, Lost: 7} }, true, "7 lines are lost"},
		"journal":      {func(s *adminapi.Status) { s.Revocations.JournalErrors = 1 }, true, "forget them"},
		"dev":          {func(s *adminapi.Status) { s.Mode = "dev" }, false, "for trying out"},
		"one upstream": {func(s *adminapi.Status) { s.Upstreams[0].Up = false }, false, "1 of 2 upstreams of orders are down"},
		"no upstream":  {func(s *adminapi.Status) { s.Upstreams[0].Up, s.Upstreams[1].Up = false, false }, true, "No upstream of orders is up"},
	} {
		t.Run(name, func(t *testing.T) {
			fresh := 0.1
			s := adminapi.Status{Ready: true, Mode: "run", Now: now, Config: adminapi.ConfigStatus{Last: adminapi.ReloadInfo{Result: "ok"}},
				State: adminapi.StateStatus{Redis: &adminapi.RedisStatus{Up: true}}, Revocations: adminapi.RevocationStatus{Staleness: &fresh},
				Keys:      []adminapi.Key{{Algorithm: "ES256", State: "current", Until: now.Add(time.Hour)}},
				Upstreams: []adminapi.UpstreamStatus{{API: "orders", Endpoint: "http://a", Up: true}, {API: "orders", Endpoint: "http://b", Up: true}}}
			end := time.Time{}
			p := &Page{o: Options{Routes: func() []adminapi.Route { return nil }, CertificateEnds: func() time.Time { return end }}}
			if list := p.banners(&s); len(list) != 0 {
				t.Fatalf("where all is well: %+v", list)
			}
			tc.change(&s)
			list := p.banners(&s)
			if len(list) != 1 || list[0].Red != tc.red || !strings.Contains(list[0].Text, tc.want) {
				t.Errorf("%+v", list)
			}
		})
	}
	p := &Page{o: Options{Routes: func() []adminapi.Route { return []adminapi.Route{{API: "a", Match: "GET /", Observe: true}} }, CertificateEnds: func() time.Time { return now.Add(time.Hour) }}}
	s := adminapi.Status{Ready: true, Now: now, Keys: []adminapi.Key{{State: "current"}}}
	if list := p.banners(&s); len(list) != 2 || list[0].Red || !strings.Contains(list[0].Text, "ends in 1 h") || !strings.Contains(list[1].Text, "a GET /") {
		t.Errorf("a certificate and observe mode: %+v", list)
	}
	s.Now = now.Add(2 * time.Hour)
	s.Mode = "dev"
	if list := p.banners(&s); len(list) != 3 || !list[0].Red || !strings.Contains(list[0].Text, "ended at") {
		t.Errorf("the worst is not the first: %+v", list)
	}
}

func TestCharts(t *testing.T) {
	v := pulse.View{Points: make([]pulse.Point, 4), Reasons: []pulse.Reason{{Name: "a", Count: 9}, {Name: "b", Count: 5}, {Name: "c", Count: 4}, {Name: "d", Count: 3}, {Name: "e", Count: 2}, {Name: "f", Count: 1}}}
	for i := range v.Points {
		v.Points[i].ByReason = make([]float64, 6)
	}
	v.Points[1] = pulse.Point{Requests: 30, Denied: 6, P50: time.Millisecond, P95: 2 * time.Millisecond, P99: 40 * time.Millisecond, ByReason: []float64{1, 1, 1, 1, 1, 1}}
	list := charts(v)
	legend := list[1].Legend
	if len(list) != 3 || list[0].Ticks[0] != "30" || list[1].Ticks[0] != "6" || list[2].Ticks[0] != "40 ms" {
		t.Errorf("axes: %v %v %v", list[0].Ticks, list[1].Ticks, list[2].Ticks)
	}
	if len(legend) != 5 || legend[4].Name != "other reasons" || legend[4].Value != "3" || legend[4].Reason || !legend[0].Reason {
		t.Errorf("the legend: %+v", legend)
	}
	// The uppermost line of the stack is at all denials.
	if top := list[1].Shapes[len(list[1].Shapes)-1].Path; top != "M298.0 0.0L300.0 0.0" {
		t.Errorf("the stack ends at %s", top)
	}
	// One measured moment between empty ones is still to be seen.
	if p50 := list[2].Shapes[2].Path; p50 != "M298.0 97.5L300.0 97.5" {
		t.Errorf("one point: %q", p50)
	}
	if empty := charts(pulse.View{}); len(empty[1].Legend) != 1 || strings.Contains(empty[0].Shapes[1].Path, "NaN") {
		t.Errorf("nothing at all: %+v", empty)
	}
	for in, want := range map[float64]float64{0: 1, .3: .3, 1: 1, 1.1: 2, 4: 4, 4.1: 6, 7: 8, 8.1: 10, 101: 200} {
		if got := nice(in); got < want*.999 || got > want*1.001 {
			t.Errorf("nice(%v) = %v, want %v", in, got, want)
		}
	}
}

func TestText(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, tc := range [][2]string{
		{rate(0), "0"}, {rate(.02), "0.1"}, {rate(3.14), "3.1"}, {rate(99.6), "100"}, {rate(12_345), "12.3k"}, {took(0), "–"}, {took(40 * time.Microsecond), "40 µs"}, {terse.Replace("6000 per 1m0s, 9 per 1h0m0s, 1 per 10s"), "6000 per 1m, 9 per 1h, 1 per 10s"}, {took(1234 * time.Microsecond), "1.2 ms"},
		{took(250 * time.Millisecond), "250 ms"}, {took(1500 * time.Millisecond), "1.50 s"}, {percent(0), "0 %"}, {percent(.0004), "< 0.1 %"}, {percent(.034), "3.4 %"}, {percent(1), "100 %"},
		{count(999), "999"}, {count(1234567), "1\u202f234\u202f567"}, {span(3720 * time.Second), "1 h 2 m"}, {span(50 * time.Hour), "2 d 2 h"}, {ago(now, now), "now"},
		{ago(now.Add(-90*time.Second), now), "1 m ago"}, {ago(now.Add(-59900*time.Millisecond), now), "59 s ago"}, {ago(now.Add(-30*time.Hour), now), "30 h ago"}, {ago(now.Add(-72*time.Hour), now), "3 d ago"}, {span(400 * time.Millisecond), "0.4 s"}, {span(9 * time.Second), "9 s"}, {span(12400 * time.Millisecond), "12 s"}, {span(93 * time.Second), "1 m 33 s"}, {age("2026-11-20", now), "5 days"}, {age("yesterday", now), ""}, {age("2026-11-25", now), "today"},
		{quote("a b'c"), `'a b'\''c'`}, {quote("plain"), "plain"}, {example("/orders/{id}/x/{rest...}"), "/orders/1/x/"}, {clean("a\u202eb\x00c"), "a?b?c"},
		{secretState(Secret{}, now), "good"}, {secretState(Secret{NotAfter: now.Add(-1)}, now), "ended"}, {secretState(Secret{NotBefore: now.Add(1)}, now), "not yet"},
		{moment(time.Time{}), ""},
		{curl(&Client{ID: "a b", Auth: "client_secret_post", TokenURL: "http://x/oauth/token"}, Grant{Audience: "https://o"}), "curl -s --data-urlencode 'client_id=a b' --data-urlencode \"client_secret=$GATEHOUSE_CLIENT_SECRET\" \\\n  -d grant_type=client_credentials --data-urlencode audience=https://o \\\n  http://x/oauth/token"},
		{curl(&Client{ID: "a", Auth: "tls_client_auth", TokenURL: "https://x/oauth/token"}, Grant{Audience: "https://o"}), "curl -s --cert \"$GATEHOUSE_CLIENT_CERT\" --key \"$GATEHOUSE_CLIENT_KEY\" --data-urlencode client_id=a \\\n  -d grant_type=client_credentials --data-urlencode audience=https://o \\\n  https://x/oauth/token"},
		{curl(&Client{ID: "a b", TokenURL: "http://x/oauth/token"}, Grant{Audience: "https://o"}), "curl -s -u 'a+b:'\"$GATEHOUSE_CLIENT_SECRET\" \\\n  -d grant_type=client_credentials --data-urlencode audience=https://o \\\n  http://x/oauth/token"},
	} {
		if tc[0] != tc[1] {
			t.Errorf("got %q, want %q", tc[0], tc[1])
		}
	}
}

// A revocation says what is still to come.
func TestRevokedInWords(t *testing.T) {
	for want, done := range map[string]adminapi.Revoked{
		"Revoked: on 1 of 1 node, every token issued to worker so far is refused.":                                                                                    {Applied: 1, Live: 1},
		"Revoked: on 3 of 3 nodes, every token issued to worker so far is refused.":                                                                                   {Applied: 3, Live: 3, Shared: true},
		"Revoked: on 2 of 3 nodes, every token issued to worker so far is refused. The others follow within a second, or once they reach Redis.":                      {Applied: 2, Live: 3, Shared: true},
		"Revoked: on 1 of 3 nodes, every token issued to worker so far is refused. Redis is away: the others follow once it is back, and take the tokens until then.": {Applied: 1, Live: 3},
	} {
		if got := revoked("worker", done); got != want {
			t.Errorf("%+v: %s", done, got)
		}
	}
}
