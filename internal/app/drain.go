package app

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// settle is how long connections without a request may bring one more, once no new ones begin. A request that is on its
	// way when its connection is closed fails, so they are told first, by the response to it.
	settle = 500 * time.Millisecond
	// sweepEvery is the time between two looks at whether the tokens of open tunnels still pass.
	sweepEvery = 500 * time.Millisecond
)

// conns counts what is under way on the public listener, tunnels excepted.
type conns struct {
	open     atomic.Int64 // connections
	requests atomic.Int64
	ended    atomic.Int64 // when a request last did, in Unix nanoseconds; kept during a drain alone
}

// note is for http.Server.ConnState.
func (c *conns) note(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

// settled reports whether nothing is under way, and has not been for long enough.
func (c *conns) settled() bool {
	if c.open.Load() == 0 {
		return true
	}
	return c.requests.Load() == 0 && time.Since(time.Unix(0, c.ended.Load())) >= settle
}

// requestDone is called at the end of every request.
func (a *App) requestDone() {
	if a.ending.Load() {
		a.conns.ended.Store(time.Now().UnixNano())
	}
	a.conns.requests.Add(-1)
}

// drain ends the process without breaking a request: readiness fails, and for server.drain_delay everything goes on as
// before, so that load balancers see it; then nothing is accepted, connections end with their next response, and requests
// and tunnels have what is left of server.drain. What is open then is closed.
func (a *App) drain() error {
	server := a.current.Load().cfg.Server
	ctx, cancel := context.WithTimeout(context.Background(), server.Drain)
	defer cancel()
	a.draining.Store(true)
	a.log.Info("draining", "limit", server.Drain.String(), "delay", server.DrainDelay.String(), "tunnels", a.current.Load().gateway.Tunnels())
	pause(ctx, server.DrainDelay, func() bool { return false })
	a.conns.ended.Store(time.Now().UnixNano())
	a.ending.Store(true)
	a.door.stop()
	// Shutdown drops every request that comes on a connection after it, so it waits until none is expected.
	pause(ctx, server.Drain, a.conns.settled)
	err := a.publicServer.Shutdown(ctx)
	tunnels := a.current.Load().gateway.DrainTunnels(ctx)
	connections := int64(0)
	if err != nil {
		connections = a.conns.open.Load()
		a.publicServer.Close()
	}
	a.adminHTTP.Close()
	if connections > 0 || tunnels > 0 {
		a.log.Warn("server.drain was not long enough for everything in flight, the rest was closed", "limit", server.Drain.String(),
			"connections", connections, "tunnels", tunnels)
	}
	a.log.Info("stopped")
	return nil
}

// pause waits for d, or until done, or until ctx is.
func pause(ctx context.Context, d time.Duration, done func() bool) {
	if d <= 0 {
		return
	}
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// sweep closes the tunnels whose token was revoked, until ctx is done.
func (a *App) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.current.Load().gateway.Sweep()
		}
	}
}
