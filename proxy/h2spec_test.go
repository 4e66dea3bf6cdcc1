package proxy

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// THE EXCEPTIONS. What h2spec holds against the listener, with the reason why it may stand. All of it is how Go's server is
// made, and stricter or as safe as what h2spec wants; nothing of it reaches a handler.
var h2specExceptions = map[string]string{
	"http2/6.5.3 Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE": "Go closes a connection whose SETTINGS name one setting twice, instead of taking the last value: " +
		"no client does it, and it was a way to make servers work",
	"http2/8.1.2.2 Sends a HEADERS frame that contains the connection-specific header field":                       "Go answers 400 by itself instead of resetting the stream, as RFC 9113 §8.1.1 allows",
	"http2/8.1.2.2 Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"": "the same: 400 (RFC 9113 §8.1.1)",
}

// TestH2Spec is S18: every case of h2spec, the strict ones too, against the TLS listener. One that fails is on the list, and
// one that is on the list fails, or the list would outlive its reasons.
func TestH2Spec(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil, public("/{path...}"))
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{Host: host, Path: "/", Timeout: 3 * time.Second, MaxHeaderLen: 4000, TLS: true, Insecure: true, Strict: true}
	if c.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	failed, passed := map[string]string{}, 0
	for _, g := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		g.Test(c)
		passed += g.PassedCount
		collectFailures(g, failed)
	}
	for name, why := range failed {
		if h2specExceptions[name] == "" {
			t.Errorf("%s: %s", name, why)
		}
	}
	for name := range h2specExceptions {
		if failed[name] == "" {
			t.Errorf("%s passes now: take it off the list", name)
		}
	}
	if passed < 140 {
		t.Errorf("only %d cases passed, want at least 140: were all run?", passed)
	}
}

func collectFailures(g *spec.TestGroup, into map[string]string) {
	for _, list := range [][]*spec.TestCase{g.Tests, g.StrictTests} {
		for _, c := range list {
			if c.Result != nil && c.Result.Failed {
				into[g.ID()+" "+c.Desc] = c.Result.Error.Error()
			}
		}
	}
	for _, sub := range g.Groups {
		collectFailures(sub, into)
	}
}
