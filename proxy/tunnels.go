package proxy

import (
	"context"
	"sync"
	"sync/atomic"

	"gatehouse/authz"
)

// line is what successive Gateways have in common of a route that stayed as it was. It ends with the last of them.
type line struct {
	revision string
	holders  atomic.Int32 // Gateways that have it
	over     context.Context
	end      context.CancelFunc
}

// lineOf is the line of the previous Gateway's route where that is the same, else a new one.
func (g *Gateway) lineOf(rt *Route) *line {
	key := rt.API.Name + " " + rt.Match
	if g.o.Previous != nil {
		if l := g.o.Previous.lines[key]; l != nil && l.revision == rt.Revision && rt.Revision != "" {
			g.lines[key] = l
			return l
		}
	}
	l := &line{revision: rt.Revision}
	l.over, l.end = context.WithCancel(context.Background())
	g.lines[key] = l
	return l
}

// tunnels are the open ones, of all the Gateways that followed each other.
type tunnels struct {
	mu       sync.Mutex
	fewer    *sync.Cond // one was removed, or who waits should look
	open     map[*call]struct{}
	draining bool
}

func newTunnels(previous *Gateway) *tunnels {
	if previous != nil {
		return previous.tunnels
	}
	t := &tunnels{open: map[*call]struct{}{}}
	t.fewer = sync.NewCond(&t.mu)
	return t
}

func (t *tunnels) add(c *call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[c] = struct{}{}
	if t.draining {
		c.cancel(ending("drain"))
	}
}

func (t *tunnels) remove(c *call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
	t.fewer.Broadcast()
}

func (t *tunnels) list() (list []*call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		list = append(list, c)
	}
	return list
}

// Tunnels is how many tunnels are open, over all the Gateways that came before too.
func (g *Gateway) Tunnels() int {
	g.tunnels.mu.Lock()
	defer g.tunnels.mu.Unlock()
	return len(g.tunnels.open)
}

// Sweep closes the tunnels whose token would be refused now. Call it, on the Gateway in force, as often as a revocation is to
// be felt. It decides as for a request, by the state and the clients of this Gateway. That a token has expired ends
// only tunnels of routes with CloseOnExpiry.
func (g *Gateway) Sweep() {
	now := g.now().Unix()
	for _, c := range g.tunnels.list() {
		if why := g.judge(c, now); why != "" {
			c.cancel(ending(why))
		}
	}
}

// judge says why a tunnel should end; "" where it may go on. Where no token was asked for, or none counts, nothing can
// become of it.
func (g *Gateway) judge(c *call, now int64) authz.Reason {
	p, rt := c.principal, c.route
	if p == nil || rt.Observe {
		return ""
	}
	if !rt.CloseOnExpiry {
		now = min(now, p.Expires-1)
	}
	return authz.Decide(p, &rt.Policy, authz.Read(g.o.Revocations, g.o.Clients, p), now).Reason
}

// DrainTunnels waits until no tunnel is open, or ctx is done; then it closes those that are left, and every one that would
// still be opened. It returns how many it closed.
func (g *Gateway) DrainTunnels(ctx context.Context) (closed int) {
	t := g.tunnels
	stop := context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.fewer.Broadcast()
	})
	defer stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.open) > 0 && ctx.Err() == nil {
		t.fewer.Wait()
	}
	t.draining = true
	closed = len(t.open)
	for c := range t.open {
		c.cancel(ending("drain"))
	}
	for len(t.open) > 0 {
		t.fewer.Wait()
	}
	return closed
}
