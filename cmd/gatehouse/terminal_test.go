package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/adminapi"
)

const escapes = "\x1b]0;pwned\x07\x1b[2J\u202e\u009b2J\rx"

// stranger answers every request with the same status line and document.
func stranger(t *testing.T, status, body string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					if line, err := r.ReadString('\n'); err != nil || line == "\r\n" {
						break
					}
				}
				fmt.Fprintf(c, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
			}()
		}
	}()
	return l.Addr().String()
}

// What another process says on the admin listener's port, or a server of documents, does not drive the terminal.
func TestNoEscapesFromStrangers(t *testing.T) {
	t.Parallel()
	word := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(word, []byte("a secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	problem := []adminapi.Problem{{File: escapes, Line: 1, Message: escapes}}
	for _, tt := range []struct {
		status string
		answer any // a string is sent as it is
		args   []string
	}{
		{"404 " + strings.ReplaceAll(escapes, "\r", ""), "", []string{"init", "--openapi", "http://STRANGER/openapi.yaml", "--dir", t.TempDir()}},
		{"500 no", escapes, []string{"explain", "0123456789abcdef", "--admin", "STRANGER"}},
		{"422 no", adminapi.Error{Error: escapes}, []string{"explain", "/x", "--admin", "STRANGER"}},
		{"500 no", escapes, []string{"status", "--admin", "STRANGER"}},
		{"200 OK", adminapi.Status{Node: escapes, Version: escapes, Config: adminapi.ConfigStatus{Last: adminapi.ReloadInfo{Errors: problem}}}, []string{"status", "--admin", "STRANGER"}},
		{"200 OK", adminapi.Reloaded{Result: escapes}, []string{"reload", "--admin", "STRANGER"}},
		{"422 no", adminapi.Reloaded{Errors: problem}, []string{"reload", "--admin", "STRANGER"}},
		{"200 OK", []adminapi.Key{{ID: escapes, Algorithm: escapes, State: escapes}}, []string{"keys", "list", "--admin", "STRANGER"}},
		{"200 OK", []adminapi.Rotation{{Algorithm: escapes, New: escapes, Old: escapes, Note: escapes}}, []string{"keys", "rotate", "--admin", "STRANGER"}},
		{"200 OK", []adminapi.Rotation{{Withdrawn: []string{escapes}}}, []string{"keys", "rotate", "--revoke", "--yes", "--admin", "STRANGER"}},
		{"200 OK", adminapi.Revoked{Kind: escapes}, []string{"revoke", "--client", "x", "--yes", "--admin", "STRANGER"}},
		{"401 no", map[string]string{"error": escapes, "error_description": escapes}, []string{"bench", "--target", "http://STRANGER", "--client", "x", "--secret-file", word, "--scenario", "token"}},
	} {
		body, ok := tt.answer.(string)
		if !ok {
			text, err := json.Marshal(tt.answer)
			if err != nil {
				t.Fatal(err)
			}
			body = string(text)
		}
		at := stranger(t, tt.status, body)
		args := append([]string(nil), tt.args...)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "STRANGER", at)
		}
		r := gatehouse(t, "", args...)
		if strings.ContainsAny(r.stdout+r.stderr, "\x1b\x07\r\u202e\u009b") || r.stdout+r.stderr == "" {
			t.Errorf("%v: %d %q %q", tt.args, r.code, r.stdout, r.stderr)
		}
		if shows := tt.args[0] != "revoke"; r.code == exitUsage || shows && !strings.Contains(r.stdout+r.stderr, "pwned") {
			t.Errorf("%v did not show what was answered: %d %q %q", tt.args, r.code, r.stdout, r.stderr)
		}
	}
}
