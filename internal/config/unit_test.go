package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	env := map[string]string{"A": "a", "EMPTY": "", "LOOP": "${A}$$", "_x1": "x"}
	getenv := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, tt := range []struct{ in, want, err string }{
		{in: "", want: ""},
		{in: "plain", want: "plain"},
		{in: "${A}", want: "a"},
		{in: "x${A}${_x1}y", want: "xaxy"},
		{in: "${LOOP}", want: "${A}$$"},
		{in: "${B:-b}", want: "b"},
		{in: "${EMPTY:-b}", want: "b"},
		{in: "${A:-b}", want: "a"},
		{in: "${B:-}", want: ""},
		{in: "${B:-a:-b}", want: "a:-b"},
		{in: "${B:-$$}", want: "$"},
		{in: "$$", want: "$"},
		{in: "$${A}", want: "${A}"},
		{in: "$$${A}", want: "$a"},
		{in: "$A $", want: "$A $"},
		{in: "/x/{$}", want: "/x/{$}"},
		{in: "$argon2id$v=19$m=1", want: "$argon2id$v=19$m=1"},
		{in: "${EMPTY}", err: "EMPTY is not set"},
		{in: "${B}", err: "B is not set"},
		{in: "${}", err: "not a variable"},
		{in: "${1A}", err: "not a variable"},
		{in: "${A", err: "not a variable"},
		{in: "${A-b}", err: "not a variable"},
		{in: "${B:-${A}}", err: "another variable"},
	} {
		got, err := expand(tt.in, getenv)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("expand(%q) gives error %v, want %q", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("expand(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"scopes", "streaming", "match", "mode", "auth"}
	for got, want := range map[string]string{
		"scpoes": "scopes", "scope": "scopes", "Match": "match", "stremaing": "streaming", "mod": "mode", "AUTH": "auth",
		"routes": "", "": "", "x": "", strings.Repeat("a", 200): "",
	} {
		if s := nearest(got, slices.Values(words)); s != want {
			t.Errorf("nearest(%q) = %q, want %q", got, s, want)
		}
	}
	if a, b := nearest("ab", slices.Values([]string{"ac", "aa"})), nearest("ab", slices.Values([]string{"aa", "ac"})); a != "aa" || b != "aa" {
		t.Errorf("the order of candidates decides: %q, %q", a, b)
	}
}

func TestReaches(t *testing.T) {
	t.Parallel()
	ours := func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("192.0.2.9")} }
	for _, tt := range []struct {
		to, listen string
		want       bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:81", "127.0.0.1:80", false},
		{"localhost:80", "127.0.0.1:80", true},
		{"localhost:80", "[::1]:80", true},
		{"127.0.0.1:80", ":80", true},
		{"[::1]:80", "0.0.0.0:80", true},
		{"0.0.0.0:80", "127.0.0.1:80", true},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80", true},
		{"127.0.0.2:80", "127.0.0.1:80", false},
		{"192.0.2.9:80", ":80", true},
		{"192.0.2.8:80", ":80", false},
		{"192.0.2.9:80", "127.0.0.1:80", false},
		{"192.0.2.8:80", "192.0.2.8:80", true},
		{"api.internal:80", ":80", false},
		{"api.internal:80", "API.internal:80", true},
		{"127.0.0.1:80", "127.0.0.1:0", false},
	} {
		if got := listenEndpoint(tt.to).reaches(listenEndpoint(tt.listen), ours); got != tt.want {
			t.Errorf("%s reaches %s: %v, want %v", tt.to, tt.listen, got, tt.want)
		}
	}
	if urlPort := urlEndpoint(mustParse(t, "https://a.example/x")); urlPort.port != 443 {
		t.Errorf("port %d, want 443", urlPort.port)
	}
}

func TestProblemJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(Problem{Pos: Pos{"config.yaml", 3, 5}, Message: `unknown key "x"`, Source: "  x: 1"})
	if want := `{"file":"config.yaml","line":3,"col":5,"message":"unknown key \"x\""}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
}

// TestFingerprint holds that the hash follows content alone, in every file and directory that was named.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	c, dir := loadGood(t, "full")
	if got := Fingerprint(c.Watched); got != c.Hash {
		t.Fatalf("fingerprint %s, hash %s: the same content gives another", got, c.Hash)
	}
	last := c.Hash
	change := func(name, content string) {
		t.Helper()
		write(t, filepath.Join(dir, name), content)
		got := Fingerprint(c.Watched)
		if got == last {
			t.Errorf("a change of %s is not seen", name)
		}
		last = got
	}
	for _, name := range []string{"config.yaml", "clients.yaml", "token", "ca.pem", "keys/a.pem", "apis.d/users.yml"} {
		change(name, "changed")
	}
	change("keys/new.pem", "new")
	change("apis.d/new.yaml", "new")
	write(t, filepath.Join(dir, "keys/.hidden"), "x")
	if got := Fingerprint(c.Watched); got != last {
		t.Error("a file with a leading dot counts")
	}
	if err := os.Remove(filepath.Join(dir, "token")); err != nil {
		t.Fatal(err)
	}
	if got := Fingerprint(c.Watched); got == last {
		t.Error("a file that is gone is not seen")
	}
}

func TestClientsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	write(t, path, "version: 1\nclients_file: sub/clients.yaml\nother: wrong\n")
	got, err := ClientsFile(path, Options{})
	if want := filepath.Join(dir, "sub/clients.yaml"); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	write(t, path, "version: 1\n")
	if _, err := ClientsFile(path, Options{}); err == nil || !strings.Contains(err.Error(), `missing required key "clients_file"`) {
		t.Errorf("error %v", err)
	}
}

// TestHostileFiles are files made to cost time or memory. Each is an error.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x]\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [*a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1)
	}
	for name, tt := range map[string]struct{ content, want string }{
		"aliases of aliases": {laughs.String(), "the alias *a28 is not read"},
		"too large":          {"#" + strings.Repeat("x", maxFile), "is larger than 16MiB"},
		"deep flow":          {strings.Repeat("[", 100_000), "not valid YAML"},
		"deep blocks":        {strings.Repeat("- ", 9_000), "nested deeper than 64 levels"},
		"not UTF-8":          {"version: 1\nx: \"\xff\"\n", "not valid UTF-8"},
		"UTF-16":             {"\xff\xfev\x00", "not valid UTF-8"},
		"control characters": {"version: 1\x1b[31m\n", "control characters are not allowed"},
		"many wrong keys":    {manyKeys(5_000), "1000 errors in"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "config.yaml")
		write(t, path, tt.content)
		c, err := Load(path, Options{})
		if len(c.Watched) == 0 || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %.300v, want %q", name, err, tt.want)
		}
		if err != nil && strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%s: a control character is printed", name)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	return b.String()
}

// TestRestartNeeded changes one key at a time.
func TestRestartNeeded(t *testing.T) {
	t.Parallel()
	a := readArchive(t, "testdata/good/full.txt")
	load := func(change func(string) string) *Config {
		t.Helper()
		b := archive{names: a.names, sections: map[string]string{}}
		for name, s := range a.sections {
			b.sections[name] = s
		}
		b.sections["config.yaml"] = change(a.sections["config.yaml"])
		dir := b.write(t)
		c, err := Load(filepath.Join(dir, "config.yaml"), Options{Getenv: b.getenv})
		if err != nil {
			t.Fatal(err)
		}
		// The two live in different directories, which is no change of the configuration.
		c.State.Dir, _ = filepath.Rel(dir, c.State.Dir)
		c.Tokens.KeyDir, _ = filepath.Rel(dir, c.Tokens.KeyDir)
		c.Audit.File, _ = filepath.Rel(dir, c.Audit.File)
		c.State.Redis.CAFile = ""
		return c
	}
	old := load(func(s string) string { return s })
	for _, tt := range []struct{ from, to, want string }{
		{"listen: :9080", "listen: :9090", "3 server.listen"},
		{"/auth/\n", "/auth\n", "4 server.public_url"},
		{"idle_timeout: 90s", "idle_timeout: 91s", "7 server.idle_timeout"},
		{"max_header_bytes: 32KiB", "max_header_bytes: 33KiB", "8 server.max_header_bytes"},
		{"  max_header_bytes: 32KiB\n", "", "3 server.max_header_bytes"},
		{"listen: 0.0.0.0:9081", "listen: 0.0.0.0:9082", "11 admin.listen"},
		{"pprof: true", "pprof: false", "14 admin.pprof"},
		{"dir: data/state", "dir: data/other", "16 state.dir"},
		{"prefix: gate", "prefix: other", "18 state.redis"},
		{"mode: standalone", "mode: cluster", "18 state.redis"},
		{"mode: standalone", "mode: sentinel\n    master_name: gate", "18 state.redis"},
		{"enabled: true", "enabled: false", "96 audit.enabled"},
		{"trail/", "trail2/", "96 audit.file"},
		{"keep: 3", "keep: 4", ""},
		{"drain: 5s", "drain: 6s", ""},
		{"level: debug", "level: info", ""},
		{"version: 1\n", "version: 1\n# moved\n", ""},
	} {
		list := RestartNeeded(old, load(func(s string) string {
			if !strings.Contains(s, tt.from) {
				t.Fatalf("%q is not in the file", tt.from)
			}
			return strings.Replace(s, tt.from, tt.to, 1)
		}))
		var got []string
		for _, p := range list {
			key, _, _ := strings.Cut(p.Message, ": changed, and takes a restart")
			got = append(got, fmt.Sprintf("%d %s", p.Line, key))
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%q to %q: got %q, want %q", tt.from, tt.to, s, tt.want)
		}
	}
	renamed := load(func(s string) string { return s })
	renamed.Tokens.KeyDir = "other"
	if list := RestartNeeded(old, renamed); len(list) != 1 || list[0].Line != 29 || list[0].Source == "" {
		t.Errorf("key_dir renamed: %+v", list)
	}
}

// FuzzLoad holds that no bytes panic, and that every problem points into the file.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.txt", "testdata/good/*.txt"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, file := range files {
			a := readArchive(f, file)
			f.Add(a.sections["config.yaml"], a.sections["clients.yaml"])
		}
	}
	f.Fuzz(func(t *testing.T, config, clients string) {
		dir := t.TempDir()
		path := filepath.Join(dir, "config.yaml")
		write(t, path, config)
		write(t, filepath.Join(dir, "clients.yaml"), clients)
		c, err := Load(path, Options{Getenv: func(string) (string, bool) { return "1", true }})
		if c == nil || c.Hash == "" || len(c.Watched) == 0 || (c.Server.PublicURL == nil) != (err != nil) {
			t.Fatalf("configuration %v with error %v", c, err)
		}
		if err == nil {
			checkLoaded(t, c)
			return
		}
		for _, p := range err.(Errors) {
			if p.Line < 0 || p.Line > 0 && p.Col < 1 || p.Message == "" {
				t.Errorf("%+v", p)
			}
		}
		_ = err.Error()
	})
}

// checkLoaded holds what users of a Config rely on.
func checkLoaded(t *testing.T, c *Config) {
	t.Helper()
	for _, a := range c.APIs {
		if len(a.Upstreams) == 0 || a.Audience == "" || len(a.Routes) == 0 || a.Timeout <= 0 || a.TTL <= 0 {
			t.Errorf("API %+v", a)
		}
		for _, r := range a.Routes {
			named := len(r.All) + len(r.Any)
			if (r.Auth == "scopes") != (named > 0) || !slices.Contains([]string{"scopes", "token", "public"}, r.Auth) || r.Pattern[0] != '/' {
				t.Errorf("route %+v", r)
			}
		}
	}
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A change can be judged before it is made: content that is given counts in place of what the file holds, and nothing is written.
func TestInstead(t *testing.T) {
	t.Parallel()
	a := readArchive(t, "testdata/good/minimal.txt")
	dir := a.write(t)
	file := filepath.Join(dir, "config.yaml")
	changed := strings.Replace(a.sections["config.yaml"], "version: 1", "version: 2", 1)
	if _, err := Load(file, Options{Getenv: a.getenv, Instead: map[string][]byte{file: []byte(changed)}}); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("the change was not judged: %v", err)
	}
	before, err := Load(file, Options{Getenv: a.getenv})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	after, err := Load(dir+"/./config.yaml", Options{Getenv: a.getenv, Instead: map[string][]byte{file: []byte(a.sections["config.yaml"])}})
	if err != nil || len(after.APIs) != len(before.APIs) {
		t.Errorf("a file that is not there yet: %v", err)
	}
}
