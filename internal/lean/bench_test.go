package lean

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"testing"
)

// reply is what the server of the benchmark sends: 200 bytes with a few fields.
var reply = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 29 Nov 2026 12:00:00 GMT\r\nX-Request-Id: 0193\r\nContent-Length: 200\r\n\r\n" + letters(200))

// startReplying answers each head with reply, on as little as possible.
func startReplying(b *testing.B, secure bool, end string) *world {
	w := &world{secure: secure, events: map[string]chan struct{}{}}
	var err error
	if w.ln, err = net.Listen("tcp", loopback+":0"); err != nil {
		b.Fatal(err)
	}
	w.served.Go(func() {
		for {
			conn, err := w.ln.Accept()
			if err != nil {
				return
			}
			if secure {
				conn = tls.Server(conn, serverTLS())
			}
			w.served.Go(func() { replying(conn, end) })
		}
	})
	return w
}

func replying(conn net.Conn, end string) {
	defer conn.Close()
	buf := make([]byte, 4096)
	for n := 0; ; {
		got, err := conn.Read(buf[n:])
		if err != nil {
			return
		}
		if n += got; bytes.HasSuffix(buf[:n], []byte(end)) {
			n = 0
			conn.Write(reply)
		}
	}
}

// BenchmarkRoundTrip is a request as the proxy makes it: with a context that can be canceled, a hook and a dozen fields,
// over 64 connections at once.
func BenchmarkRoundTrip(b *testing.B) {
	for _, secure := range []bool{false, true} {
		for _, body := range []bool{false, true} {
			for _, ours := range []bool{false, true} {
				name := map[bool]string{false: "plain", true: "tls"}[secure] + map[bool]string{false: "", true: "-body"}[body] + map[bool]string{false: "/http.Transport", true: "/lean"}[ours]
				b.Run(name, func(b *testing.B) { benchmark(b, secure, body, ours) })
			}
		}
	}
}

func benchmark(b *testing.B, secure, body, ours bool) {
	w := startReplying(b, secure, map[bool]string{false: "\r\n\r\n", true: "a body"}[body])
	base := w.options()
	base.DialContext = dialer.DialContext
	var rt roundTripper = base
	if ours {
		rt = New(base, w.url())
	}
	defer func() { rt.CloseIdleConnections(); w.ln.Close(); w.served.Wait() }()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil }})
	u := w.url()
	u.Opaque = "/orders/12345"
	header := http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"bench"}, "X-Client-Id": {"billing-worker"}, "X-Token-Issuer": {"https://issuer.example"},
		"X-Token-Subject": {"billing-worker"}, "X-Token-Scopes": {"orders:read orders:write"}, "X-Request-Id": {"0193f0a1"}, "X-Real-Ip": {"192.0.2.1"}, "X-Forwarded-For": {"192.0.2.1"},
		"X-Forwarded-Host": {"api.example"}, "X-Forwarded-Proto": {"https"}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	b.ReportAllocs()
	b.SetParallelism(64) // as many connections, for each processor
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 32<<10)
		for pb.Next() {
			r := (&http.Request{Method: "GET", URL: u, Header: header}).WithContext(ctx)
			if body {
				// No reader that http.Transport knows to be in memory, as the proxy's is not.
				r.Method, r.Body, r.ContentLength = "POST", struct {
					io.Reader
					io.Closer
				}{bytes.NewReader([]byte("a body")), io.NopCloser(nil)}, 6
			}
			res, err := rt.RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			for err == nil {
				_, err = res.Body.Read(buf)
			}
			if err != io.EOF {
				b.Error(err)
				return
			}
			res.Body.Close()
		}
	})
}
