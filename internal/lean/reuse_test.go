package lean

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestReuse: idle connections that are not what they were, and what is sent again.
func TestReuse(t *testing.T) {
	t.Parallel()
	first := call{method: "GET"}
	after := func(c call, event string) call { c.after, c.noticed = event, true; return c }
	fresh := answer(ok2)
	// stale answers once and then does something to the idle connection, which is "stale" from then on.
	stale := func(then ...step) []script {
		s := script{request, send(ok2), wait("idle")}
		return []script{append(append(s, then...), tell("stale"), gone), fresh}
	}
	first.done = "idle"
	// swallow answers once, takes the next request, and ends.
	swallow := func(then ...step) []script {
		return []script{append(script{request, send(ok2), request}, then...), fresh}
	}
	key := func(name string) call {
		return call{method: "POST", header: http.Header{name: {"k"}}}
	}
	list := []scenario{
		{name: "closed while idle", both: true, scripts: stale(drop), calls: calls(first, after(get(), "stale")), want: []string{`call 1: body "ok"`, "connections: 2"}},
		{name: "closed while idle, POST", both: true, scripts: stale(drop), calls: calls(first, after(post("hello"), "stale")), want: []string{`call 1: body "ok"`, "call 1: reused false"}},
		{name: "closed while idle, DELETE", scripts: stale(drop), calls: calls(first, after(call{method: "DELETE"}, "stale")), want: []string{`call 1: body "ok"`, "call 1: reused false"}},
		{name: "half-closed while idle", both: true, scripts: stale(halfClose), calls: calls(first, after(post("hello"), "stale")), want: []string{`call 1: body "ok"`, "call 1: reused false"}},
		{name: "reset while idle", both: true, scripts: stale(reset), calls: calls(first, after(post("hello"), "stale")), want: []string{`call 1: body "ok"`, "call 1: reused false"}},
		{name: "hung up under TLS while idle", both: true, scripts: stale(hangUp), calls: calls(first, after(post("hello"), "stale")), want: []string{"call 1: reused false"}},
		{name: "a response nobody asked for", both: true, scripts: stale(send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")), calls: calls(first, after(get(), "stale")), want: []string{`call 1: body "ok"`, "call 1: reused false", "!evil"}},
		{name: "a byte nobody asked for", both: true, scripts: stale(send("\n")), calls: calls(first, after(get(), "stale")), want: []string{"call 1: reused false"}},
		{name: "408 while idle", both: true, scripts: stale(send("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"), drop), calls: calls(first, after(post("x"), "stale")), want: []string{`call 1: body "ok"`, "!408"}},
		{name: "100 while idle", scripts: stale(send("HTTP/1.1 100 Continue\r\n\r\n")), calls: calls(first, after(get(), "stale")), want: []string{"call 1: reused false"}},

		{name: "closed after the request, GET", both: true, scripts: swallow(drop), calls: calls(get(), get()), want: []string{`call 1: body "ok"`, "connections: 2"}},
		{name: "closed after the request, HEAD", scripts: swallow(drop), calls: calls(get(), call{method: "HEAD"}), want: []string{"call 1: HTTP/1.1", "connections: 2"}},
		{name: "closed after the request, OPTIONS", scripts: swallow(drop), calls: calls(get(), call{method: "OPTIONS"}), want: []string{"connections: 2"}},
		{name: "closed after the request, TRACE", scripts: swallow(drop), calls: calls(get(), call{method: "TRACE"}), want: []string{"connections: 2"}},
		{name: "closed after the request, no method", scripts: swallow(drop), calls: calls(get(), call{}), want: []string{"connections: 2"}},
		{name: "closed after the request, PUT", scripts: swallow(drop), calls: calls(get(), call{method: "PUT"}), want: []string{"call 1: error: EOF", "connections: 1"}},
		{name: "closed after the request, DELETE", scripts: swallow(drop), calls: calls(get(), call{method: "DELETE"}), want: []string{"call 1: error: EOF", "connections: 1"}},
		{name: "closed after the request, POST", scripts: swallow(drop), calls: calls(get(), call{method: "POST"}), want: []string{"call 1: error: EOF", "connections: 1"}},
		{name: "closed after the request, POST with a body", both: true, scripts: swallow(drop), calls: calls(get(), post("hello")), want: []string{"call 1: error: EOF", "connections: 1"}},
		{name: "closed after the request, GET with a body", scripts: swallow(drop), calls: calls(get(), call{method: "GET", body: "hello"}), want: []string{"call 1: error: EOF", "connections: 1"}},
		{name: "closed after the request, POST with a key", scripts: swallow(drop), calls: calls(get(), key("Idempotency-Key")), want: []string{`call 1: body "ok"`, "connections: 2"}},
		{name: "closed after the request, POST with another key", scripts: swallow(drop), calls: calls(get(), key("X-Idempotency-Key")), want: []string{`call 1: body "ok"`, "connections: 2"}},
		{name: "closed after the request, POST with a key in small letters", scripts: swallow(drop), calls: calls(get(), key("idempotency-key")), want: []string{"call 1: error: EOF", "connections: 1"}},
		{name: "closed after the request, POST with a body and a key", scripts: swallow(drop), calls: calls(get(), call{method: "POST", body: "x", header: http.Header{"Idempotency-Key": {"k"}}}), want: []string{"call 1: error: EOF", "connections: 1"}},
		{name: "closed after the request, a body that can be had again", scripts: swallow(drop), calls: calls(call{method: "GET", body: "a", edit: replayable}, call{method: "GET", body: "hello", edit: replayable}), want: []string{`call 1: body "ok"`, "connections: 2"}},
		{name: "reset after the request, GET", both: true, scripts: swallow(reset), calls: calls(get(), get()), want: []string{`call 1: body "ok"`, "connections: 2"}},
		{name: "reset after the request, POST", both: true, scripts: swallow(reset), calls: calls(get(), call{method: "POST"}), want: []string{"reset", "connections: 1"}},
		{name: "hung up after the request", both: true, scripts: swallow(hangUp), calls: calls(get(), get()), want: []string{`call 1: body "ok"`}},
		{name: "closed after a byte of the response", both: true, scripts: swallow(send("H"), drop), calls: calls(get(), get()), want: []string{"connection broken: malformed HTTP response", "connections: 1"}},
		{name: "reset after a byte of the response", scripts: swallow(send("H"), reset), calls: calls(get(), get()), want: []string{"connections: 1"}},
		{name: "closed after an informational response", scripts: swallow(send("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"), drop), calls: calls(get(), get()), want: []string{"connection broken: unexpected EOF", "connections: 1"}},
		{name: "garbage on a reused connection", scripts: swallow(send("garbage\r\n\r\n")), calls: calls(get(), get()), want: []string{"malformed HTTP response", "connections: 1"}},
		{name: "a long head is swallowed", scripts: swallow(drop), calls: calls(get(), call{method: "GET", header: http.Header{"X": {letters(20000)}}}), want: []string{`call 1: body "ok"`, "connections: 2"}},
		{name: "a long head of a POST is swallowed", scripts: swallow(drop), calls: calls(get(), call{method: "POST", header: http.Header{"X": {letters(20000)}}}), want: []string{"call 1: error: EOF", "connections: 1"}},
		{name: "each connection swallows", scripts: []script{{request, send(ok2), request, drop}}, calls: calls(get(), get(), get(), get()), want: []string{`call 3: body "ok"`}},

		{name: "a new connection is closed", both: true, scripts: []script{{request, drop}, fresh}, calls: calls(get(), get()), want: []string{"call 0: error: EOF"}},
		{name: "a new connection is reset", both: true, scripts: []script{{request, reset}, fresh}, calls: calls(get(), get()), want: []string{"call 0: error: read tcp", "reset"}},
		{name: "a new connection is closed on a body", both: true, scripts: []script{{request, drop}, fresh}, calls: calls(post("hello"), get()), want: []string{"call 0: error: EOF"}},
		{name: "a new connection is half-closed at once", scripts: []script{{halfClose, request, gone}, fresh}, calls: calls(get()), differs: "http.Transport may find the end before it looks for a response, and calls that a server that closed an idle connection", want: []string{"error: EOF"}},

		{name: "half-closed with the response", both: true, scripts: []script{{request, send(ok2), halfClose, gone}, fresh}, calls: calls(get(), get()), differs: "whether the end is seen with the response is a matter of timing", want: []string{`call 0: body "ok"`, `call 1: body "ok"`}},
		{name: "one connection less than requests", options: func(b *http.Transport) { b.MaxIdleConnsPerHost = 1 }, scripts: []script{{request, tell("one"), wait("both"), send(ok2), wait("late"), answerAll}, {request, tell("both"), wait("one"), send(ok2), wait("late"), answerAll}},
			calls: calls(call{method: "GET", beside: true, done: "a"}, call{method: "GET", beside: true, done: "b"}), want: []string{"connections: 2"}},
		{name: "none is kept", options: func(b *http.Transport) { b.MaxIdleConnsPerHost = -1 }, scripts: []script{fresh}, calls: calls(get(), get())},
		{name: "two by default", options: func(b *http.Transport) { b.MaxIdleConnsPerHost = 0 }, scripts: []script{fresh}, calls: calls(get(), get()), want: []string{"connections: 1"}},
		{name: "idle for too long", both: true, options: func(b *http.Transport) { b.IdleConnTimeout = 20 * time.Millisecond }, scripts: []script{{request, send(ok2), gone}, fresh}, calls: calls(get(), after(get(), "gone")), want: []string{"call 1: reused false"}},
		{name: "idle without an end", options: func(b *http.Transport) { b.IdleConnTimeout = 0 }, scripts: []script{fresh}, calls: calls(get(), get()), want: []string{"call 1: reused true"}},
	}
	testAll(t, list)
}

// answerAll answers whatever comes, until the client leaves.
func answerAll(p *peer) {
	for _, do := range answer(ok2) {
		do(p)
	}
}

// replayable gives a request a body that can be had again.
func replayable(r *http.Request) {
	b := r.Body.(*requestBody)
	text := b.c.body
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}
