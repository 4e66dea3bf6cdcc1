package proxy

import (
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestTwoLengths: a server of HTTP/2 may name two lengths, since its frames tell where a body ends. A client of HTTP/1.1 that
// goes by the other one takes the next response for the rest of this one.
func TestTwoLengths(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
		fr := http2.NewFramer(conn, conn)
		fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		fr.WriteSettings()
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := f.(*http2.MetaHeadersFrame); ok {
				fr.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, EndHeaders: true, BlockFragment: block(":status", "200", "content-length", "3", "content-length", "5")})
				fr.WriteData(h.StreamID, true, []byte("abc"))
			}
		}
	}()
	rt := public("/{rest...}")
	rt.API = &API{Name: "other", Protocol: H2C, Upstream: mustURL(t, "http://"+ln.Addr().String())}
	w := newWorld(t, nil, rt)
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\nGET /b HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n")
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if lengths := contentLengths(string(all)); len(lengths) > 1 || !strings.HasPrefix(string(all), "HTTP/1.1 502 ") {
		t.Errorf("the lengths %q in %.40q", lengths, all)
	}
}

// contentLengths are the values of Content-Length in the first head of text.
func contentLengths(text string) (list []string) {
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			list = append(list, v)
		}
	}
	return list
}
