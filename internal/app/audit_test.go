package app

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/audit"
	"gatehouse/internal/redistest"
)

// trail are the lines of a site's audit trail, whose chain must be sound.
func (s *site) trail() (lines []map[string]any) {
	s.t.Helper()
	files, err := audit.Files(filepath.Join(s.dir, "state", "audit.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	if r, err := audit.Verify(files, ""); err != nil || !r.Sound() {
		s.t.Fatalf("the trail is not sound: %+v, %v", r, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		for text := range strings.Lines(string(content)) {
			var m map[string]any
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				s.t.Fatalf("%v in %s", err, text)
			}
			lines = append(lines, m)
		}
	}
	return lines
}

// Ensure that what is decided about tokens and what administrators do is in the trail, over a restart too, and that the
// calls of APIs are not.
func TestAuditTrail(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		n := s.start()
		raw := s.token(n, "reader")
		n.call("GET", "/orders/1", raw)
		s.revoke(n, "reader", raw)
		if status, body := n.adminBody("POST", "/api/v1/reload"); status != 200 {
			t.Fatalf("reload: %d %s", status, body)
		}
		s.file("clients.yaml", "version: 2\n")
		n.adminBody("POST", "/api/v1/reload")
		s.writeClients()
		n.stop()
		again, err := net.Listen("tcp", s.listen.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s.startOn(again).stop()

		var got []string
		for _, l := range s.trail() {
			text := l["kind"].(string) + " " + l["outcome"].(string)
			if l["action"] != nil {
				text += " " + l["action"].(string)
			}
			got = append(got, text)
		}
		want := "admin ok start, token allow, revoke allow, admin ok reload, admin refused reload, admin ok start"
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("the trail says %s\nwant %s", text, want)
		}
	})
}
