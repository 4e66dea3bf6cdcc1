// Package canary helps tests to hold that a secret stays where it belongs: plant what must not come out, run the program,
// and check everything that came out of it. It exists for tests alone.
//
// What is looked for is not the planted text as a whole but every piece of 16 bytes of it, at steps of 8, so that a text
// that was clipped, cut in two or put between others is found as well: plain, and as base64, base64url, hex, form and JSON
// would write it.
package canary

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// piece is how many bytes of a planted text may not come out in a row, and step how far apart the pieces begin.
const (
	piece = 16
	step  = 8
)

// Nest holds what was planted. The zero value is empty. It is safe for concurrent use.
type Nest struct {
	mu      sync.Mutex
	planted []planted
}

type planted struct{ name, value string }

// Plant remembers a value that must not come out, under a name for the failure's message, and returns it. A value of
// less than 16 bytes could be met by chance, and panics.
func (n *Nest) Plant(name, value string) string {
	if len(value) < piece {
		panic("canary: " + name + " is too short to be told from other text")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.planted = append(n.planted, planted{name, value})
	return value
}

// New makes and plants a value of random letters.
func (n *Nest) New(name string) string { return n.Plant(name, "canary"+rand.Text()) }

// Token plants the signature of a token, and returns the token. Its header and claims open nothing, and are printed on
// purpose in places; with the signature beside them they would.
func (n *Nest) Token(name, raw string) string {
	n.Plant(name, raw[strings.LastIndex(raw, ".")+1:])
	return raw
}

// Check fails the test for each planted value of which a piece is in text. Where says what the text is.
func (n *Nest) Check(t testing.TB, where, text string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.planted {
		if found := p.in(text); found != "" {
			at := strings.Index(text, found)
			t.Errorf("%s came out in %s, as %q: …%q…", p.name, where, found, text[max(0, at-100):min(len(text), at+len(found)+20)])
		}
	}
}

// CheckDir checks every file below a folder.
func (n *Nest) CheckDir(t testing.TB, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		files++
		n.Check(t, path, string(content))
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%s: %d files read: %v", dir, files, err)
	}
}

// CheckValue checks what a value prints as, in the ways in which values come to be printed by accident.
func (n *Nest) CheckValue(t testing.TB, where string, v any) {
	t.Helper()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		n.Check(t, where+" as "+format, fmt.Sprintf(format, v))
	}
	if text, err := json.Marshal(v); err == nil {
		n.Check(t, where+" as JSON", string(text))
	}
}

// in returns the piece of the value that the text holds, "" where it holds none.
func (p planted) in(text string) string {
	for _, form := range forms(p.value) {
		for at := 0; at+piece <= len(form); at += step {
			if s := form[at : at+piece]; strings.Contains(text, s) {
				return s
			}
		}
		if s := form[max(0, len(form)-piece):]; strings.Contains(text, s) {
			return s
		}
	}
	return ""
}

// forms are the ways to write a value that are looked for. Base64 has three, by where in it the value begins.
func forms(value string) []string {
	quoted, _ := json.Marshal(value) // a string always has a form
	out := []string{value, hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
		url.QueryEscape(value), url.PathEscape(value), strings.Trim(string(quoted), `"`)}
	for skip := range 3 {
		whole := (len(value) - skip) / 3 * 3
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			out = append(out, enc.EncodeToString([]byte(value[skip:skip+whole])))
		}
	}
	return out
}
