package lean

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

var errReadClosed = errors.New("http: read on closed response body")

// body is a response's body. Its end gives the connection back; closing it before closes the connection, whoever reads.
type body struct {
	x     *trip
	from  io.ReadCloser
	reuse bool
	toEnd bool // the end of the connection is the body's

	mu     sync.Mutex // guards what follows, and the end of the trip
	closed bool
	err    error // of a read, once and for all
	ended  bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	closed, err := b.closed, b.err
	b.mu.Unlock()
	if closed {
		return 0, errReadClosed
	}
	if err != nil {
		return 0, err
	}
	n, err := b.from.Read(p)
	if err != nil {
		err = b.end(err)
	}
	return n, err
}

// end ends the trip after a read that failed, or that found the end.
func (b *body) end(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == io.EOF && b.toEnd && b.x.c.ended.Load() {
		err = net.ErrClosed // a server ends TLS when we do: that is no end of the body
	}
	if b.err == nil {
		b.err = err
	}
	if b.ended {
		return err
	}
	b.ended = true
	b.x.finish(err == io.EOF && b.reuse)
	if err != io.EOF && b.x.req.Context().Err() != nil {
		return context.Cause(b.x.req.Context())
	}
	return err
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if b.err == io.EOF {
		return b.from.Close()
	}
	b.x.finish(false)
	return nil
}

// isSwitch reports whether the connection is no longer HTTP's. No request that comes here asks for that.
func isSwitch(res *http.Response) bool {
	return res.StatusCode == http.StatusSwitchingProtocols && res.Header.Get("Upgrade") != "" && hasToken(res.Header["Connection"], "upgrade")
}

// hasToken reports whether a list of tokens, in one field or several, has that one.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(trim(part), token) {
				return true
			}
		}
	}
	return false
}

// switched is the body of a response that switched protocols: the connection itself, which is the caller's now.
type switched struct {
	io.ReadWriteCloser
	br *bufio.Reader // what was read ahead; nil: nothing more
}

func newSwitched(c *conn) *switched {
	s := &switched{ReadWriteCloser: c.Conn}
	if c.br.Buffered() > 0 {
		s.br = c.br
	}
	return s
}

// Read implements io.Reader.
func (s *switched) Read(p []byte) (int, error) {
	if s.br == nil {
		return s.ReadWriteCloser.Read(p)
	}
	if ahead := s.br.Buffered(); len(p) > ahead {
		p = p[:ahead]
	}
	n, err := s.br.Read(p)
	if s.br.Buffered() == 0 {
		s.br = nil
	}
	return n, err
}

// CloseWrite ends our half, as where a *net.TCPConn is below.
func (s *switched) CloseWrite() error {
	if half, ok := s.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("CloseWrite: %w", http.ErrNotSupported)
}
