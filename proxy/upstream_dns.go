package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

const (
	// lookupEvery and lookupTimeout bound how long a changed DNS name goes unnoticed.
	lookupEvery   = 10 * time.Second
	lookupTimeout = 5 * time.Second
)

func lookupIP(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// follow looks the name up again where that is due, beside the requests and one at a time.
func (e *endpoint) follow(now time.Time) {
	if now.UnixNano() < e.next.Load() || !e.looking.CompareAndSwap(false, true) {
		return
	}
	e.next.Store(now.Add(lookupEvery).UnixNano())
	go func() {
		defer e.looking.Store(false)
		e.refresh()
	}()
}

// refresh starts with new connections where an address that the name had is gone. Requests in flight end on the old
// ones. A lookup that fails changes nothing: the next dial has its own.
func (e *endpoint) refresh() {
	ctx, cancel := context.WithTimeout(e.life, lookupTimeout)
	defer cancel()
	found, err := e.lookup(ctx, e.host)
	if err != nil {
		return
	}
	before := e.known.Swap(&found)
	if before == nil {
		return
	}
	if slices.ContainsFunc(*before, func(a netip.Addr) bool { return !slices.Contains(found, a) }) {
		e.transport.Swap(e.newTransport()).CloseIdleConnections()
	}
}
