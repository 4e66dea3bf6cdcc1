package clientsfile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/*.want")

func worker() NewClient {
	return NewClient{
		ID:      "report-runner",
		Grants:  map[string][]string{"orders": {"orders:read", "orders:write"}, "users": {}},
		SHA256:  [32]byte{0: 0x9f, 31: 0xe1},
		Created: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC),
		Note:    "for the nightly reports",
		TTL:     5 * time.Minute,
	}
}

// TestCreateGolden adds one client to every file in testdata, and compares the whole file with what it should be.
func TestCreateGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "clients.yaml")
			if err := os.WriteFile(path, content, 0o640); err != nil {
				t.Fatal(err)
			}
			var got string
			if err := Create(path, worker()); err != nil {
				got = "error: " + strings.ReplaceAll(err.Error(), path, "clients.yaml") + "\n"
				unchanged(t, path, string(content))
			} else {
				got = read(t, path)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := read(t, golden); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func unchanged(t *testing.T, path, before string) {
	t.Helper()
	if got := read(t, path); got != before {
		t.Errorf("an error changed the file to:\n%s", got)
	}
}

func TestCreateNewFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clients.yaml")
	if err := Create(path, NewClient{ID: "a", SHA256: [32]byte{1}}); err != nil {
		t.Fatal(err)
	}
	want := "version: 1\nclients:\n  a:\n    secrets:\n      - sha256: \"01" + strings.Repeat("0", 62) + "\"\n"
	if got := read(t, path); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, want 0644", info.Mode().Perm())
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files beside the new one, want none: %v", len(entries)-1, err)
	}
}

func TestCreateKeepsModeAndLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "real.yaml"), filepath.Join(dir, "clients.yaml")
	if err := os.WriteFile(path, []byte("version: 1\nclients: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.yaml", link); err != nil {
		t.Skip(err)
	}
	if err := Create(link, worker()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v: %v", info.Mode(), err)
	}
	if info, err = os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600: %v", info.Mode().Perm(), err)
	}
	if got := read(t, path); !strings.Contains(got, "report-runner:") {
		t.Errorf("the client is not in the linked file:\n%s", got)
	}
	for _, to := range []string{"later.yaml", filepath.Join(t.TempDir(), "elsewhere.yaml")} { // neither is there yet
		dangling := filepath.Join(t.TempDir(), "clients.yaml")
		if err := os.Symlink(to, dangling); err != nil {
			t.Fatal(err)
		}
		if err := Create(dangling, worker()); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(dangling); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("a link to %s that is not there became a file: %v", to, err)
		}
		if got := read(t, dangling); !strings.Contains(got, "report-runner:") {
			t.Errorf("the client is not in the file that the link names:\n%s", got)
		}
	}
}

// What root changes stays its owner's: the gateway, which is not root, must still read it.
func TestCreateKeepsOwner(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	path := filepath.Join(t.TempDir(), "clients.yaml")
	if err := os.WriteFile(path, []byte("version: 1\nclients: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 1234, 2345); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, worker()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v", info.Sys()); !strings.Contains(got, "Uid:1234 Gid:2345") {
		t.Errorf("the file is another's: %s", got)
	}
}

func TestCreateRefusesClients(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]NewClient{
		"empty id":       {},
		"long id":        {ID: strings.Repeat("x", 129)},
		"space at end":   {ID: "a "},
		"control in id":  {ID: "a\nb"},
		"non-ASCII id":   {ID: "ä"},
		"API's name":     {ID: "a", Grants: map[string][]string{"a b": nil}},
		"scope":          {ID: "a", Grants: map[string][]string{"a": {"x y"}}},
		"empty scope":    {ID: "a", Grants: map[string][]string{"a": {""}}},
		"negative ttl":   {ID: "a", TTL: -time.Second},
		"ttl below 1s":   {ID: "a", TTL: time.Millisecond},
		"ttl over a day": {ID: "a", TTL: 25 * time.Hour},
	} {
		path := filepath.Join(t.TempDir(), "clients.yaml")
		if err := Create(path, c); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: the file was written", name)
		}
		if _, err := Snippet(c); err == nil {
			t.Errorf("%s: Snippet gives no error", name)
		}
	}
}

func TestSnippet(t *testing.T) {
	t.Parallel()
	c := worker()
	c.ID, c.Note, c.TTL = "12", "costs $5\nand ${HOME}", 0
	got, err := Snippet(c)
	if err != nil {
		t.Fatal(err)
	}
	want := `  "12":
    grants: {orders: ['orders:read', 'orders:write'], users: []}
    secrets:
      - sha256: 9f000000000000000000000000000000000000000000000000000000000000e1
        created: 2026-11-24
        note: "costs $$5\nand $${HOME}"
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// FuzzCreate holds that what Create writes is a file that parses and has the client, or is left alone.
func FuzzCreate(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, old []byte) {
		entry, err := entryOf(worker())
		if err != nil {
			t.Fatal(err)
		}
		text, err := add("clients.yaml", old, "report-runner", entry)
		if err != nil {
			return
		}
		root, err := parse("clients.yaml", text)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		_, clients := find(root, "clients")
		if got, _ := find(clients, "report-runner"); got == nil {
			t.Fatalf("the client is not in:\n%s", text)
		}
	})
}
