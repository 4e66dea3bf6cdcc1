package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"gatehouse/authz"
	"gatehouse/internal/trace"
)

var (
	errTimeout = errors.New("the upstream sent no response headers within the route's timeout")
	errIdle    = errors.New("the upstream sent nothing for longer than the idle timeout")
	errStatus  = errors.New("the upstream answered with a status code below 200")
	errLength  = errors.New("the upstream named more than one length of its response, or one that is no number")
	errSwitch  = errors.New("the upstream answered 101 to a request that asked for no WebSocket, or not as one that speaks it")
)

// statusClientGone is in the record of a request whose client left before the response; nobody is sent it.
const statusClientGone = 499

// upstreamFailed answers a request that the upstream did not: RoundTrip's error, or a response that was refused.
func (c *call) upstreamFailed(err error) {
	if c.w.status == http.StatusSwitchingProtocols { // the client left before it could be told
		return
	}
	if d := c.clientFault(); d != nil {
		c.deny(d)
		return
	}
	kind := c.kindOf(err)
	c.rec.UpstreamError, c.rec.UpstreamDetail = kind, c.inWords(err)
	switch kind {
	case "canceled":
		// A client that closed its half alone would take an empty 200 for the answer.
		c.rec.Status = statusClientGone
		panic(http.ErrAbortHandler)
	case "timeout":
		c.deny(&denial{reason: authz.UpstreamTimeout, at: trace.Upstream, detail: "the API behind this gateway did not answer in time"})
	default:
		c.deny(&denial{reason: authz.UpstreamUnavailable, at: trace.Upstream, detail: "the API behind this gateway could not be reached"})
	}
}

// clientFault is the denial of a request whose own body was at fault; nil where it was not, and where the client has gone.
// A read deadline cancels the request's context too, although the client is still there to be told.
func (c *call) clientFault() *denial {
	err := c.inbound.failure()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errBodyTooLarge):
		return tooLarge(c.route.MaxBody)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return malformed(trace.Body, "the request body stopped for longer than the idle timeout")
	case c.r.Context().Err() != nil:
		return nil
	}
	return malformed(trace.Body, "the request body ended early or is not well formed")
}

// brokenBody records why a response that had begun broke off. The client's response is cut too.
func (c *call) brokenBody(err error) {
	c.rec.UpstreamError, c.rec.UpstreamDetail = c.kindOf(err), c.inWords(err)
}

// inWords is the error for the log. Where the call was given up it says why.
func (c *call) inWords(err error) string {
	if errors.Is(err, context.Canceled) {
		if c.r.Context().Err() != nil {
			return "the client left"
		}
		if c.answered.Load() {
			return errIdle.Error()
		}
		return errTimeout.Error()
	}
	return err.Error()
}

// Faults is the closed set of what exchange.Record.UpstreamError may be besides "".
func Faults() []string {
	return []string{"dial", "tls", "timeout", "reset", "canceled", "breaker", "other"}
}

// kindOf puts an error of the transport into the closed set of exchange.Record.
func (c *call) kindOf(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case c.r.Context().Err() != nil:
		return "canceled"
	case errors.Is(err, context.Canceled), errors.Is(err, errTimeout), errors.Is(err, errIdle):
		return "timeout"
	case errors.Is(err, errOpen):
		return "breaker"
	case errors.As(err, &dns), errors.As(err, &op) && op.Op == "dial":
		return "dial"
	case isTLS(err):
		return "tls"
	case errors.As(err, &streamError{}), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	}
	return "other"
}

// isTLS reports whether TLS failed, in the handshake or, as where the server wants a certificate, right after it.
func isTLS(err error) bool {
	var connect *connectError
	var op *net.OpError
	return errors.As(err, &connect) && connect.handshake || errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// streamError is the form in which net/http tells of a stream of HTTP/2 that was reset: errors.As fills it in, by the names
// of the fields.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error implements error.
func (e streamError) Error() string {
	return fmt.Sprintf("stream %d was reset with code %d", e.StreamID, e.Code)
}
