package lean

import (
	"net/http"
	"testing"
)

// TestPlain: the cases that make up nearly everything.
func TestPlain(t *testing.T) {
	t.Parallel()
	var list []scenario
	for _, method := range []string{"", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "M-SEARCH"} {
		list = append(list, scenario{name: "method " + method, scripts: []script{answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
			calls: calls(call{method: method}, call{method: method}), want: []string{"call 1: reused true", "connections: 1"}})
	}
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "QUERY"} {
		list = append(list, scenario{name: method + " with a body", both: true, scripts: []script{answer(ok2)},
			calls: calls(call{method: method, body: "hello"}, call{method: method, body: "again"}), want: []string{"call 1: reused true", `"hello"`, `"again"`, "connections: 1"}})
	}
	list = append(list,
		scenario{name: "a body", both: true, scripts: []script{answer(ok2)}, calls: calls(get(), get(), get()), want: []string{`call 2: body "ok"`, "call 2: reused true"}},
		scenario{name: "a body in pieces", both: true, scripts: []script{answer("HTTP/1.1 200 OK\r\n", "Content-Len", "gth: 6\r\n\r", "\n", "abc", "def")}, calls: calls(get(), get())},
		scenario{name: "chunks", both: true, scripts: []script{answer(chunked, "3\r\nabc\r\n", "1;x=y\r\nd\r\n", "0\r\n\r\n")}, calls: calls(get(), get()), want: []string{`body "abcd"`, "call 1: reused true"}},
		scenario{name: "a large body", both: true, scripts: []script{answer("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + letters(300000))}, calls: calls(get(), get()), want: []string{"300000 bytes", "connections: 1"}},
		scenario{name: "a large body is sent", both: true, scripts: []script{answer(ok2)}, calls: calls(post(letters(3<<20)), post(letters(100000))), want: []string{"3145728 bytes", "connections: 1"}},
		scenario{name: "fields of many kinds", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", header: http.Header{
			"Accept": {"a", "b"}, "X-Empty": {""}, "X-Space": {" \t x \t"}, "X-None": {}, "lower-case": {"1"}, "User-Agent": {" me "}, "Content-Length": {"7"},
			"Transfer-Encoding": {"chunked"}, "Host": {"evil"}, "Trailer": {"X"}, "Te": {"trailers"}, "X-High": {"\xff\x80"}, "content-length": {"9"}}})},
		scenario{name: "no user agent", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", header: http.Header{"User-Agent": {""}}}, call{method: "GET", header: http.Header{"User-Agent": nil}}), want: []string{"!User-Agent"}},
		scenario{name: "the default user agent", scripts: []script{answer(ok2)}, calls: calls(get()), want: []string{"User-Agent: Go-http-client/1.1"}},
		scenario{name: "a host of its own", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", host: "api.example:81"}), want: []string{"Host: api.example:81"}},
		scenario{name: "a host beyond ASCII", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", host: "bücher.example"}), want: []string{"Host: xn--"}},
		scenario{name: "a host that is none", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", host: "a b/c"}), want: []string{"Host: |"}},
		scenario{name: "a host with a zone", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", host: "[fe80::1%25en0]:80"}), want: []string{"Host: [fe80::1]:80"}},
		scenario{name: "a target with a query", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", target: "/a%2Fb/;x", edit: func(r *http.Request) { r.URL.RawQuery = "q=%zz&%" }}), want: []string{"GET /a%2Fb/;x?q=%zz&% HTTP/1.1"}},
		scenario{name: "a target with an empty query", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", edit: func(r *http.Request) { r.URL.ForceQuery = true }}), want: []string{"GET /? HTTP/1.1"}},
		scenario{name: "a target that begins with two slashes", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", edit: func(r *http.Request) {
			r.URL.Opaque, r.URL.Path, r.URL.RawPath = "", "//a/b c", "//a/b%20c"
		}}), want: []string{"GET //a/b%20c HTTP/1.1"}},
		scenario{name: "a target beyond ASCII", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", target: "/ü"})},
		scenario{name: "a target with a space", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", target: "/a b"})},
		scenario{name: "the end of a body twice", both: true, scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", twice: true}, get()), want: []string{"read again: 0 EOF", "call 1: reused true"}},
		scenario{name: "no body twice", scripts: []script{answer(noBody)}, calls: calls(call{method: "GET", twice: true}, get())},
		scenario{name: "a body that is read up to its last byte", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", read: 2}, get())},
		scenario{name: "a body that is left", both: true, scripts: []script{answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")}, calls: calls(call{method: "GET", read: 3}, get()), want: []string{"call 1: reused false", "connections: 2"}},
		scenario{name: "a body that is not read", both: true, scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", read: -1}, get()), want: []string{"call 1: reused false"}},
		scenario{name: "an empty chunked body that is not read", scripts: []script{answer(chunked + "0\r\n\r\n")}, calls: calls(call{method: "GET", read: -1}, get())},
		scenario{name: "chunks that are left", scripts: []script{answer(chunked + "3\r\nabc\r\n0\r\n\r\n")}, calls: calls(call{method: "GET", read: 1}, get())},
		scenario{name: "a head longer than a buffer", both: true, scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", header: http.Header{"X-Long": {letters(30000)}}}, get()), want: []string{"call 1: reused true"}},
		scenario{name: "a long head with a body", both: true, scripts: []script{answer(ok2)}, calls: calls(call{method: "POST", body: "b", header: http.Header{"X-Long": {letters(30000)}}}, get()), want: []string{"call 1: reused true"}},
	)
	testAll(t, list)
}

// TestHandedOver: what is not the plain case, or would be an error, is http.Transport's.
func TestHandedOver(t *testing.T) {
	t.Parallel()
	edit := func(f func(*http.Request)) []call { return calls(call{method: "GET", edit: f}) }
	header := func(k, v string) []call { return calls(call{method: "GET", header: http.Header{k: {v}}}) }
	list := []scenario{
		{name: "closed by the request", scripts: []script{answer(ok2)}, calls: edit(func(r *http.Request) { r.Close = true })},
		{name: "closed by a field", scripts: []script{answer(ok2)}, calls: header("Connection", "close")},
		{name: "two pools", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", header: http.Header{"Connection": {"keep-alive"}}}, get()),
			differs: "what is handed over has connections of its own, which the plain case can't use, nor the other way round", want: []string{"connections: 2"}},
		{name: "kept by a field", scripts: []script{answer(ok2)}, calls: header("Connection", "keep-alive")},
		{name: "an upgrade", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}})},
		{name: "an upgrade that succeeds", both: true, scripts: once(send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nahead"), halfClose),
			calls: calls(call{method: "GET", header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}}), want: []string{`body "ahead"`, "24 more bytes"}},
		{name: "expect", scripts: []script{answer("HTTP/1.1 100 Continue\r\n\r\n", ok2)}, calls: calls(call{method: "POST", body: "b", header: http.Header{"Expect": {"100-continue"}}})},
		{name: "a body of unknown length", scripts: []script{{head1, read(len("5\r\nhello\r\n0\r\n\r\n")), send(ok2)}}, calls: calls(call{method: "POST", body: "hello", length: -1}), want: []string{"Transfer-Encoding: chunked"}},
		{name: "trailers of the request", scripts: []script{{head1, read(len("5\r\nhello\r\n0\r\nX: 1\r\n\r\n")), send(ok2)}},
			calls: calls(call{method: "POST", body: "hello", length: -1, edit: func(r *http.Request) { r.Trailer = http.Header{"X": {"1"}} }}), want: []string{"Trailer: X"}},
		{name: "encoding of the request", scripts: []script{answer(ok2)}, calls: edit(func(r *http.Request) { r.TransferEncoding = []string{"identity"} })},
		{name: "connect", scripts: []script{answer(ok2)}, calls: calls(call{method: "CONNECT", target: "a:1"})},
		{name: "a field name that is none", scripts: []script{answer(ok2)}, calls: header("X Y", "1"), want: []string{"invalid header field name"}},
		{name: "a field name without a letter", scripts: []script{answer(ok2)}, calls: header("", "1"), want: []string{"invalid header field name"}},
		{name: "a value with a line end", scripts: []script{answer(ok2)}, calls: header("X", "1\r\nY: 2"), want: []string{"invalid header field value"}},
		{name: "a value with NUL", scripts: []script{answer(ok2)}, calls: header("X", "\x00"), want: []string{"invalid header field value"}},
		{name: "a bad field in a request with a body", scripts: []script{answer(ok2)}, calls: calls(call{method: "POST", body: "b", header: http.Header{"X": {"\n"}}}), want: []string{"body was closed"}},
		{name: "a method that is none", scripts: []script{answer(ok2)}, calls: calls(call{method: "G ET"}), want: []string{"invalid method"}},
		{name: "a method with a line end", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET / HTTP/1.1\r\nX: "})},
		{name: "a target with a line end", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", target: "/\r\nX: y"}), want: []string{"control character"}},
		{name: "a host with a line end", scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", host: "a\r\nX: y"})},
		{name: "no header", scripts: []script{answer(ok2)}, calls: edit(func(r *http.Request) { r.Header = nil }), want: []string{"nil Request.Header"}},
		{name: "no address", scripts: []script{answer(ok2)}, calls: edit(func(r *http.Request) { r.URL.Host = "" }), want: []string{"no Host"}},
		{name: "another scheme", scripts: []script{answer(ok2)}, calls: edit(func(r *http.Request) { r.URL.Scheme = "ftp" }), want: []string{"unsupported protocol scheme"}},
		{name: "no URL", scripts: []script{answer(ok2)}, calls: edit(func(r *http.Request) { r.URL = nil }), want: []string{"nil Request.URL"}},
		{name: "a length without a body", scripts: []script{answer(ok2)}, calls: edit(func(r *http.Request) { r.ContentLength = 5 }), want: []string{"with nil Body"}},
		{name: "a body without a length", scripts: []script{answer(ok2)}, calls: edit(func(r *http.Request) { r.Body = http.NoBody }), want: []string{"!Transfer-Encoding"}},
		{name: "without keeping", options: func(b *http.Transport) { b.DisableKeepAlives = true }, scripts: []script{answer(ok2)}, calls: calls(get(), get()), want: []string{"Connection: close"}},
		{name: "with compression", options: func(b *http.Transport) { b.DisableCompression = false }, scripts: []script{answer(ok2)}, calls: calls(get()), want: []string{"Accept-Encoding: gzip"}},
		{name: "one connection at a time", options: func(b *http.Transport) { b.MaxConnsPerHost = 1 }, scripts: []script{answer(ok2)},
			calls: calls(call{method: "GET", beside: true}, call{method: "GET", beside: true}, call{method: "GET", beside: true}), want: []string{"connections: 1"}, differs: "which call is the first is a matter of timing"},
	}
	testAll(t, list)
}

// TestTakes: what old callers may set, and options that are not known here, leave a request to http.Transport.
func TestTakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, []script{answer(ok2)})
	rt := New(w.options(), w.url())
	t.Cleanup(func() { w.finish(rt) })
	c := get()
	r := c.request(w, t.Context())
	if !rt.takes(r) {
		t.Error("the plain case is handed over")
	}
	//lint:ignore SA1019 a caller may use it all the same
	r.Cancel = make(chan struct{})
	if rt.takes(r) {
		t.Error("a request with a channel that cancels it is taken")
	}
	for name, set := range map[string]func(*http.Transport){
		"Proxy": func(b *http.Transport) { b.Proxy = http.ProxyFromEnvironment }, "DisableKeepAlives": func(b *http.Transport) { b.DisableKeepAlives = true },
		"MaxConnsPerHost": func(b *http.Transport) { b.MaxConnsPerHost = 1 }, "MaxIdleConns": func(b *http.Transport) { b.MaxIdleConns = 1 },
		"MaxIdleConnsPerHost": func(b *http.Transport) { b.MaxIdleConnsPerHost = -1 }, "DisableCompression": func(b *http.Transport) { b.DisableCompression = false },
		"ResponseHeaderTimeout": func(b *http.Transport) { b.ResponseHeaderTimeout = 1 }, "Protocols": func(b *http.Transport) { b.Protocols = nil },
		"HTTP2": func(b *http.Transport) { b.Protocols.SetHTTP2(true) }, "DialContext": func(b *http.Transport) { b.DialContext = nil },
		"ReadBufferSize": func(b *http.Transport) { b.ReadBufferSize = 1 }, "WriteBufferSize": func(b *http.Transport) { b.WriteBufferSize = 1 },
	} {
		base := w.options()
		if set(base); New(base, w.url()).able {
			t.Errorf("%s is not followed, but requests are taken", name)
		}
	}
}

func letters(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b)
}
