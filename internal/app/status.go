package app

import (
	"cmp"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/config"
	"gatehouse/internal/revoke"
)

// recentDenials is how many refusals the status shows.
const recentDenials = 10

// nodeName is what this node calls itself in the fleet, so that operators can tell nodes apart: the host, and where it serves.
func (a *App) nodeName(cfg *config.Config) string {
	listen := cfg.Server.Listen
	if a.opts.Public != nil {
		listen = a.opts.Public.Addr().String()
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		return host + ":" + path
	}
	if _, port, err := net.SplitHostPort(listen); err == nil {
		return host + ":" + port
	}
	return host
}

// status is GET /api/v1/status. It reads what is in memory and asks nobody.
func (a *App) status() adminapi.Status {
	snap, now := a.current.Load(), time.Now()
	fleet := a.revocations.Fleet()
	out := adminapi.Status{Version: a.opts.Version, Mode: a.opts.Mode, Node: a.nodeName(snap.cfg), Listen: a.public.Addr().String(), Admin: a.admin.Addr().String(),
		Now: now.UTC(), Started: a.started.UTC(), Uptime: now.Sub(a.started).Seconds(),
		State: a.stateStatus(snap.cfg, fleet), Revocations: a.revocationStatus(snap.cfg), Fleet: fleetStatus(fleet),
		Limits: adminapi.LimitStatus{Nodes: a.revocations.Nodes(), Keys: a.limiter.Stats().Keys, Decisions: a.limited.counts()},
		Keys:   a.listKeys(), Upstreams: upstreamStatus(snap), Denials: a.denialsNow(recentDenials)}
	out.Ready, out.Why = a.Ready()
	out.Config = adminapi.ConfigStatus{Hash: short(snap.cfg.Hash), Loaded: snap.loaded.UTC(), APIs: len(snap.cfg.APIs), Routes: countRoutes(snap.cfg), Clients: len(snap.cfg.Clients)}
	if last := a.lastLoad.Load(); last != nil {
		out.Config.Last = *last
	}
	if len(out.Fleet) == 0 { // it runs alone, or Redis never answered
		out.Fleet = []adminapi.FleetNode{{Name: out.Node, Version: out.Version, Self: true, Live: true}}
		if snap.cfg.State.Redis == nil {
			out.Fleet[0].Behind = new(float64)
		}
	}
	if a.audit != nil {
		t := a.audit.Stats()
		out.Audit = &adminapi.AuditStatus{Failing: t.Failing, Lost: t.Lost}
	}
	return out
}

func (a *App) stateStatus(cfg *config.Config, fleet revoke.Fleet) adminapi.StateStatus {
	out := adminapi.StateStatus{Engine: engine(cfg)}
	if a.redis == nil {
		return out
	}
	s, r := a.redis.Stats(), a.revocations.Stats()
	out.Redis = &adminapi.RedisStatus{Mode: cmp.Or(cfg.State.Redis.Mode, config.Standalone), Master: cfg.State.Redis.MasterName, Addrs: cfg.State.Redis.Addrs, Up: s.Up, BreakerOpen: s.Open, BreakerOpened: s.Opened, Errors: map[string]int64{},
		ClockOffset: r.ClockOffset.Seconds(), Reconciled: r.Reconciled}
	for kind, n := range s.Errors {
		if n > 0 {
			out.Redis.Errors[kind] = n
		}
	}
	for _, m := range s.Shards {
		out.Redis.Masters = append(out.Redis.Masters, adminapi.MasterStatus{Name: m.Name, Up: m.Up, BreakerOpen: m.Open})
	}
	slices.SortFunc(out.Redis.Masters, func(a, b adminapi.MasterStatus) int { return strings.Compare(a.Name, b.Name) })
	if len(fleet.Nodes) > 0 {
		out.Redis.FleetAge = seconds(fleet.Age)
	}
	return out
}

func (a *App) revocationStatus(cfg *config.Config) adminapi.RevocationStatus {
	s := a.revocations.Stats()
	out := adminapi.RevocationStatus{Tokens: s.Tokens, Rules: s.Rules, Staleness: seconds(a.revocations.Staleness()), Outbox: s.Outbox, JournalErrors: s.JournalErrors,
		Policies: []adminapi.StalePolicy{}}
	for _, api := range cfg.APIs {
		p := adminapi.StalePolicy{API: api.Name, MaxStaleness: api.Revocation.MaxStaleness.Seconds(), OnStale: "deny"}
		if api.Revocation.AllowStale {
			p.OnStale = "allow"
		}
		out.Policies = append(out.Policies, p)
	}
	return out
}

func fleetStatus(fleet revoke.Fleet) []adminapi.FleetNode {
	var list []adminapi.FleetNode
	for _, m := range fleet.Nodes {
		n := adminapi.FleetNode{Name: m.Name, Version: m.Version, ID: m.ID, Self: m.Self, Live: m.Live, Heard: (fleet.Age + m.Heard).Seconds(),
			Applied: m.Applied, Behind: seconds(m.Behind)}
		if m.Clock != nil {
			n.Clock = seconds(*m.Clock)
		}
		list = append(list, n)
	}
	return list
}

func upstreamStatus(snap *snapshot) []adminapi.UpstreamStatus {
	list := []adminapi.UpstreamStatus{}
	for _, e := range snap.gateway.Endpoints() {
		list = append(list, adminapi.UpstreamStatus{API: e.API, Endpoint: e.URL, Up: e.Up, Why: e.Why, Breaker: e.Breaker, InFlight: e.InFlight})
	}
	return list
}

// seconds is nil for the longest Duration, which stands for never.
func seconds(d time.Duration) *float64 {
	if d == math.MaxInt64 {
		return nil
	}
	s := d.Seconds()
	return &s
}
