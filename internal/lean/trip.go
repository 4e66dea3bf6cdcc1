package lean

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"time"
)

// trip is one request on one connection, until its response has been read.
type trip struct {
	t     *Transport
	req   *http.Request
	trace *httptrace.ClientTrace // nil: nobody asks
	head  *head                  // nil: given back

	c     *conn
	stop  func() bool // ends the watch over ctx; false: the connection was closed for it
	wrote chan error  // what came of writing beside the reading, once; nil: it was not beside

	// Set before wrote is sent to, for the caller.
	unread error // why the request's body could not be read
	fault  error // what else it did wrong; the trip was ended for that

	over bool // the connection has been given back or closed
	body body // of the response, where it has one
}

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
	if x.req.Context().Done() != nil {
		x.stop = context.AfterFunc(x.req.Context(), c.abort)
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

// hand gives the response to the caller, and the connection back where there is nothing more to be read on it.
func (x *trip) hand(res *http.Response) (*http.Response, error) {
	if isSwitch(res) {
		if !x.stop() {
			x.finish(false)
			if x.wrote != nil {
				<-x.wrote
			}
			return nil, context.Cause(x.req.Context())
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
	x.body = body{x: x, from: res.Body, reuse: reuse, toEnd: res.ContentLength < 0 && len(res.TransferEncoding) == 0}
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
