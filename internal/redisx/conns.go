package redisx

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// dropEvery is the shortest time between two drops, so that the connections made after one are given a chance.
const dropEvery = 250 * time.Millisecond

// conns dials every connection of a Client and knows those that are open. Dropping them is how a Client leaves a server
// that was demoted: go-redis has no call for it, finds its pooled connections closed, and dials anew, by name.
type conns struct {
	tls     *tls.Config
	dialer  net.Dialer
	resolve resolver // nil: what is dialled stands in the configuration, or comes from the cluster

	mu      sync.Mutex
	open    map[*conn]struct{}
	dropped time.Time
}

func newConns(t *tls.Config, r resolver) *conns {
	keepAlive := net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
	return &conns{
		tls:     t,
		dialer:  net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive},
		resolve: r,
		open:    make(map[*conn]struct{}),
	}
}

// conn is a TCP connection that says when it is closed. It embeds the concrete type, because go-redis looks for the
// socket beneath to see whether an idle connection is still good.
type conn struct {
	*net.TCPConn
	of    *conns
	guard guard // unused with TLS
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.TCPConn.Close()
}

// dial implements redis.Options.Dialer; go-redis bounds ctx by the dial timeout.
func (d *conns) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	if d.resolve != nil {
		var err error
		if addr, err = d.resolve.where(ctx); err != nil {
			return nil, err
		}
	}
	plain, err := d.dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{TCPConn: plain.(*net.TCPConn), of: d}
	d.mu.Lock()
	d.open[c] = struct{}{}
	d.mu.Unlock()
	if d.resolve != nil && !d.resolve.still(addr) { // it moved meanwhile, and drop may have come before c was there
		c.Close()
		return nil, errMoved
	}
	if d.tls == nil {
		return c, nil
	}
	return d.handshake(ctx, c, addr)
}

func (d *conns) handshake(ctx context.Context, c *conn, addr string) (net.Conn, error) {
	config := d.tls
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			c.Close()
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return &secureConn{Conn: secure}, nil
}

var errMoved = errors.New("the master changed while it was dialled")

// drop closes every connection, at most once in dropEvery.
func (d *conns) drop(now time.Time) {
	d.mu.Lock()
	early := now.Sub(d.dropped) < dropEvery
	d.mu.Unlock()
	if !early {
		d.dropAll(now)
	}
}

// dropAll closes every connection.
func (d *conns) dropAll(now time.Time) {
	d.mu.Lock()
	d.dropped = now
	open := d.open
	d.open = make(map[*conn]struct{})
	d.mu.Unlock()
	for c := range open {
		c.TCPConn.Close()
	}
}

// count is how many connections are open.
func (d *conns) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open)
}
