package lean

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"time"
)

var errNotKept = errors.New("the connection was not kept: there were enough, or idle ones were being closed")

// conn returns a connection that is ready: the idle one that was used last, or a new one. A request that gives up waiting
// leaves its dial to the next one.
func (t *Transport) conn(ctx context.Context, trace *httptrace.ClientTrace) (*conn, error) {
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(t.addr)
	}
	for {
		c := t.pool.take()
		idle := c != nil
		if !idle {
			var err error
			if c, err = t.wait(ctx); err != nil {
				return nil, err
			}
		}
		if c.reused && (idle && t.pool.tooOld(c) || !c.fresh()) {
			c.close()
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			continue
		}
		if trace != nil && trace.GotConn != nil {
			info := httptrace.GotConnInfo{Conn: c.Conn, Reused: c.reused, WasIdle: idle}
			if idle {
				info.IdleTime = time.Since(c.idleAt)
			}
			trace.GotConn(info)
		}
		return c, nil
	}
}

// wait dials, and waits for that or for what another request gives back first.
func (t *Transport) wait(ctx context.Context) (*conn, error) {
	// A connection may belong to the context that it was dialed with, so that the context is not canceled behind it.
	dialCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := t.pool.begin(cancel)
	go func() {
		c, err := t.connect(dialCtx)
		t.pool.dialed(w, dialed{c, err})
	}()
	select {
	case d := <-w.got:
		if d.err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return d.c, d.err
	case <-ctx.Done():
		t.pool.leave(w)
		return nil, context.Cause(ctx)
	}
}

// connect makes a connection.
func (t *Transport) connect(ctx context.Context) (*conn, error) {
	nc, err := t.dial(ctx, "tcp", t.addr)
	if err == nil && nc == nil {
		err = fmt.Errorf("lean: the dialer for %s returned neither a connection nor an error", t.scheme)
	}
	if err != nil {
		return nil, err
	}
	if secure, ok := nc.(*tls.Conn); ok {
		if err := shakeHands(ctx, secure); err != nil {
			return nil, err
		}
	}
	return newConn(nc, t.maxHeader), nil
}

// shakeHands is for a dialer that left it to be done, and for who traces it.
func shakeHands(ctx context.Context, secure *tls.Conn) error {
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := secure.HandshakeContext(ctx)
	var state tls.ConnectionState
	if err != nil {
		go net.Conn(secure).Close()
	} else {
		state = secure.ConnectionState()
	}
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(state, err)
	}
	return err
}
