package lean

import (
	"net/http"
	"strings"
	"testing"
)

// TestInformational: 1xx before the response.
func TestInformational(t *testing.T) {
	t.Parallel()
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
	long := "HTTP/1.1 103 Early Hints\r\nX: " + letters(900) + "\r\n\r\n"
	small := func(b *http.Transport) { b.MaxResponseHeaderBytes = 8 << 10 }
	silent := calls(call{method: "GET", no1xx: true}, call{method: "GET", no1xx: true})
	list := []scenario{
		{name: "100", both: true, scripts: []script{answer("HTTP/1.1 100 Continue\r\n\r\n" + ok2)}, calls: calls(get(), get()), want: []string{"informational 100", "call 1: reused true"}},
		{name: "100 by itself", both: true, scripts: []script{answer("HTTP/1.1 100 Continue\r\n\r\n", ok2)}, calls: calls(post("x"), post("y")), want: []string{"informational 100"}},
		{name: "102", scripts: []script{answer("HTTP/1.1 102 Processing\r\n\r\n", ok2)}, calls: calls(get(), get())},
		{name: "103", both: true, scripts: []script{answer(hints, ok2)}, calls: calls(get(), get()), want: []string{"informational 103 map[Link:[</a>; rel=preload]]"}},
		{name: "199", scripts: []script{answer("HTTP/1.1 199 X\r\n\r\n", ok2)}, calls: calls(get(), get())},
		{name: "103 that nobody looks at", scripts: []script{answer(hints, ok2)}, calls: silent, want: []string{"call 1: reused true"}},
		{name: "several", scripts: []script{answer("HTTP/1.1 100 Continue\r\n\r\n", hints, hints, ok2)}, calls: calls(get(), get())},
		{name: "many", scripts: []script{answer(strings.Repeat(hints, 3000), ok2)}, calls: calls(get())},
		{name: "many within the limit for each", options: small, scripts: []script{answer(strings.Repeat(long, 30), ok2)}, calls: calls(get(), get()), want: []string{"call 1: reused true"}},
		{name: "many beyond the limit for all", options: small, scripts: []script{{request, send(strings.Repeat(long, 30), ok2)}, answer(ok2)}, calls: silent, want: []string{"response headers exceeded 8192 bytes"}},
		{name: "one that is too long", options: small, scripts: []script{{request, send("HTTP/1.1 103 X\r\nX: "+letters(9000)+"\r\n\r\n", ok2)}, answer(ok2)}, calls: calls(get(), get()), want: []string{"response headers exceeded 8192 bytes"}},
		{name: "the hook refuses", scripts: []script{{request, send(hints, ok2)}, answer(ok2)}, calls: calls(call{method: "GET", on1xx: errCause}, get()), want: []string{"the cause", "call 1: reused false"}},
		{name: "with a length", scripts: []script{answer("HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\n", ok2)}, calls: calls(get(), get())},
		{name: "with a body", scripts: []script{{request, send("HTTP/1.1 103 X\r\nContent-Length: 4\r\n\r\nevil", ok2)}, answer(ok2)}, calls: calls(get(), get()), want: []string{"malformed"}},
		{name: "with chunked", scripts: []script{answer("HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n", ok2)}, calls: calls(get(), get())},
		{name: "that closes", scripts: []script{answer("HTTP/1.1 103 X\r\nConnection: close\r\n\r\n", ok2)}, calls: calls(get(), get())},
		{name: "in HTTP/1.0", scripts: []script{answer("HTTP/1.0 103 X\r\n\r\n", ok2)}, calls: calls(get(), get())},
		{name: "malformed", scripts: []script{{request, send("HTTP/1.1 103 X\r\nX\r\n\r\n", ok2)}, answer(ok2)}, calls: calls(get(), get()), want: []string{"malformed MIME header"}},
		{name: "and no response", both: true, scripts: []script{{request, send(hints), drop}, answer(ok2)}, calls: calls(get(), get()), want: []string{"unexpected EOF"}},
		{name: "before HEAD", scripts: []script{answer(hints, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")}, calls: calls(call{method: "HEAD"}, call{method: "HEAD"}), want: []string{"call 1: reused true"}},
		{name: "before 204", scripts: []script{answer(hints, noBody)}, calls: calls(get(), get()), want: []string{"call 1: reused true"}},
		{name: "before 101", scripts: []script{{request, send(hints, "HTTP/1.1 101 S\r\n\r\n")}, answer(ok2)}, calls: calls(get(), get())},
	}
	testAll(t, list)
}

// TestLimits: heads around the limit. A limit below the buffer's size ends within it.
func TestLimits(t *testing.T) {
	t.Parallel()
	var list []scenario
	for name, limit := range map[string]int{"64K": 64 << 10, "a buffer": 4096, "more than a buffer": 5000, "1000": 1000, "two buffers": 8192} {
		options := func(b *http.Transport) { b.MaxResponseHeaderBytes = int64(limit) }
		for off, by := range map[string]int{"two less": -2, "one less": -1, "just": 0, "one more": 1, "two more": 2, "many more": 5000} {
			one := padded(limit+by, 1)
			many := padded(limit+by, limit/100)
			for kind, text := range map[string]string{"one field": one, "many fields": many} {
				body := "ok"
				list = append(list,
					scenario{name: kind + ", " + off + " than " + name, options: options, scripts: []script{{request, send(text), answerAll}, answer(ok2)},
						calls: calls(call{method: "HEAD", done: "end"}, get())},
					scenario{name: kind + ", " + off + " than " + name + ", with a body", options: options, scripts: []script{{request, send(text + body), answerAll}, answer(ok2)},
						calls: calls(call{method: "GET", done: "end"}, get())})
			}
		}
	}
	list = append(list,
		scenario{name: "a head without an end", scripts: []script{{request, send("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 40000))}, answer(ok2)}, calls: calls(get(), get()), want: []string{"exceeded 65536 bytes"}},
		scenario{name: "a line without an end", scripts: []script{{request, send("HTTP/1.1 200 " + letters(200000))}, answer(ok2)}, calls: calls(get(), get()), want: []string{"exceeded 65536 bytes"}},
		scenario{name: "the default limit", options: func(b *http.Transport) { b.MaxResponseHeaderBytes = 0 }, scripts: []script{answer(padded(1<<20, 1) + "ok")}, calls: calls(get(), get()), want: []string{"call 1: reused true"}},
		scenario{name: "a body larger than the limit", options: func(b *http.Transport) { b.MaxResponseHeaderBytes = 1000 }, scripts: []script{answer("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + letters(100000))}, calls: calls(get(), get()), want: []string{"call 1: reused true"}},
	)
	testAll(t, list)
}

// padded is a response's head of n bytes in so many fields, with a length of 2.
func padded(n, fields int) string {
	const line, length = "HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\n"
	var b strings.Builder
	b.WriteString(line)
	for i := range fields {
		left := n - len(length) - b.Len()
		this := left / (fields - i)
		b.WriteString("X: " + letters(max(this-5, 0)) + "\r\n")
	}
	b.WriteString(length)
	return b.String()
}
