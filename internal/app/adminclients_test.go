package app

import (
	"encoding/json"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/redistest"
)

func (n *node) lastTokens(t *testing.T) map[string]string {
	t.Helper()
	status, body := n.adminBody("GET", "/api/v1/clients")
	var out adminapi.Clients
	if err := json.Unmarshal([]byte(body), &out); err != nil || status != 200 || out.Since == "" {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	days := map[string]string{}
	for _, c := range out.Clients {
		days[c.ID] = c.LastTokenDay
	}
	return days
}

// The day of a client's last token is known at once, and after a restart.
func TestLastTokenDay(t *testing.T) {
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		n := s.start()
		from := time.Now().UTC().Format(time.DateOnly)
		s.token(n, "reader")
		want := func(n *node) {
			t.Helper()
			days := n.lastTokens(t)
			if days["reader"] < from || days["writer"] != "" || len(days) < 3 {
				t.Errorf("days %v", days)
			}
		}
		want(n)
		n.stop()
		want(s.start())
	})
}
