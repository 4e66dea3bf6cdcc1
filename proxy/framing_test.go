package proxy

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// post is a request to /p with the given framing headers and body, and a second request after it.
func post(framing, body string) string {
	return "POST /p HTTP/1.1\r\nHost: gate.example\r\n" + framing + "\r\n\r\n" + body + "GET /admin HTTP/1.1\r\nHost: gate.example\r\n\r\n"
}

// TestFraming is S3 to S6: what net/http settles. The upstream gets one request or none, cleanly framed, and never the
// pipelined second one as part of it or in its place.
func TestFraming(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("POST /p"), scoped("GET /admin", "admin"))
	for _, tt := range []struct {
		name, framing, body string
		status              int
		upstream            string // body
		second              bool   // the second request is answered, on its own
	}{
		{"length", "Content-Length: 2", "hi", 200, "hi", true},
		{"chunked", "Transfer-Encoding: chunked", "2\r\nhi\r\n0\r\n\r\n", 200, "hi", false},
		{"both", "Content-Length: 4\r\nTransfer-Encoding: chunked", "2\r\nhi\r\n0\r\n\r\n", 200, "hi", false},
		{"two lengths", "Content-Length: 2\r\nContent-Length: 3", "hi", 400, "", false},
		{"signed length", "Content-Length: +2", "hi", 400, "", false},
		{"empty length", "Content-Length: ", "hi", 400, "", false},
		{"unknown coding", "Transfer-Encoding: xchunked", "hi", 501, "", false},
		{"two codings", "Transfer-Encoding: gzip, chunked", "hi", 501, "", false},
		{"coding twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "2\r\nhi\r\n0\r\n\r\n", 501, "", false},
		{"space before colon", "Transfer-Encoding : chunked", "2\r\nhi\r\n0\r\n\r\n", 400, "", false},
		{"bare LF chunk", "Transfer-Encoding: chunked", "2\nhi\r\n0\r\n\r\n", 400, "", false},
		{"bad chunk", "Transfer-Encoding: chunked", "zz\r\nhi\r\n0\r\n\r\n", 400, "", false},
		{"empty name", ": x\r\nContent-Length: 0", "", 400, "", false},
		{"CR in value", "X: a\rb\r\nContent-Length: 0", "", 400, "", false},
		{"NUL in value", "X: a\x00b\r\nContent-Length: 0", "", 400, "", false},
		{"expect", "Expect: 200-maybe\r\nContent-Length: 2", "hi", 417, "", false},
	} {
		list := w.raw(post(tt.framing, tt.body), "POST", "GET")
		seen := w.up.take()
		if len(list) == 0 || list[0].StatusCode != tt.status || (len(list) == 2) != tt.second {
			t.Errorf("%s: %d answers, first %+v; want %d, second %v", tt.name, len(list), list, tt.status, tt.second)
			continue
		}
		if tt.status != 200 {
			if len(seen) != 0 {
				t.Errorf("%s: the upstream saw %v", tt.name, seen)
			}
			continue
		}
		if len(seen) != 1 || seen[0].body != tt.upstream || len(seen[0].encoding) > 0 && seen[0].header.Get("Content-Length") != "" {
			t.Errorf("%s: the upstream saw %+v", tt.name, seen)
		}
		if tt.second && list[1].StatusCode != 401 {
			t.Errorf("%s: the second request was answered %d, want 401", tt.name, list[1].StatusCode)
		}
	}
}

// TestFramingOfOldHTTP: net/http ignores Transfer-Encoding under HTTP/1.0, so the connection ends there.
func TestFramingOfOldHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("POST /p"), public("GET /admin"))
	text := strings.Replace(post("Connection: keep-alive\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), "HTTP/1.1", "HTTP/1.0", 1)
	if list := w.raw(text, "POST", "GET"); len(list) != 1 {
		t.Errorf("%d answers, want 1", len(list))
	}
	if seen := w.up.take(); len(seen) != 1 || seen[0].method != "POST" {
		t.Errorf("the upstream saw %+v", seen)
	}
}

// smuggles are header spellings with which proxies have been made to disagree about the end of a request.
func smuggles(t *testing.T) (list []string) {
	var file struct {
		Templates []struct{ Header, Text string }
		Gadgets   map[string]string `json:"te_gadgets"`
		Doubles   map[string]string `json:"te_doubles"`
	}
	for _, name := range []string{"smuggle-portswigger.json", "smuggle-smuggler.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
	}
	for _, tpl := range file.Templates {
		value := "chunked"
		if tpl.Header == "Content-Length" {
			value = "5"
		}
		list = append(list, strings.ReplaceAll(tpl.Text, "\x01VALUE\x01", value))
	}
	for _, m := range []map[string]string{file.Gadgets, file.Doubles} {
		for _, text := range m {
			list = append(list, text)
		}
	}
	if len(list) < 1000 {
		t.Fatalf("only %d spellings: is testdata whole?", len(list))
	}
	for i, text := range list { // the files hold latin-1
		b := make([]byte, 0, len(text))
		for _, r := range text {
			b = append(b, byte(r))
		}
		list[i] = string(b)
	}
	return list
}

// TestSmuggling sends each spelling beside a Content-Length that covers a whole hidden request. An upstream must never see
// the hidden one.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("POST /p"), public("GET /hidden"))
	hidden := "GET /hidden HTTP/1.1\r\nHost: gate.example\r\n\r\n"
	body := "0\r\n\r\n" + hidden
	for _, text := range smuggles(t) {
		w.raw(fmt.Sprintf("POST /p HTTP/1.1\r\nHost: gate.example\r\nContent-Length: %d\r\n%s\r\n\r\n%s", len(body), text, body), "POST")
		for _, s := range w.up.take() {
			if s.target == "/hidden" {
				t.Errorf("%q: the upstream saw the hidden request", text)
			}
			if s.length >= 0 && len(s.encoding) > 0 || s.length < 0 && len(s.encoding) != 1 {
				t.Errorf("%q: framed twice or not at all: length %d, coding %v", text, s.length, s.encoding)
			}
		}
	}
}

// TestTrailers is H14: what may not be a header may not be a trailer.
func TestTrailers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("POST /p"))
	w.raw("POST /p HTTP/1.1\r\nHost: gate.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Client-Id, Grpc-Note, X_Token_Subject\r\n"+
		"trailer: authorization, host, x-request-id, traceparent, tracestate\r\n\r\n"+
		"2\r\nhi\r\n0\r\nX-Client-Id: evil\r\nGrpc-Note: good\r\nX_Token_Subject: evil\r\nX-Token-Scopes: evil\r\n"+
		"authorization: evil\r\nhost: evil\r\nx-request-id: evil\r\ntraceparent: evil\r\ntracestate: evil\r\n\r\n", "POST")
	seen := w.up.take()
	if len(seen) != 1 {
		t.Fatalf("%d requests upstream", len(seen))
	}
	if got := fmt.Sprint(seen[0].trailer); got != "map[Grpc-Note:[good]]" {
		t.Errorf("trailers %s", got)
	}
	if seen[0].header.Get("X-Client-Id") != "" {
		t.Error("a trailer became a header")
	}
}
