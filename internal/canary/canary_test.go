package canary

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// recorder is a test that notes its failures.
type recorder struct {
	testing.TB
	failures int
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failures++ }

func TestCheckFindsEveryForm(t *testing.T) {
	t.Parallel()
	const value = `p+q/r=%:&"z and so on, long enough`
	for name, text := range map[string]string{
		"as it is":          "x" + value + "y",
		"clipped":           value[:24],
		"its end":           value[len(value)-17:],
		"JSON":              fmt.Sprintf("%q", value),
		"form":              url.QueryEscape(value),
		"path":              url.PathEscape(value),
		"hex":               hex.EncodeToString([]byte(value)),
		"base64":            base64.StdEncoding.EncodeToString([]byte(value)),
		"base64 after id":   base64.StdEncoding.EncodeToString([]byte("id:" + value)),
		"base64 after id 2": base64.StdEncoding.EncodeToString([]byte("id2:" + value)),
		"base64url":         base64.RawURLEncoding.EncodeToString([]byte("id22:" + value)),
	} {
		var n Nest
		n.Plant("value", value)
		r := &recorder{TB: t}
		if n.Check(r, "text", text); r.failures != 1 {
			t.Errorf("%s is not found", name)
		}
	}
	var n Nest
	n.Plant("value", value)
	for _, text := range []string{"", "p+q/r", "another text that is long enough", value[:15]} {
		n.Check(t, "a text without it", text)
	}
}

func TestCheckFindsInFilesAndValues(t *testing.T) {
	t.Parallel()
	var n Nest
	value := n.New("value")
	token := n.Token("token", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0."+value+value)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t}
	if n.CheckDir(r, dir); r.failures != 2 {
		t.Errorf("%d failures in files, want 2", r.failures)
	}
	r = &recorder{TB: t}
	if n.CheckValue(r, "value", struct{ S string }{value}); r.failures == 0 {
		t.Error("a value's dump passes")
	}
	r = &recorder{TB: t}
	if n.CheckDir(r, filepath.Join(dir, "none")); r.failures == 0 {
		t.Error("a folder that is not there passes")
	}
	n.Check(t, "a token's header and claims", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.")
}
