package lean

import (
	"errors"
	"testing"
)

// TestEarly: responses that do not wait for the request's body, and bodies that are not what they should be.
func TestEarly(t *testing.T) {
	t.Parallel()
	const large = 16 << 20 // more than the systems on both ends hold
	refusal := "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!"
	closing := "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!"
	bare := "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
	errBody := errors.New("the body is broken")
	fresh := answer(ok2)
	const unwrapped = "http.Transport copies the body by TCPConn.ReadFrom, whose error names the connection, without TLS; what is wrong is the same"
	slow := call{method: "POST", body: "hello", bodyWaits: "end"}
	slow.length = 5
	partial := call{method: "POST", body: "hello", length: 10, bodyWaits: "end", bodyFails: errBody}
	with := func(c call, f func(*call)) call { f(&c); return c }
	list := []scenario{
		{name: "before the body, which is short", both: true, scripts: []script{{head1, send(refusal), read(5), tell("read"), answerAll}, fresh}, calls: calls(post("hello"), call{method: "GET", after: "read"}), want: []string{`body "no!"`}},
		{name: "before the body, which is large", both: true, scripts: []script{{head1, send(refusal), wait("end"), gone}, fresh}, calls: calls(call{method: "POST", body: letters(large), done: "end"}, get()), want: []string{`body "no!"`, "call 1: reused false", "body was closed"}, differs: "how much of the body was sent is a matter of timing"},
		{name: "before the body, which is large, without a body", both: true, scripts: []script{{head1, send(bare), wait("end"), gone}, fresh}, calls: calls(call{method: "POST", body: letters(large), done: "end"}, get()), want: []string{"413", "call 1: reused false", "body was closed"}, differs: "how much of the body was sent is a matter of timing"},
		{name: "before the body, and closing", both: true, scripts: []script{{head1, send(closing), wait("end"), gone}, fresh}, calls: calls(call{method: "POST", body: letters(large), done: "end"}, get()), want: []string{`body "no!"`, "call 1: reused false"}, differs: "how much of the body was sent is a matter of timing"},
		{name: "before the body, then all of it is read", both: true, scripts: []script{{head1, send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), read(large), send("ok"), answerAll}, fresh}, calls: calls(post(letters(large)), get()), want: []string{`body "ok"`, "call 1: reused true"}},
		{name: "after some of the body", scripts: []script{{head1, read(1000), send(refusal), wait("end"), gone}, fresh}, calls: calls(call{method: "POST", body: letters(large), done: "end"}, get()), want: []string{`body "no!"`, "call 1: reused false"}, differs: "how much of the body was sent is a matter of timing"},
		{name: "while the client is slow", both: true, scripts: []script{{head1, send(refusal), gone}, fresh}, calls: calls(with(partial, func(c *call) { c.then = "answered"; c.bodyWaits = "gone" }), get()), want: []string{`body "no!"`, "call 1: reused false"}, differs: "whether the five bytes are sent before the connection is closed is a matter of timing"},
		{name: "while the client's end is slow", scripts: []script{{head1, read(5), send(refusal), gone}, fresh}, calls: calls(with(slow, func(c *call) { c.bodyWaits = "gone" }), get()), want: []string{`body "no!"`, "call 1: reused false"}},
		{name: "a response without a body, while the client's end is slow", scripts: []script{{head1, read(5), send(bare), gone}, fresh}, calls: calls(with(slow, func(c *call) { c.bodyWaits = "gone" }), get()), want: []string{"413", "call 1: reused false"}},
		{name: "the client's end comes with the response", scripts: []script{{head1, read(5), send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), wait("head"), send("ok"), answerAll}, fresh}, calls: calls(with(slow, func(c *call) { c.bodyWaits, c.then = "head", "head" }), get()), want: []string{`call 0: body "ok"`, "call 1: reused true"}},
		{name: "a head that was not read", scripts: []script{{send(ok2), request, answerAll}, fresh}, calls: calls(get(), get()), differs: "http.Transport may find the response before it looks for one", want: []string{`call 0: body "ok"`}},
		{name: "a server that is full", both: true, scripts: []script{{send("HTTP/1.1 503 Full\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), drop}}, calls: calls(get(), get(), post("x")), differs: "http.Transport may find the response before it looks for one, or fail to write before it reads", want: []string{`call 0: HTTP/1.1 "503 Full"`, `call 1: HTTP/1.1 "503 Full"`, `call 2: HTTP/1.1 "503 Full"`}},
		{name: "a long head that is not read", scripts: []script{{send(ok2), wait("end"), gone}, fresh}, calls: calls(call{method: "GET", header: map[string][]string{"X": {letters(large)}}, done: "end"}), differs: "http.Transport may find the response before it looks for one", want: []string{`call 0: body "ok"`}},

		{name: "a body that breaks", both: true, scripts: []script{{head1, gone}, fresh}, calls: calls(partial2(errBody), get()), differs: unwrapped, want: []string{"error: the body is broken []", "connections: 2"}},
		{name: "a body that breaks at once", scripts: []script{{head1, gone}, fresh}, calls: calls(call{method: "POST", length: 5, bodyFails: errBody}, get()), differs: unwrapped, want: []string{"error: the body is broken []"}},
		{name: "a body that breaks after its end", scripts: []script{{head1, gone}, fresh}, calls: calls(call{method: "POST", body: "hello", bodyFails: errBody}, get()), want: []string{"error: the body is broken []"}},
		{name: "a body that breaks on a reused connection", scripts: []script{{request, send(ok2), head1, gone}, fresh}, calls: calls(get(), partial2(errBody), get()), differs: unwrapped, want: []string{"call 1: error: the body is broken []", "call 2: reused false"}},
		{name: "a body that is too short", both: true, scripts: []script{{head1, gone}, fresh}, calls: calls(call{method: "POST", body: "hello", length: 10}, get()), want: []string{"ContentLength=10 with Body length 5"}},
		{name: "a body that is too long", both: true, scripts: []script{{head1, read(3), gone}, fresh}, calls: calls(call{method: "POST", body: "hello", length: 3}, get()), want: []string{"ContentLength=3 with Body length 5"}},
		{name: "a body that is far too long", scripts: []script{{head1, read(3), gone}, fresh}, calls: calls(call{method: "POST", body: letters(100000), length: 3}, get()), want: []string{"ContentLength=3 with Body length 100000"}},
		{name: "a body that is too long, and answered", scripts: []script{{head1, read(3), send(refusal), gone}, fresh}, calls: calls(call{method: "POST", body: "hello", length: 3}, get()), differs: "whether the response or the fault is first is a matter of timing", want: []string{"call 1: reused false"}},
		{name: "closed while the client is slow, which then breaks", both: true, scripts: []script{{head1, read(5), drop}, fresh}, calls: calls(with(partial, func(c *call) { c.bodyWaits = "closed" }), get()), differs: unwrapped, want: []string{"call 0: error: the body is broken"}},
		{name: "closed while the client is slow, which then ends", both: true, scripts: []script{{head1, read(5), drop}, fresh}, calls: calls(with(partial, func(c *call) { c.bodyWaits, c.bodyFails = "closed", nil }), get()), want: []string{"call 0: error: EOF"}},
		{name: "closed while the client is slow, which then leaves", both: true, scripts: []script{{head1, read(5), drop}, fresh}, calls: calls(with(partial, func(c *call) { c.cancel, c.bodyWaits, c.bodyFails = "closed", "canceled", nil }), get()), want: []string{"call 0: error: EOF"}},
		{name: "closed within the body", scripts: []script{{head1, read(1000), drop}, fresh}, calls: calls(post(letters(large)), get()), want: []string{"call 1: reused false", "body was closed"}, differs: "whether reading or writing fails first is a matter of timing"},
		{name: "reset within the body", scripts: []script{{head1, read(1000), reset}, fresh}, calls: calls(post(letters(large)), get()), want: []string{"call 0: error", "call 1: reused false", "body was closed"}, differs: "whether reading or writing fails first is a matter of timing"},
		{name: "half-closed within the body", scripts: []script{{head1, halfClose, read(large), gone}, fresh}, calls: calls(post(letters(large)), get()), want: []string{"call 0: error: EOF"}, differs: "how much of the body was sent is a matter of timing"},
		{name: "answered, then reset within the body", scripts: []script{{head1, send(closing), wait("head"), reset}, fresh}, calls: calls(call{method: "POST", body: letters(large), then: "head", read: -1}, get()), want: []string{"413", "call 1: reused false", "body was closed"}},
		{name: "a server that is slow to read", both: true, scripts: []script{{head1, readSlowly(3 << 20), send(ok2), answerAll}, fresh}, calls: calls(post(letters(3<<20)), get()), want: []string{`call 0: body "ok"`, "call 1: reused true"}},
		{name: "garbage before the body was read", scripts: []script{{head1, send("garbage\r\n\r\n"), gone}, fresh}, calls: calls(with(partial, func(c *call) { c.bodyWaits = "gone" }), get()), want: []string{"call 1: reused false"}, differs: "whether the garbage is found before the body breaks is a matter of timing"},
	}
	testAll(t, list)
}

// partial2 is a call whose body breaks within its length.
func partial2(err error) call {
	return call{method: "POST", body: "hello", length: 10, bodyFails: err}
}

// readSlowly reads in small pieces, so that the client has to wait.
func readSlowly(n int) step {
	return func(p *peer) {
		buf := make([]byte, 1000)
		for left := n; left > 0; {
			got, err := p.br.Read(buf[:min(left, len(buf))])
			if left -= got; err != nil {
				return
			}
		}
	}
}
