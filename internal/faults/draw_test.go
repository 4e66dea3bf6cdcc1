package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// storm draws faults and brings them about, one or two at a time, until its time is over. Between two the fleet becomes well:
// what a fault leaves behind is seen before the next one covers it.
type storm struct {
	f      *fleet
	rng    *rand.Rand
	server *redistest.Server
	beside *redistest.Proxy // the network of the limiter beside the fleet, which shares node 0's fate
	begun  time.Time

	lost []span // when Redis lost what it held
}

// fault is one that can be drawn. It ends by itself, or by end.
type fault struct {
	name  string
	alone bool // not together with another
	begin func(s *storm) (what string, end func())
}

// longest is how long a fault lasts at most: less than the five seconds after which a silent node no longer counts in the fleet.
const longest = 2500 * time.Millisecond

var faults = []fault{
	{"stall", false, network(func(*rand.Rand) redistest.Fault { return redistest.Stalled })},
	{"half open", false, network(func(*rand.Rand) redistest.Fault { return redistest.Swallowed })},
	{"answers lost", false, network(func(*rand.Rand) redistest.Fault { return redistest.AnswersLost })},
	{"slow", false, network(func(r *rand.Rand) redistest.Fault {
		return redistest.Slow(time.Duration(1+r.IntN(100)) * time.Millisecond)
	})},
	{"cut after some bytes", false, network(func(r *rand.Rand) redistest.Fault {
		return redistest.Fault{Answers: redistest.Way{CutAfter: 1 + r.IntN(2000)}}
	})},
	{"cut", false, func(s *storm) (string, func()) {
		some, what := s.some()
		for _, p := range some {
			p.Cut()
		}
		return what, func() {}
	}},
	{"refuse", false, func(s *storm) (string, func()) {
		some, what := s.some()
		for _, p := range some {
			p.Refuse()
			p.Cut()
		}
		return what, func() {
			for _, p := range some {
				p.Heal()
			}
		}
	}},
	{"pause", true, func(s *storm) (string, func()) { s.server.Pause(); return "redis", s.server.Resume }},
	{"restart empty", true, func(s *storm) (string, func()) { s.lose(func() { s.server.Restart(false) }); return "redis", func() {} }},
	{"restart kept", true, func(s *storm) (string, func()) { s.lose(func() { s.server.Restart(true) }); return "redis", func() {} }},
	{"down and back empty", true, func(s *storm) (string, func()) {
		from := time.Now()
		s.server.Kill()
		return "redis", func() {
			s.server.Restart(false)
			s.lost = append(s.lost, span{from, time.Now()})
		}
	}},
	{"script flush", false, func(s *storm) (string, func()) { s.admin("SCRIPT", "FLUSH"); return "redis", func() {} }},
	{"full", true, func(s *storm) (string, func()) {
		s.admin("CONFIG", "SET", "maxmemory", "1")
		return "redis", func() { s.admin("CONFIG", "SET", "maxmemory", "0") }
	}},
	{"read only", true, func(s *storm) (string, func()) {
		s.admin("REPLICAOF", "127.0.0.1", "1")
		return "redis", func() { s.admin("REPLICAOF", "NO", "ONE") }
	}},
	{"node restarts", true, func(s *storm) (string, func()) {
		n := s.f.nodes[s.rng.IntN(nodes)]
		n.restart()
		return n.name, func() {}
	}},
}

// network is a fault of the network of some nodes, of the connections that exist or of those to come, or of both.
func network(draw func(*rand.Rand) redistest.Fault) func(*storm) (string, func()) {
	return func(s *storm) (string, func()) {
		some, what := s.some()
		f, which := draw(s.rng), s.rng.IntN(3)
		for _, p := range some {
			switch which {
			case 0:
				p.Set(f)
			case 1:
				p.SetExisting(f)
			case 2:
				p.SetNew(f)
			}
		}
		what += [...]string{", every connection", ", connections that exist", ", connections to come"}[which]
		return fmt.Sprintf("%s: %+v", what, f), func() {
			for _, p := range some {
				p.Heal()
			}
		}
	}
}

// some draws one node, two or all, and returns their networks.
func (s *storm) some() (proxies []*redistest.Proxy, what string) {
	order := s.rng.Perm(nodes)[:1+s.rng.IntN(nodes)]
	for _, i := range order {
		proxies = append(proxies, s.f.nodes[i].proxy)
		if i == 0 {
			proxies = append(proxies, s.beside)
		}
	}
	return proxies, fmt.Sprintf("nodes %v", order)
}

func (s *storm) lose(restart func()) {
	from := time.Now()
	restart()
	s.lost = append(s.lost, span{from, time.Now()})
}

func (s *storm) admin(command ...any) {
	c := s.server.Client()
	defer c.Close()
	if err := c.Do(s.f.t.Context(), command...).Err(); err != nil {
		s.f.t.Errorf("%v: %v", command, err)
	}
}

// rage draws faults until it is over. What happened is in the test's log, each with the time since the start.
func (s *storm) rage(during time.Duration) {
	for s.begun = time.Now(); time.Since(s.begun) < during && !s.f.t.Failed(); {
		one := faults[s.rng.IntN(len(faults))]
		drawn := []fault{one}
		if two := faults[s.rng.IntN(len(faults))]; !one.alone && !two.alone && s.rng.IntN(3) == 0 {
			drawn = append(drawn, two)
		}
		var ends []func()
		for _, d := range drawn {
			what, end := d.begin(s)
			ends = append(ends, end)
			s.f.t.Logf("%7.3fs %s: %s", time.Since(s.begun).Seconds(), d.name, what)
		}
		time.Sleep(100*time.Millisecond + time.Duration(s.rng.Int64N(int64(longest))))
		for _, end := range ends {
			end()
		}
		s.f.t.Logf("%7.3fs lifted, and well after %s", time.Since(s.begun).Seconds(), s.f.settle().Round(time.Millisecond))
	}
}

// TestStormNames keeps each fault tellable by its name in the log.
func TestStormNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range faults {
		if seen[f.name] || strings.TrimSpace(f.name) == "" {
			t.Errorf("fault %q: the name is taken or empty", f.name)
		}
		seen[f.name] = true
	}
}
