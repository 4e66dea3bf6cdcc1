package app

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
)

// What passes and what is refused is counted for its route, and goes on to be after a reload.
func TestRoutesAreCounted(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	n := s.start()
	token := s.token(n, "reader")
	for range 3 {
		n.call("GET", "/orders/1", token)
	}
	n.call("POST", "/orders", token)
	n.call("GET", "/nowhere", token)
	find := func(match string) (found adminapi.Route) {
		t.Helper()
		var list []adminapi.Route
		if status := n.adminCall("GET", "/api/v1/routes", nil, &list); status != 200 || len(list) != 4 {
			t.Fatalf("%d: %+v", status, list)
		}
		for _, r := range list {
			if r.API == "orders" && r.Match == match {
				found = r
			}
		}
		return found
	}
	// A request counts once it is over, which its caller may see a moment before.
	eventually(t, 10*time.Second, "the counts", func() bool { return find("GET /orders/{id}").Requests == 3 && find("POST /orders").Denied == 1 })
	if r := find("GET /orders/{id}"); r.Denied != 0 || r.P95 <= 0 || r.Last.IsZero() || r.Needs != "orders:read" || !strings.Contains(r.Where, "config.yaml:") {
		t.Errorf("%+v", r)
	}
	if r := find("GET /open/{path...}"); r.Requests != 0 || !r.Last.IsZero() || r.Auth != "public" {
		t.Errorf("a route that nobody used: %+v", r)
	}
	if _, err := n.Reload("api"); err != nil {
		t.Fatal(err)
	}
	if r := find("GET /orders/{id}"); r.Requests != 3 {
		t.Errorf("after a reload: %+v", r)
	}
}

func (n *node) openStream(path string) (int, http.Header, io.ReadCloser) {
	n.t.Helper()
	res, err := http.Get("http://" + n.AdminAddr().String() + path)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { res.Body.Close() })
	return res.StatusCode, res.Header, res.Body
}

// The page of a running gateway ends its streams when the process drains.
func TestStreamEndsOnDrain(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	n := s.start()
	status, header, body := n.openStream("/events?page=overview")
	if status != 200 || header.Get("Content-Security-Policy") == "" || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", status, header)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 4096); ; {
			if _, err := body.Read(buf); err != nil {
				return
			}
		}
	}()
	n.stop()
	<-ended
}
