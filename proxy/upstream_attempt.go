package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// sameAgain is the pause before a request is sent to an endpoint that it was sent to before.
const sameAgain = 25 * time.Millisecond

// roundTrip sends the call's request to one of the endpoints, and again to another where that is allowed and harmless.
func (up *upstream) roundTrip(c *call, out *http.Request) (*http.Response, error) {
	up.budget.deposit()
	m, probe, err := up.pick(nil)
	if err != nil {
		return nil, err
	}
	var room [maxAttempts]*member
	for tried := room[:0]; ; {
		c.use(m)
		res, err := m.RoundTrip(c.aim(out, m, len(tried) > 0))
		on, o := c.judge(res, err)
		up.learn(m, o, probe)
		tried = append(tried, m)
		if !up.mayRetry(c, on, len(tried)) {
			return res, err
		}
		next, nextProbe, none := up.pick(tried)
		if none != nil {
			return res, err
		}
		m.retried.Add(1)
		if res != nil {
			res.Body.Close()
		}
		if next == m {
			pause(out.Context().Done(), jitter(sameAgain))
		}
		m, probe = next, nextProbe
	}
}

func pause(done <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// use counts the call as in flight at m, and no longer at the endpoint before.
func (c *call) use(m *member) {
	c.release()
	c.at = m
	c.rec.Server = m.key.url
	c.rec.Attempts++
	m.inFlight.Add(1)
	m.requests.Add(1)
}

// release ends what use began.
func (c *call) release() {
	if c.at != nil {
		c.at.inFlight.Add(-1)
		c.at = nil
	}
}

// judge says which failure an attempt was, for a retry, and what it says of the endpoint.
func (c *call) judge(res *http.Response, err error) (RetryOn, outcome) {
	if err == nil {
		switch res.StatusCode {
		case http.StatusBadGateway:
			return OnBadGateway, failed
		case http.StatusServiceUnavailable:
			return OnUnavailable, failed
		case http.StatusGatewayTimeout:
			return OnGatewayTimeout, failed
		}
		return 0, worked
	}
	var connect *connectError
	switch kind := c.kindOf(err); {
	case kind == "canceled" || c.inbound.failure() != nil:
		return 0, unclear
	case kind == "timeout" && c.inbound.unfinished():
		return 0, unclear // it may have been the client that was waited for
	case errors.As(err, &connect):
		return OnConnect, failed
	case kind == "reset":
		return OnReset, failed
	}
	return 0, failed
}

// learn keeps what an attempt said of the endpoint.
func (up *upstream) learn(m *member, o outcome, probe bool) {
	if o == failed {
		m.failures.Add(1)
	}
	if up.api.Breaker == nil {
		return
	}
	switch m.breaker.report(o, probe, up.api.Breaker, monotonic) {
	case "open":
		m.log.warn("upstream breaker opened: requests failed in a row", "failures", up.api.Breaker.Failures, "open_for", up.api.Breaker.OpenFor.String())
	case "closed":
		m.log.info("upstream breaker closed")
	}
}

// aim directs the request at an endpoint. The transport may hold on to a request that failed, so that another attempt is
// another request, with a body of its own over the one of which nothing was read.
func (c *call) aim(out *http.Request, m *member, again bool) *http.Request {
	if again {
		out = out.WithContext(out.Context())
		u := *out.URL
		out.URL = &u
		if c.inbound != nil {
			out.Body = &attemptBody{body: c.inbound}
		}
	}
	c.setURL(out.URL, m)
	return out
}

// attemptBody is the request's body for one attempt: closing it ends the attempt's reading and not the body.
type attemptBody struct {
	body   io.Reader
	closed atomic.Bool
}

// Read implements io.Reader.
func (b *attemptBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.body.Read(p)
}

// Close implements io.Closer.
func (b *attemptBody) Close() error { b.closed.Store(true); return nil }
