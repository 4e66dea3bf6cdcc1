package proxy

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/trace"
)

// retrySoon is Retry-After where nobody knows better, in seconds: state that is away, a gateway that is full.
const retrySoon = 5

// denial is a refusal on its way to becoming a response. A nil *denial is no refusal.
type denial struct {
	reason     authz.Reason
	at         trace.Check // which step refused; "" where that is not known
	detail     string      // in words; told to the caller where the reason is public
	allow      string      // Allow, of a 405
	retryAfter int64       // seconds, of a 429
}

// problem is the body of a denial (RFC 9457).
type problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Reason    authz.Reason `json:"reason"`
	Detail    string       `json:"detail,omitempty"`
	RequestID string       `json:"request_id"`
}

// deny is the one place where a denial becomes a response. What the caller is told is public; the exact reason goes to
// the record.
func (c *call) deny(d *denial) {
	c.refuse(d, exchange.Deny)
	status, reason, detail := d.reason.Status(), d.reason.Public(), d.detail
	if reason != d.reason {
		detail = "the access token is not one that this API accepts"
	}
	if c.r.ContentLength != 0 {
		// net/http reads what little is left of the body before it answers: that must end before the time to write does.
		c.w.readBy(c.gw.o.IdleTimeout / 2)
	}
	h := c.w.Header()
	clear(h)
	c.stamp(h)
	set := setter{header: h, values: make([]string, 0, 7)}
	set.to("Cache-Control", "no-store")
	d.setHeaders(&set, status, detail, c.parameters(d))
	if isGRPC(c.r) {
		c.denyGRPC(&set, status, detail)
		return
	}
	body, err := json.Marshal(problem{Type: "urn:gatehouse:denial:" + string(reason), Title: http.StatusText(status), Status: status,
		Reason: reason, Detail: detail, RequestID: c.rec.ID})
	if err != nil {
		panic(err) // strings and an integer always marshal
	}
	set.to("Content-Type", "application/problem+json")
	set.to("X-Content-Type-Options", "nosniff")
	set.to("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		c.w.Write(body) // an error means that the caller is gone
	}
}

// refuse records a refusal. The first one of a request is its verdict.
func (c *call) refuse(d *denial, v exchange.Verdict) {
	if c.rec.Verdict == exchange.WouldDeny {
		return
	}
	c.rec.Verdict, c.rec.Reason, c.rec.Detail = v, string(d.reason), d.detail
	c.rec.Case = c.evidence(d)
}

// parameters are those of a challenge besides the error: the scopes that the route needs, and where the API's metadata is
// (RFC 9728 §5.1).
func (c *call) parameters(d *denial) (text string) {
	if d.reason == authz.InsufficientScope && c.rec.Required != "" {
		text += `, scope="` + quotable(c.rec.Required) + `"`
	}
	if c.route != nil && c.route.API.Metadata != "" {
		text += `, resource_metadata="` + quotable(c.route.API.Metadata) + `"`
	}
	return text
}

// setHeaders adds what a status owes: the challenge of RFC 6750 §3, Allow, Retry-After.
func (d *denial) setHeaders(set *setter, status int, detail, parameters string) {
	switch {
	case d.reason == authz.MissingToken:
		set.to("Www-Authenticate", `Bearer realm="gatehouse"`+parameters)
	case status == http.StatusUnauthorized:
		set.to("Www-Authenticate", challenge("invalid_token", detail)+parameters)
	case d.reason == authz.InsufficientScope:
		set.to("Www-Authenticate", challenge("insufficient_scope", detail)+parameters)
	}
	if status == http.StatusMethodNotAllowed {
		set.to("Allow", d.allow)
	}
	switch {
	case d.retryAfter > 0:
		set.to("Retry-After", strconv.FormatInt(d.retryAfter, 10))
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		set.to("Retry-After", strconv.Itoa(retrySoon))
	}
}

func challenge(word, description string) string {
	return `Bearer realm="gatehouse", error="` + word + `", error_description="` + quotable(description) + `"`
}

// quotable leaves the bytes that error_description and scope may hold (RFC 6750 §3): printable ASCII but " and \.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}

// isGRPC reports whether the caller expects a gRPC response, which carries its own status.
func isGRPC(r *http.Request) bool {
	t := strings.ToLower(r.Header.Get("Content-Type"))
	return t == "application/grpc" || strings.HasPrefix(t, "application/grpc+") || strings.HasPrefix(t, "application/grpc;")
}

// denyGRPC answers with a trailers-only response: HTTP status 200, and the refusal in grpc-status and grpc-message.
func (c *call) denyGRPC(set *setter, status int, detail string) {
	set.to("Content-Type", "application/grpc")
	set.to("Grpc-Status", strconv.Itoa(grpcStatus(status)))
	set.to("Grpc-Message", escape(detail, &isGRPCText))
	c.w.WriteHeader(http.StatusOK)
}

var isGRPCText = byteSet(" !\"#$&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~")

// grpcStatus is the gRPC status code for an HTTP status, after the table of the gRPC documentation
// (http-grpc-status-mapping.md), with 429 as RESOURCE_EXHAUSTED.
func grpcStatus(status int) int {
	switch status {
	case http.StatusBadRequest:
		return 13 // INTERNAL
	case http.StatusUnauthorized:
		return 16 // UNAUTHENTICATED
	case http.StatusForbidden:
		return 7 // PERMISSION_DENIED
	case http.StatusNotFound:
		return 12 // UNIMPLEMENTED
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return 8 // RESOURCE_EXHAUSTED
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return 14 // UNAVAILABLE
	}
	return 2 // UNKNOWN
}
