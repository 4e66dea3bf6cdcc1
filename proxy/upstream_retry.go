package proxy

import (
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
