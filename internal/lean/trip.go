package lean

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"time"
)

// trip is one request on one connection, until its response has been read.
type trip struct {
	t     *Transport
	req   *http.Request
	ctx   context.Context
	trace *httptrace.ClientTrace // nil: nobody asks
	head  *head                  // nil: given back

	c     *conn
	stop  func() bool // ends the watch over ctx; false: the connection was closed for it
	wrote chan error  // what came of writing beside the reading, once; nil: it was not beside

	fault error // what the request's body did wrong, for the caller; set before wrote is sent to
	over  bool  // the connection has been given back or closed
	body  body  // of the response, where it has one
}

// heads up to atOnce bytes are written before the response is read. They fit what a system takes without the server's
// help, so that a server that answers without reading is heard all the same.
const atOnce = 4 << 10

// giveUp ends a trip that had no connection.
func (x *trip) giveUp() {
	x.freeHead()
	closeBody(x.req)
}

func (x *trip) freeHead() {
	if x.head != nil {
		x.head.free()
	}
	x.head = nil
}

// on sends the request on c and reads the head of the response. again is true where it failed in a way that makes another
// try harmless; the head is kept for that.
func (x *trip) on(c *conn) (res *http.Response, err error, again bool) {
	x.c = c
	c.sent = 0
	x.stop = unwatched
	if x.ctx.Done() != nil {
		x.stop = context.AfterFunc(x.ctx, c.abort)
	}
	if err = x.write(); err == nil {
		res, err = x.read()
	}
	if err != nil {
		x.finish(false)
		if err, again = x.whyUnread(err); !again {
			x.freeHead() // and the body, where there is one, was closed by who wrote it
		}
		return nil, err, again
	}
	if x.wrote == nil {
		x.freeHead()
	}
	res, err = x.hand(res)
	return res, err, false
}

func unwatched() bool { return true }

// write sends a short head; what is longer, or has a body, goes out beside the reading. Where it fails the server may have
// said why, and that is read; but not where nothing was sent on a connection that was idle: what came on that is no answer.
func (x *trip) write() error {
	if hasBody(x.req) || len(x.head.b) > atOnce {
		x.wrote = make(chan error, 1)
		go x.writeBeside()
		return nil
	}
	x.wroteHead()
	err := x.sendBytes(x.head.b)
	x.wroteAll(err)
	if err != nil && x.c.reused && x.c.sent == 0 {
		return &reading{err: err}
	}
	if err != nil {
		x.wrote = make(chan error, 1)
		x.wrote <- err
	}
	return nil
}

func (x *trip) wroteHead() {
	if x.trace != nil && x.trace.WroteHeaders != nil {
		x.trace.WroteHeaders()
	}
}

func (x *trip) wroteAll(err error) {
	if x.trace != nil && x.trace.WroteRequest != nil {
		x.trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
}

// reading is a failure to read the response.
type reading struct {
	err   error
	begun bool // some of it was read
}

func (e *reading) Error() string { return e.err.Error() }

// read reads up to the end of the response's head.
func (x *trip) read() (*http.Response, error) {
	c := x.c
	c.headLimit()
	if _, err := c.br.Peek(1); err != nil {
		return nil, &reading{err: err}
	}
	if x.trace != nil && x.trace.GotFirstResponseByte != nil {
		x.trace.GotFirstResponseByte()
	}
	res, err := x.readHead()
	if err != nil {
		if c.left <= 0 {
			err = fmt.Errorf("net/http: server response headers exceeded %d bytes; aborted", c.max)
		}
		return nil, &reading{err: err, begun: true}
	}
	c.noLimit()
	res.TLS = c.state
	return res, nil
}

// readHead passes informational responses by. Who looks at them has to count them: the limit is for each then, else for
// all heads together.
func (x *trip) readHead() (*http.Response, error) {
	for {
		res, err := http.ReadResponse(x.c.br, x.req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode < 100 || res.StatusCode > 199 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, nil
		}
		if x.trace != nil && x.trace.Got1xxResponse != nil {
			if err := x.trace.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header)); err != nil {
				return nil, err
			}
			x.c.headLimit()
		}
	}
}

// hand gives the response to the caller, and the connection back where there is nothing more to be read on it.
func (x *trip) hand(res *http.Response) (*http.Response, error) {
	if isSwitch(res) {
		if !x.stop() {
			x.finish(false)
			if x.wrote != nil {
				<-x.wrote
			}
			return nil, context.Cause(x.ctx)
		}
		x.over = true
		res.Body = newSwitched(x.c)
		return res, nil
	}
	reuse := !res.Close && res.StatusCode > 199
	if x.req.Method == http.MethodHead || res.ContentLength == 0 {
		x.finish(reuse)
		return res, nil
	}
	x.body = body{x: x, from: res.Body, reuse: reuse}
	res.Body = &x.body
	return res, nil
}

// finish ends the trip's hold on the connection. It goes back to the pool where all was as it should be.
func (x *trip) finish(reuse bool) {
	if x.over {
		return
	}
	x.over = true
	reuse = reuse && x.written()
	if !x.stop() || !reuse || !x.c.clean() {
		x.c.close()
		return
	}
	err := x.t.pool.put(x.c)
	if x.trace != nil && x.trace.PutIdleConn != nil {
		x.trace.PutIdleConn(err)
	}
}

// writeGrace is how long a response that is there waits to see that its request was written.
const writeGrace = 50 * time.Millisecond

// written reports whether the whole request was sent.
func (x *trip) written() bool {
	if x.wrote == nil {
		return true
	}
	select {
	case err := <-x.wrote:
		return err == nil
	default:
	}
	timer := time.NewTimer(writeGrace)
	defer timer.Stop()
	select {
	case err := <-x.wrote:
		return err == nil
	case <-timer.C:
		return false
	}
}

// whyUnread is the error for the caller where the response could not be read, and whether to try again. It waits for the
// writing to end, since the caller may do with the request what it likes then.
func (x *trip) whyUnread(err error) (error, bool) {
	var unsent error
	if x.wrote != nil {
		unsent = <-x.wrote
	}
	var r *reading
	if !errors.As(err, &r) {
		return err, false
	}
	nothing := x.c.sent == 0
	switch {
	case x.ctx.Err() != nil:
		return context.Cause(x.ctx), false
	case x.fault != nil: // whatever the server made of that
		return x.fault, false
	case unsent != nil && endedByUs(r.err) && nothing:
		return unsent, x.c.reused && !hasBody(x.req)
	case unsent != nil && endedByUs(r.err):
		return broken(unsent), false
	case nothing:
		return r.err, x.c.reused && !hasBody(x.req)
	case !r.begun:
		return r.err, x.c.reused && isReplayable(x.req)
	}
	return broken(r.err), false
}

// endedByUs reports whether reading ended because writing had failed.
func endedByUs(err error) bool {
	return errors.Is(err, net.ErrClosed) || isTimeout(err)
}

func broken(err error) error {
	return fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", err)
}

var _ io.ReadWriteCloser = (*switched)(nil)
