package lean

import (
	"context"
	"io"
	"net/http/httptrace"
	"testing"
)

// TestWithinOneRecord: what TLS has decrypted beyond a response is not the next one's, where the response's end was read
// without it.
func TestWithinOneRecord(t *testing.T) {
	t.Parallel()
	evil := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	pad := letters(readBuffer)
	res := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: "
	res += pad[:readBuffer-len(res)-len("\r\n\r\nok")] + "\r\n\r\nok"
	w, rt := start(t, true, nil, script{request, send(res + evil), gone}, answer(ok2))
	c := get()
	c.do(w, rt)
	if idle, _, _, _ := rt.pool.count(); idle != 0 {
		t.Error("the connection was kept")
	}
	if out := c.do(w, rt); out[0] != "reused false, was idle false" {
		t.Errorf("%q", out)
	}
}

// TestHooks: what is traced is what http.Transport traces.
func TestHooks(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "hello"} {
		var seen [2]string
		for i := range 2 {
			w := newWorld(t, true, []script{answer(ok2)})
			var rt roundTripper = w.options()
			if i == 1 {
				rt = New(w.options(), w.url())
			}
			var said []string
			say := func(s string) { said = append(said, s) }
			trace := &httptrace.ClientTrace{GetConn: func(string) { say("get") }, GotConn: func(httptrace.GotConnInfo) { say("got") },
				GotFirstResponseByte: func() { say("first") }, PutIdleConn: func(err error) {
					if err == nil {
						say("put")
					}
				}}
			wrote := make(chan string, 4)
			trace.WroteHeaders = func() { wrote <- "head" }
			trace.WroteRequest = func(i httptrace.WroteRequestInfo) { wrote <- "all" }
			for range 2 {
				c := call{method: "POST", body: body}
				r := c.request(w, context.Background())
				res, err := rt.RoundTrip(r.WithContext(httptrace.WithClientTrace(context.Background(), trace)))
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				say(<-wrote + " " + <-wrote)
			}
			for _, s := range said {
				seen[i] += s + ", "
			}
			w.finish(rt)
		}
		if seen[0] != seen[1] || seen[1] == "" {
			t.Errorf("http.Transport: %s; ours: %s", seen[0], seen[1])
		}
	}
}
