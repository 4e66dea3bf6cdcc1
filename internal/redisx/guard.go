package redisx

import (
	"crypto/tls"
	"errors"
	"math"
	"strconv"
)

const (
	// maxText is the longest text that is taken from a server, in bytes: much more than anything that we keep there.
	maxText = 16 << 20
	// maxMembers is how many members of arrays and maps may be announced and not there yet. Each has a place in memory already.
	maxMembers = 1 << 20
	// maxLine is the longest line, such as an error's.
	maxLine = 64 << 10
)

// errAnswerSize is the error of a connection whose server announces more than it may.
var errAnswerSize = errors.New("redis announced an answer larger than any that is wanted from it: is this address a redis?")

// guard follows what a server sends, in RESP2 and RESP3. go-redis makes room for a text or an array as soon as its length is
// announced, so that twenty bytes of a server that is broken, or is none, or of somebody between, would end this process. It is not
// safe for concurrent use: a connection has one reader.
type guard struct {
	text    int64 // bytes of a text that are still to come
	members int64 // of arrays and maps, likewise
	length  int   // of the line so far
	head    [24]byte
	failed  bool
}

// pass returns an error once the bytes announce too much, and from then on.
func (g *guard) pass(b []byte) error {
	for len(b) > 0 && !g.failed {
		if g.text > 0 {
			n := min(g.text, int64(len(b)))
			g.text -= n
			b = b[n:]
			continue
		}
		if g.length < len(g.head) {
			g.head[g.length] = b[0]
		}
		g.length++
		if b[0] == '\n' {
			g.failed = !g.line(g.head[:min(g.length, len(g.head))])
			g.length = 0
		}
		g.failed = g.failed || g.length > maxLine
		b = b[1:]
	}
	if g.failed {
		return errAnswerSize
	}
	return nil
}

// line takes the beginning of a line, and reports whether what it announces may come.
func (g *guard) line(head []byte) bool {
	var each int64
	switch head[0] {
	case '$', '=', '!': // texts
		n, ok := announced(head)
		if g.text = n + 2; n < 0 { // there is none
			g.text = 0
		}
		g.members = max(g.members-1, 0)
		return ok && n <= maxText
	case '*', '~', '>':
		each = 1
	case '%', '|':
		each = 2
	default:
		g.members = max(g.members-1, 0)
		return true
	}
	n, ok := announced(head)
	if head[0] != '|' { // attributes come before a value and are none
		g.members = max(g.members-1, 0)
	}
	if !ok || n > maxMembers {
		return false
	}
	g.members += each * max(n, 0)
	return g.members <= maxMembers
}

// announced is the number in a line. What is none is left to go-redis, which refuses it; ok is false where it is too long to
// tell.
func announced(head []byte) (n int64, ok bool) {
	if head[len(head)-1] != '\n' {
		return math.MaxInt64, false
	}
	digits := head[1 : len(head)-1]
	if len(digits) > 0 && digits[len(digits)-1] == '\r' {
		digits = digits[:len(digits)-1]
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil && errors.Is(err, strconv.ErrRange) {
		return n, false
	}
	return n, true
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if c.of.tls != nil { // these bytes are sealed
		return n, err
	}
	if bad := c.guard.pass(b[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

// secureConn is a TLS connection whose answers are bounded. It embeds the concrete type for the same reason as conn.
type secureConn struct {
	*tls.Conn
	guard guard
}

// Read implements net.Conn.
func (c *secureConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if bad := c.guard.pass(b[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}
