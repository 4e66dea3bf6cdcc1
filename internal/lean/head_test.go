package lean

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestHead: what is built is what http.Request.Write writes, byte for byte, for requests drawn at random; what is not
// built is refused by it, or is of a kind that is handed over.
func TestHead(t *testing.T) {
	t.Parallel()
	draw := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[draw.IntN(len(of))] }
	built := 0
	for range 20000 {
		u := &url.URL{Scheme: "http", Host: "api.internal:8080", Opaque: pick("", "/", "/a", "/a%2fb;c", "//x", "/\u00fc", "/ ", "/\x00", "/\r\n", "*"), RawQuery: pick("", "", "a=b", "%zz", "a b", "a\nb"), ForceQuery: draw.IntN(9) == 0}
		u.Path = pick("", "/p", "//p", "/p q")
		r := &http.Request{Method: pick("", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "X-Y", "G T", "CONNECT"), URL: u, Header: http.Header{},
			Host: pick("", "", "api.internal:8080", "other", "a.b:1", "[::1]:80", "[fe80::1%25e]", "b\u00fccher", "a b", "a/b", "UPPER", "under_score", "a\r\nb")}
		for range draw.IntN(6) {
			name := pick("Accept", "X-A", "x-a", "X-B", "X-b", "User-Agent", "user-agent", "Host", "host", "Content-Length", "content-length", "Transfer-Encoding", "transfer-encoding", "Trailer", "Te", "Cookie", "X Y", "", "X:", "Connection", "Expect", "Upgrade", "X\u00fc")
			for range draw.IntN(3) {
				r.Header[name] = append(r.Header[name], pick("", "a", " a ", "\ta\t", "a\nb", "a\r\nb", "\x00", "\xff", "\x7f", "a b", "  "))
			}
			if draw.IntN(9) == 0 {
				r.Header[name] = nil
			}
		}
		if draw.IntN(3) == 0 {
			r.Body, r.ContentLength = http.MaxBytesReader(nil, http.NoBody, 0), int64(draw.IntN(3)+1)
		}
		h := new(head)
		if !h.build(r, u.Host) {
			continue
		}
		built++
		var want bytes.Buffer
		body := r.Body
		err := r.Write(&want)
		head, _, _ := strings.Cut(want.String(), "\r\n\r\n")
		if err != nil && body == nil {
			t.Fatalf("%q was built, but http refuses it: %v", h.b, err)
		}
		if head += "\r\n\r\n"; string(h.b) != head {
			t.Fatalf("built\n%q, http writes\n%q", h.b, head)
		}
		if bytes.Count(h.b, []byte("\r\n\r\n")) != 1 || !bytes.HasSuffix(h.b, []byte("\r\n\r\n")) || bytes.ContainsAny(h.b, "\x00") {
			t.Fatalf("%q is not one head", h.b)
		}
	}
	if built < 1000 {
		t.Errorf("only %d heads were built: that proves little", built)
	}
}

// TestHeadIsForgotten: a head that is used again holds nothing of the request before.
func TestHeadIsForgotten(t *testing.T) {
	t.Parallel()
	h := new(head)
	request := func(header http.Header) *http.Request {
		return &http.Request{URL: &url.URL{Scheme: "http", Host: "a", Opaque: "/"}, Header: header}
	}
	for _, header := range []http.Header{{"X-Secret": {"s"}}, {"A-Secret": {"s"}, "X": {"\x00"}}} {
		h.build(request(header), "a")
		if !h.build(request(http.Header{}), "a") || strings.Contains(string(h.b), "Secret") {
			t.Errorf("built %q", h.b)
		}
	}
	h.free()
	if slices.ContainsFunc(h.fields[:cap(h.fields)], func(f field) bool { return f.values != nil }) {
		t.Error("a head that was given back holds on to values")
	}
}
