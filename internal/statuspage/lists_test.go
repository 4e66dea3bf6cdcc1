package statuspage

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
)

func TestSort(t *testing.T) {
	s := serve(t)
	now := time.Now()
	list := []adminapi.Route{
		{API: "b", Match: "GET /one", Method: "GET", Pattern: "/one", Requests: 9, Denied: 9, P95: .1, Last: now},
		{API: "a", Match: "GET /two", Method: "GET", Pattern: "/two", Requests: 100, P95: .3, Last: now.Add(-time.Hour)},
		{API: "c", Match: "GET /three", Method: "GET", Pattern: "/three", Requests: 50, Failed: 1, P95: .2},
	}
	s.page.o.Routes = func() []adminapi.Route { return list }
	for order, want := range map[string]string{"": "three one two", "api": "two one three", "route": "one three two", "requests": "two three one", "denied": "one two three",
		"failed": "three one two", "p95": "two three one", "last": "one two three", "nonsense": "three one two"} {
		status, body, _ := s.load(t, "/routes?q=GET&sort="+order)
		var got []string
		for _, m := range regexp.MustCompile(`<code>GET /(\w+)</code>`).FindAllStringSubmatch(body, -1) {
			got = append(got, m[1])
		}
		if status != 200 || strings.Join(got, " ") != want {
			t.Errorf("sort=%s: %v, want %s", order, got, want)
		}
		if marked := strings.Count(body, "aria-sort="); marked > 1 || (marked == 1) == (order == "" || order == "nonsense") {
			t.Errorf("sort=%s: %d columns are marked", order, marked)
		}
		// The stream and the filter keep the order.
		if known := order != "" && order != "nonsense"; known != strings.Contains(body, `name="sort" value="`+order+`"`) || known && !strings.Contains(body, "sort="+order+`">`) {
			t.Errorf("sort=%s is lost", order)
		}
	}
}

func TestLongListsSaySo(t *testing.T) {
	s := serve(t)
	routes, clients := make([]adminapi.Route, 2000), make([]Client, 10_000)
	for i := range routes {
		routes[i] = adminapi.Route{API: "orders", Match: fmt.Sprintf("GET /%d", i)}
	}
	for i := range clients {
		clients[i].ID = fmt.Sprintf("worker-%d", i)
	}
	s.page.o.Routes = func() []adminapi.Route { return routes }
	s.page.o.Clients = func() []Client { return clients }
	for path, want := range map[string]string{
		"/routes":              "500 of 2\u202f000 routes are shown. The filter finds the others.",
		"/routes?q=/199":       "11 of 2\u202f000 routes are shown.</p>",
		"/clients":             "500 of 10\u202f000 clients are shown. The filter finds the others.",
		"/clients?q=worker-99": "111 of 10\u202f000 clients are shown.</p>",
	} {
		if _, body, _ := s.load(t, path); !strings.Contains(body, want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
}

func TestFilterDenials(t *testing.T) {
	s := serve(t)
	for q, found := range map[string]bool{"REQ1": true, "insufficient": true, "403": true, "gnp.exe": true, "route needs x": true, "nothing of it": false} {
		status, body, _ := s.load(t, "/denials?q="+url.QueryEscape(q))
		if status != 200 || strings.Contains(body, `href="/denials/req1"`) != found || strings.Contains(body, "Nothing that was refused matches.") == found {
			t.Errorf("%q: %d, found is not %t", q, status, found)
		}
	}
}
