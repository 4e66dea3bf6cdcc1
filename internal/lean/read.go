package lean

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
)

// reading is a failure to read the response.
type reading struct {
	err      error
	begun    bool // some of it was read
	canceled bool // the request was given up by then
	ended    bool // we had ended the connection by then
}

func (e *reading) Error() string { return e.err.Error() }

// read reads up to the end of the response's head.
func (x *trip) read() (*http.Response, error) {
	c := x.c
	c.headLimit()
	if _, err := c.br.Peek(1); err != nil {
		return nil, x.unreadable(err, false)
	}
	if x.trace != nil && x.trace.GotFirstResponseByte != nil {
		x.trace.GotFirstResponseByte()
	}
	res, err := x.readHead()
	if err != nil {
		if c.left <= 0 {
			err = fmt.Errorf("net/http: server response headers exceeded %d bytes; aborted", c.max)
		}
		return nil, x.unreadable(err, true)
	}
	c.noLimit()
	res.TLS = c.state
	return res, nil
}

// unreadable keeps how things were: whatever happens from now on is not why.
func (x *trip) unreadable(err error, begun bool) error {
	return &reading{err: err, begun: begun, canceled: x.req.Context().Err() != nil, ended: x.c.ended.Load()}
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
	case r.canceled:
		return context.Cause(x.req.Context()), false
	case x.unread != nil:
		return x.unread, false
	case r.ended && x.fault != nil: // whatever the server made of that
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
