package proxy

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// tunnel is a connection that became a WebSocket: the upstream's side of it. What passes is counted, and not looked at.
type tunnel struct {
	io.ReadWriteCloser
	c        *call
	in, out  atomic.Int64 // bytes from the client, and to it
	unfollow func() bool  // ends the watch over the route
}

// Read implements io.Reader: bytes of the upstream's.
func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.ReadWriteCloser.Read(p)
	t.out.Add(int64(n))
	t.c.watch.moved()
	return n, err
}

// Write implements io.Writer: bytes of the client's.
func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.ReadWriteCloser.Write(p)
	t.in.Add(int64(n))
	t.c.watch.moved()
	return n, err
}

// CloseWrite tells the upstream that the client sends no more.
func (t *tunnel) CloseWrite() error {
	if half, ok := t.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return t.Close()
}

// ending is why the gateway closed a tunnel: one of Endings.
type ending string

// Error implements error, so that an ending can be the cause of a cancelled context.
func (e ending) Error() string { return string(e) }

// Endings is the closed set of what exchange.Record.Closed may be besides "". The reasons are those of a token that no longer
// passes.
func Endings() []string {
	return []string{"idle", "reload", "drain", "revoked", "expired", "not_yet_valid", "client_disabled", "state_unavailable"}
}

// openTunnel is called where the upstream has agreed. From here on ReverseProxy copies in both directions, until one
// side ends or the call is cancelled.
func (c *call) openTunnel(res *http.Response) error {
	both, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return errSwitch
	}
	c.label(res.Header)
	if c.route.idle > 0 {
		c.watch.wait(c.route.idle) // for bytes of either side
	}
	c.tunnel = &tunnel{ReadWriteCloser: both, c: c}
	c.tunnel.unfollow = context.AfterFunc(c.route.line.over, func() { c.cancel(ending("reload")) })
	c.gw.tunnels.add(c)
	res.Body = c.tunnel
	return nil
}

// closeTunnel finishes the record of a tunnel. Cause is why its context was cancelled; nil where a side ended it.
func (c *call) closeTunnel(cause error) {
	t := c.tunnel
	if t == nil {
		return
	}
	c.gw.tunnels.remove(c)
	t.unfollow()
	c.rec.BytesIn, c.w.bytes = t.in.Load(), t.out.Load()
	var e ending
	switch {
	case errors.Is(cause, errIdle):
		c.rec.Closed = "idle"
	case errors.As(cause, &e):
		c.rec.Closed = string(e)
	}
}

// isWebSocketKey reports whether the values of Sec-WebSocket-Key are one, of 16 bytes in base64 (RFC 6455 §4.1).
func isWebSocketKey(values []string) bool {
	if len(values) != 1 {
		return false
	}
	key, err := base64.StdEncoding.Strict().DecodeString(values[0])
	return err == nil && len(key) == 16
}

// accepts reports whether a 101 is that of a WebSocket server that read this request's key (RFC 6455 §4.2.2). Without the
// proof, a status that someone made an upstream say would open a pipe to it that no route watches over.
func (c *call) accepts(h http.Header) bool {
	if !c.upgrade || !strings.EqualFold(h.Get("Upgrade"), "websocket") {
		return false
	}
	sum := sha1.Sum([]byte(c.r.Header["Sec-Websocket-Key"][0] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return h.Get("Sec-Websocket-Accept") == base64.StdEncoding.EncodeToString(sum[:])
}
