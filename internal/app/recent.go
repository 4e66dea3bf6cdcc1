package app

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/adminapi"
	"gatehouse/internal/exchange"
	"gatehouse/internal/ratelimit"
)

const (
	recentDenials = 10
	// limitSources has room for every ratelimit.Source.
	limitSources = 16
	// maxShown bounds what a caller can make the status say in one field, in bytes before they are escaped.
	maxShown = 256
)

// recent is what the status page says of finished exchanges: the last denials, and by what limits were decided. The zero
// value is ready for use.
type recent struct {
	sources [limitSources]atomic.Int64

	mu      sync.Mutex
	denials [recentDenials]refusal // a ring
	count   int                    // of all denials
}

// denial is kept as it came, and told only when somebody asks.
type refusal struct {
	at                                              time.Time
	status                                          int
	verdict                                         exchange.Verdict
	id, reason, method, path, route, client, detail string
}

// Finish implements exchange.Sink.
func (r *recent) Finish(x *exchange.Record) {
	if x.LimitSource != "" {
		r.charged(x.LimitSource)
	}
	if x.Verdict == exchange.Allow {
		return
	}
	d := refusal{at: x.Start, status: x.Status, verdict: x.Verdict, id: x.ID, reason: x.Reason, method: x.Method, path: x.Path, route: x.Route, client: x.Client, detail: x.Detail}
	if x.Issuer != "" && x.Issuer != authz.Local {
		d.client = x.Issuer + "/" + x.Client
	}
	if x.OAuthError != "" {
		d.reason = x.OAuthError
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.denials[r.count%recentDenials] = d
	r.count++
}

func (r *recent) charged(source string) {
	for s := range ratelimit.Source(limitSources) {
		if s.String() == source {
			r.sources[s].Add(1)
			return
		}
	}
}

// list is the last denials, the newest first.
func (r *recent) list() []adminapi.RecentDenial {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]adminapi.RecentDenial, 0, recentDenials)
	for i := range min(r.count, recentDenials) {
		out = append(out, r.denials[(r.count-1-i)%recentDenials].shown())
	}
	return out
}

func (d *refusal) shown() adminapi.RecentDenial {
	return adminapi.RecentDenial{Time: d.at.UTC(), ID: shown(d.id), Status: d.status, Observed: d.verdict == exchange.WouldDeny, Reason: d.reason, Method: shown(d.method),
		Path: shown(d.path), Route: d.route, Client: shown(d.client), Detail: shown(d.detail)}
}

// limits is how often limits were decided by what.
func (r *recent) limits() map[string]int64 {
	out := map[string]int64{}
	for s := range ratelimit.Source(limitSources) {
		if n := r.sources[s].Load(); n > 0 {
			out[s.String()] = n
		}
	}
	return out
}

// shown is text of a caller with everything percent-encoded that a terminal or a reader might take for something else.
func shown(s string) string {
	cut := len(s) > maxShown
	s = s[:min(len(s), maxShown)]
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 0x20 && c < 0x7f {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if cut {
		b.WriteString("…")
	}
	return b.String()
}
