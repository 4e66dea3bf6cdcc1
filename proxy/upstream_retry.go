package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// maxAttempts bounds Retry.Attempts.
const maxAttempts = 10

// Retry is when a request is sent again, to another endpoint where there is one. A request is sent again only where
// nothing of it was sent, or where its method is idempotent (RFC 9110 section 9.2.2) and it has no body.
type Retry struct {
	// Attempts is how often a request is sent in all; at most 10.
	Attempts int
	On       RetryOn
}

// RetryOn is a set of failures. Zero: none.
type RetryOn uint8

// The failures: no connection could be made, it broke before an answer, or the answer was a 502, 503 or 504.
const (
	OnConnect RetryOn = 1 << iota
	OnReset
	OnBadGateway
	OnUnavailable
	OnGatewayTimeout
)

var retryNames = [...]string{"connect", "reset", "502", "503", "504"}

// ParseRetryOn returns the failure with that name in the configuration, and 0 for any other name.
func ParseRetryOn(name string) RetryOn {
	for i, n := range retryNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// Retries are paid for: each request brings budgetShare of one, and each second budgetSecond, so that retries never make
// much more of a load that is too much already.
const (
	budgetShare  = 200    // thousandths of a retry
	budgetSecond = 10_000 // thousandths
	budgetMost   = 100_000
)

// budget is what retries are paid from, in thousandths of one.
type budget struct {
	left, filled atomic.Int64
}

func (b *budget) open() {
	b.left.Store(budgetSecond)
	b.filled.Store(monotonic())
}

// deposit is what a request brings.
func (b *budget) deposit() {
	if b.left.Load() < budgetMost {
		b.left.Add(budgetShare)
	}
}

// withdraw pays for one retry, where there is enough.
func (b *budget) withdraw(now int64) bool {
	filled := b.filled.Load()
	if brought := (now - filled) * budgetSecond / int64(time.Second); brought > 0 && b.filled.CompareAndSwap(filled, now) {
		b.left.Add(min(brought, budgetSecond))
	}
	for {
		left := b.left.Load()
		if left < 1000 {
			return false
		}
		if b.left.CompareAndSwap(left, left-1000) {
			return true
		}
	}
}

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

// mayRetry reports whether the call may be sent again after its nth attempt failed by on. The budget is asked last, since
// it pays.
func (up *upstream) mayRetry(c *call, on RetryOn, n int) bool {
	r := up.api.Retry
	if r == nil || on&r.On == 0 || n >= min(r.Attempts, maxAttempts) || c.r.Context().Err() != nil {
		return false
	}
	if on == OnConnect {
		return !c.inbound.started() && up.budget.withdraw(monotonic())
	}
	return c.inbound == nil && isIdempotent(c.r.Method) && up.budget.withdraw(monotonic())
}

// isIdempotent is RFC 9110 section 9.2.2.
func isIdempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
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

// onlyIfIdempotent keeps the transport from sending a request twice by itself, as it would where a client names an
// Idempotency-Key: whether a method is idempotent is not the client's to say. It looks for the canonical form alone.
func onlyIfIdempotent(out *http.Request) {
	if isIdempotent(out.Method) {
		return
	}
	for _, name := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		if v, ok := out.Header[name]; ok {
			delete(out.Header, name)
			out.Header[strings.ToLower(name)] = v
		}
	}
}
