package clientsfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	hashA = "1111111111111111111111111111111111111111111111111111111111111111"
	hashB = "2222222222222222222222222222222222222222222222222222222222222222"
	hashN = "9f000000000000000000000000000000000000000000000000000000000000e1"
)

var until = time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)

const before = `# Who may ask for tokens.
version: 1

clients:
  # Charges cards at night.
  billing-worker:
    grants: {orders: [orders:read]}   # read only

    # made by hand
    secrets:
      - sha256: ` + hashA + `
        note: 'first one'

    ttl: 5m   # short

  # Nobody knows.
  other: {disabled: true}
# the end
`

type change struct {
	name   string
	before string // "": the text above
	do     func(path string) error
	// want are pairs of what is replaced in the text before.
	want []string
}

func rotate(id string) func(string) error {
	return func(path string) error {
		return Rotate(path, id, NewSecret{SHA256: worker().SHA256, Created: worker().Created, Note: "n"}, until)
	}
}

func finish(id string) func(string) error {
	return func(path string) error { _, err := FinishRotation(path, id); return err }
}

func changes() []change {
	twoSecrets := strings.Replace(before, "        note: 'first one'\n", "        note: 'first one'\n        not_after: 2026-01-01T00:00:00Z # soon\n      - sha256: "+hashB+"\n", 1)
	return []change{
		{"rotate", "", rotate("billing-worker"), []string{"        note: 'first one'\n", "        note: 'first one'\n        not_after: 2026-11-25T08:00:00Z\n" +
			"      - sha256: " + hashN + "\n        created: 2026-11-24\n        note: n\n"}},
		{"rotate again", twoSecrets, rotate("billing-worker"), []string{hashB + "\n", hashB + "\n        not_after: 2026-11-25T08:00:00Z\n" +
			"      - sha256: " + hashN + "\n        created: 2026-11-24\n        note: n\n"}},
		{"rotate a client in one line", "", rotate("other"), []string{"  other: {disabled: true}\n", "  other:\n    disabled: true\n    secrets:\n      - sha256: " + hashN + "\n        created: 2026-11-24\n        note: n\n"}},
		{"finish", twoSecrets, finish("billing-worker"), []string{"      - sha256: " + hashA + "\n        note: 'first one'\n        not_after: 2026-01-01T00:00:00Z # soon\n", ""}},
		{"disable", "", func(p string) error { return SetDisabled(p, "billing-worker", true) }, []string{"    ttl: 5m   # short\n", "    ttl: 5m   # short\n    disabled: true\n"}},
		{"enable", "", func(p string) error { return SetDisabled(p, "other", false) }, []string{"  other: {disabled: true}\n", "  other: {}\n"}},
		{"grant a scope", "", func(p string) error {
			return Grant(p, "billing-worker", "orders", []string{"orders:write", "orders:read"})
		},
			[]string{"{orders: [orders:read]}   # read only", "{orders: ['orders:read', 'orders:write']} # read only"}},
		{"grant an API", "", func(p string) error { return Grant(p, "billing-worker", "users", nil) },
			[]string{"{orders: [orders:read]}   # read only", "{orders: ['orders:read'], users: []} # read only"}},
		{"grant where none is", "", func(p string) error { return Grant(p, "other", "orders", []string{"orders:read"}) },
			[]string{"  other: {disabled: true}\n", "  other:\n    disabled: true\n    grants: {orders: ['orders:read']}\n"}},
		{"revoke the last scope", "", func(p string) error { return RevokeGrant(p, "billing-worker", "orders", []string{"orders:read"}) },
			[]string{"{orders: [orders:read]}   # read only", "{} # read only"}},
		{"revoke an API", "", func(p string) error { return RevokeGrant(p, "billing-worker", "orders", nil) },
			[]string{"{orders: [orders:read]}   # read only", "{} # read only"}},
		{"grants over several lines", strings.Replace(before, "    grants: {orders: [orders:read]}   # read only\n", "    grants:\n      orders:\n        - orders:read  # all\n        - orders:write\n", 1),
			func(p string) error { return RevokeGrant(p, "billing-worker", "orders", []string{"orders:write"}) },
			[]string{"        - orders:read  # all\n        - orders:write\n", "        - orders:read # all\n"}},
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	for _, tc := range changes() {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			old := tc.before
			if old == "" {
				old = before
			}
			path := file(t, old)
			if err := tc.do(path); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(old, tc.want[0]) {
				t.Fatalf("%q is not in the text before", tc.want[0])
			}
			if got, want := read(t, path), strings.Replace(old, tc.want[0], tc.want[1], 1); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clients.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestChangesRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		do   func(path string) error
		want string // "": ErrUnchanged
	}{
		{"an unknown client", rotate("nobody"), "gatehouse client list"},
		{"nothing to finish", finish("billing-worker"), ""},
		{"enabled already", func(p string) error { return SetDisabled(p, "billing-worker", false) }, ""},
		{"disabled already", func(p string) error { return SetDisabled(p, "other", true) }, ""},
		{"granted already", func(p string) error { return Grant(p, "billing-worker", "orders", []string{"orders:read"}) }, ""},
		{"not granted", func(p string) error { return RevokeGrant(p, "billing-worker", "orders", []string{"orders:write"}) }, ""},
		{"no such grant", func(p string) error { return RevokeGrant(p, "other", "orders", nil) }, ""},
		{"no scope", func(p string) error { return Grant(p, "other", "orders", []string{"a b"}) }, "not a scope"},
		{"no name", func(p string) error { return Grant(p, "other", "a/b", nil) }, "not the name"},
	} {
		path := file(t, before)
		err := tc.do(path)
		if tc.want == "" && !errors.Is(err, ErrUnchanged) || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", tc.name, err)
		}
		unchanged(t, path, before)
	}
	path := file(t, "version: 1\nclients:\n  a: {auth: private_key_jwt, jwks_file: a.json}\n  b: {secrets: [{sha256: x, not_after: 2026-01-01T00:00:00Z}]}\n")
	if err := rotate("a")(path); err == nil || !strings.Contains(err.Error(), "private_key_jwt") {
		t.Errorf("a client without secrets: %v", err)
	}
	if err := finish("b")(path); err == nil || !strings.Contains(err.Error(), "rotate first") {
		t.Errorf("none would remain: %v", err)
	}
	if err := rotate("a")(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Whatever the style of the file, a change leaves a file that says what it said and the change besides, or an error and
// the file as it was. Comments stay.
func FuzzChange(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b, "a")
		}
	}
	f.Add([]byte(before), "billing-worker")
	f.Add([]byte(before), "other")
	for _, tc := range changes() {
		f.Add([]byte(tc.before), "billing-worker")
	}
	f.Fuzz(func(t *testing.T, old []byte, id string) {
		path := file(t, string(old))
		for _, do := range []func() error{
			func() error { return rotate(id)(path) },
			func() error { return Grant(path, id, "orders", []string{"x:y"}) },
			func() error { return SetDisabled(path, id, true) },
			func() error { return RevokeGrant(path, id, "orders", []string{"x:y"}) },
			func() error { return SetDisabled(path, id, false) },
			func() error { return finish(id)(path) },
		} {
			was := read(t, path)
			err := do()
			now := read(t, path)
			if err != nil {
				if now != was {
					t.Fatalf("%v, and the file became:\n%s", err, now)
				}
				continue
			}
			root, err := parse(path, []byte(now))
			if err != nil || root == nil {
				t.Fatalf("%v in:\n%s", err, now)
			}
			if _, err := clientIn(path, root, id); err != nil {
				t.Fatalf("%v in:\n%s", err, now)
			}
		}
	})
}
