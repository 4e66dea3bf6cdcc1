package lean

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// readBuffer is as large as http.Transport's: it also bounds the trailers of a response.
const readBuffer = 4 << 10

// conn is a connection to the server. One trip at a time owns it, or the pool.
type conn struct {
	net.Conn
	tls   *tls.Conn            // nil: none
	state *tls.ConnectionState // of tls
	br    *bufio.Reader        // over Read below

	max  int64 // of a response's head, in bytes
	left int64 // what may still be read of it
	eof  bool  // the server has ended its half

	ended  atomic.Bool // by us, or about to be
	reused bool        // it has come through the pool
	idleAt time.Time   // when it last became idle
	sent   int64       // bytes of the current request that were written

	raw   syscall.RawConn // below TLS; nil: it can't be probed, and is used once
	probe probe
	abort func() // close, made once
}

func newConn(nc net.Conn, maxHeader int64) *conn {
	c := &conn{Conn: nc, max: maxHeader}
	below := nc
	if secure, ok := nc.(*tls.Conn); ok {
		state := secure.ConnectionState()
		c.tls, c.state, below = secure, &state, secure.NetConn()
	}
	if s, ok := below.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	c.br = bufio.NewReaderSize(limited{c}, readBuffer)
	c.abort = c.close
	c.probe.init()
	return c
}

// limited reads from the connection within the limit for heads.
type limited struct{ c *conn }

// Read implements io.Reader.
func (l limited) Read(p []byte) (int, error) {
	c := l.c
	if c.left <= 0 {
		return 0, fmt.Errorf("read limit of %d bytes exhausted", c.max)
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		c.eof = true
	}
	c.left -= int64(n)
	return n, err
}

// headLimit begins to count a response's head; noLimit ends it.
func (c *conn) headLimit() { c.left = c.max }
func (c *conn) noLimit()   { c.left = math.MaxInt64 }

// close may be called by anybody, and more than once. The alert that ends TLS may have to wait for a server that reads
// nothing.
func (c *conn) close() {
	c.ended.Store(true)
	if c.tls != nil {
		go c.Conn.Close()
		return
	}
	c.Conn.Close()
}

// clean reports whether a response that was read to its end left nothing behind: not in the buffer, and not within TLS,
// where what was decrypted with it would look like the next response.
func (c *conn) clean() bool {
	return !c.eof && c.br.Buffered() == 0 && c.raw != nil && (c.tls == nil || c.settled(aLongTimeAgo))
}

// settled has TLS deal with what is there, up to a deadline, and reports whether that was nothing to be read. A deadline
// that has passed leaves out what is not with TLS yet.
func (c *conn) settled(deadline time.Time) bool {
	if c.tls.SetReadDeadline(deadline) != nil {
		return false
	}
	var one [1]byte
	n, err := c.tls.Read(one[:])
	return n == 0 && isTimeout(err) && c.tls.SetReadDeadline(time.Time{}) == nil
}

var aLongTimeAgo = time.Unix(1, 0)

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// silent reports whether the connection, of which the caller is the owner, is as it was left: the server has neither ended
// it nor sent anything.
func (c *conn) silent() bool { return c.raw != nil && c.probe.silent(c.raw) }

// settleTime is how long the rest of a record may take to come.
const settleTime = 2 * time.Millisecond

// fresh reports whether the connection may be used again: it is silent, or what came on it was for TLS alone, as where a
// server is late to send tickets. It may wait for settleTime.
func (c *conn) fresh() bool {
	return c.silent() || c.tls != nil && c.raw != nil && c.settled(time.Now().Add(settleTime)) && c.silent()
}
