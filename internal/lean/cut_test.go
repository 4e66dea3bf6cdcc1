package lean

import (
	"fmt"
	"strings"
	"testing"
)

// TestCuts ends the connection after every byte of several responses, in three ways, on a new connection and on a used one.
func TestCuts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"length":        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
		"chunks":        chunked + "3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n",
		"no end":        "HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello",
		"no body":       "HTTP/1.1 204 No\r\nX: y\r\n\r\n",
		"informational": "HTTP/1.1 103 X\r\nX: y\r\n\r\n" + ok2,
		"kept":          "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
		"switch":        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nahead",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range len(text) + 1 {
				for kind, end := range map[string]step{"dropped": drop, "half-closed": halfClose, "reset": reset} {
					if name == "switch" && n >= len(text)-len("ahead") && n < len(text) {
						continue // how much can be written to a connection that is over is a matter of timing
					}
					for _, used := range []bool{false, true} {
						s := cut(text, n, end, used)
						s.name = fmt.Sprintf("%s after %d bytes, used %t", kind, n, used)
						s.test(t, false)
						if kind == "dropped" && n%3 == 0 {
							s.test(t, true)
						}
						if t.Failed() {
							t.Fatal(s.name)
						}
					}
				}
			}
		})
	}
}

// cut is the scenario of a response of which n bytes come.
func cut(text string, n int, end step, used bool) scenario {
	if strings.Contains(text, " 101 ") && n == len(text) {
		return scenario{scripts: []script{{request, send(text), wait("x"), gone}, answer(ok2)}, calls: calls(call{method: "GET", read: 5, done: "x"})}
	}
	s := script{request, send(text[:n]), end, tell("ended"), gone}
	c := calls(call{method: "POST", body: "b"}, call{method: "GET", after: "ended", noticed: true})
	if used {
		s = append(script{request, send(ok2)}, s...)
		c = append(calls(get()), c...)
	}
	return scenario{scripts: []script{s, answer(ok2)}, calls: c}
}
