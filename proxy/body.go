package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

var errBodyTooLarge = errors.New("the request body is over the route's limit")

// inbound is the body of a request on its way to the upstream. It counts, limits, gives every read a deadline, and carries
// the trailers over. The transport reads it in a goroutine of its own, which may outlive the request.
type inbound struct {
	body io.ReadCloser
	c    *call
	left int64 // of the route's limit; only Read uses it

	mu       sync.Mutex
	released bool          // the request is over: its connection is no longer ours
	reading  chan struct{} // closed when the read that is under way has returned; nil: none is
	asked    bool          // something began to read it
	ended    bool          // all of it was read
	read     int64
	fault    error       // why reading ended early; nil where it did not
	trailer  http.Header // of the outgoing request: names announced, values set once the body has ended; nil: none
}

func newInbound(c *call) *inbound { return &inbound{body: c.r.Body, c: c, left: c.route.MaxBody} }

// Read implements io.Reader.
func (b *inbound) Read(p []byte) (int, error) {
	if !b.arm() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		n, err = 0, errBodyTooLarge
	}
	return n, b.note(n, err)
}

// Close implements io.Closer.
func (b *inbound) Close() error { return b.body.Close() }

// arm moves the read deadline; false where the request is over.
func (b *inbound) arm() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released {
		return false
	}
	b.asked, b.reading = true, make(chan struct{})
	b.c.w.readBy(b.c.route.idle)
	return true
}

// note keeps what a read brought, for the record and for upstreamFailed. At the end of the body the deadline goes: from
// then on the connection is watched for the client's leaving, and a deadline would look like one.
func (b *inbound) note(n int, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read += int64(n)
	if b.reading != nil {
		close(b.reading)
		b.reading = nil
	}
	if b.released {
		return err
	}
	if n > 0 || err == io.EOF {
		b.c.watch.moved()
	}
	switch {
	case err == nil:
	case err == io.EOF:
		b.ended = true
		b.c.w.readBy(0)
		for name := range b.trailer {
			b.trailer[name] = b.c.r.Trailer[name]
		}
	default:
		b.fault = err
	}
	return err
}

// extend moves the read deadline of a body that goes on: bytes came from the other side.
func (b *inbound) extend() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.released && !b.ended && b.fault == nil {
		b.c.w.readBy(b.c.route.idle)
	}
}

// failure is why the body could not be read; nil where it could, and for no body.
func (b *inbound) failure() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fault
}

// started reports whether any of the body may have been read; false for no body.
func (b *inbound) started() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// unfinished reports whether the body, or what is left of it, was not read to its end; false for no body.
func (b *inbound) unfinished() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.ended
}

// release ends the use of the client's connection and returns how many bytes came. Where the request was answered before all
// of its body was there, net/http reads some of the rest, by the deadline that is set here: it takes the deadline away where
// it finds a read under way, so that one is ended first.
func (b *inbound) release() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = true
	if reading := b.reading; reading != nil {
		b.c.w.readAt(longAgo)
		b.mu.Unlock()
		<-reading
		b.mu.Lock()
	}
	if !b.ended {
		b.c.w.readBy(b.c.gw.o.IdleTimeout / 2)
	}
	return b.read
}

var longAgo = time.Unix(1, 0)

// announceTrailers gives the outgoing request those of the client's trailers that may pass.
func (b *inbound) announceTrailers(out *http.Request) {
	out.Trailer = nil
	if b == nil {
		return
	}
	for name := range b.c.r.Trailer {
		if !passesInTrailer(name) {
			continue
		}
		if out.Trailer == nil {
			out.Trailer = http.Header{}
		}
		out.Trailer[name] = nil
	}
	b.trailer = out.Trailer
}

// outbound is the body of the upstream's response. The watch runs while it is read.
type outbound struct {
	io.ReadCloser
	c *call
}

// Read implements io.Reader.
func (b *outbound) Read(p []byte) (int, error) {
	if idle := b.c.route.idle; idle > 0 {
		b.c.watch.wait(idle)
		defer b.c.watch.pause()
	}
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.c.inbound.extend()
	}
	if err != nil && err != io.EOF {
		b.c.brokenBody(err)
	}
	return n, err
}
