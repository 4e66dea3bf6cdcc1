package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestCause(t *testing.T) {
	timeout, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&url.Error{Op: "Get", URL: "http://127.0.0.1:1", Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}, "connection refused"},
		{&net.OpError{Op: "read", Addr: &net.TCPAddr{Port: 40123}, Err: io.EOF}, "EOF"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout"},
		{timeout.Err(), "timeout"},
		{fmt.Errorf("a call: %w", context.Canceled), "timeout"},
		{errors.New("malformed HTTP response \"\x1b[2J\u202e\u009b" + strings.Repeat("x", 100)), "malformed HTTP response \"?[2J??" + strings.Repeat("x", 49)},
	} {
		if got := cause(tc.err); got != tc.want {
			t.Errorf("the cause of %q is %q, want %q", tc.err, got, tc.want)
		}
	}
}

func TestScrape(t *testing.T) {
	text := "# HELP a b\n# TYPE a counter\na 3\nb{x=\"1 2\"} 1.5e+06\nprocess_cpu_seconds_total 2.5\ngo_memstats_mallocs_total 7\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			fmt.Fprint(w, text)
		case "/broken":
			fmt.Fprint(w, "a b\n")
		default:
			fmt.Fprint(w, "a 1\n")
		}
	}))
	defer server.Close()
	m, err := Scrape(t.Context(), server.URL+"/metrics")
	if err != nil || len(m) != 4 || m["a"] != 3 || m[`b{x="1 2"}`] != 1.5e6 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := Scrape(t.Context(), server.URL+"/broken"); err == nil {
		t.Error("a scrape of what is no sample")
	}
	if u, err := UsageAt(server.URL + "/metrics")(t.Context()); err != nil || u != (Usage{2.5, 7}) {
		t.Errorf("%v, %v", u, err)
	}
	if _, err := UsageAt(server.URL + "/other")(t.Context()); err == nil {
		t.Error("the usage of a process that does not say it")
	}
}
