package app

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"gatehouse/internal/redistest"
	"gatehouse/internal/statuspage"
)

// What is left of a client's limits is what its next requests find, on either engine, and looking takes nothing.
func TestLimitUse(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		s.client("limited", "grants: {orders: [orders:read]}\n    quota: {tokens: 10, per: 24h}\n    rate_limit: {requests: 20, per: 24h}")
		n := s.start()
		use := func() (left []int64) {
			for _, u := range n.limitUse(t.Context(), "limited") {
				if u.Share || u.Unknown {
					t.Errorf("%+v", u)
				}
				left = append(left, u.Left)
			}
			return left
		}
		if list := n.limitUse(t.Context(), "limited"); len(list) != 2 || list[0] != (statuspage.Use{What: "tokens", Limit: "10 per 24h0m0s", Left: 10, Of: 10}) ||
			list[1].What != "requests to all APIs" || list[1].Left != list[1].Of {
			t.Fatalf("at first: %+v", list)
		}
		full := use()[1]
		token := s.token(n, "limited")
		for range 3 {
			if a := n.call("GET", "/orders/1", token); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		for range 3 { // a look takes nothing
			if left := use(); left[0] != 9 || left[1] != full-3 {
				t.Errorf("left are %v of 10 and %d", left, full)
			}
		}
		if n.limitUse(t.Context(), "nobody") != nil {
			t.Error("a client that there is not has limits")
		}
		res, err := http.Get("http://" + n.AdminAddr().String() + "/clients/one?id=limited")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, _ := io.ReadAll(res.Body); !strings.Contains(string(body), "9 of 10") {
			t.Errorf("the page lacks them:\n%s", body)
		}
	})
}
