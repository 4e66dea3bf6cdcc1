package configfile

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/openapi"
)

// document writes a document and reads it.
func document(t testing.TB, name, content string) *openapi.Document {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := openapi.Read(context.Background(), file, openapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// load is what the real loader says of a config.yaml.
func load(t testing.TB, text string) (*config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	return config.Load(file, config.Options{Instead: map[string][]byte{
		file: []byte(text), filepath.Join(dir, "clients.yaml"): []byte("version: 1\n"),
		filepath.Join(dir, "api.yaml"): []byte("openapi: 3.1.0\n"),
	}, Getenv: func(string) (string, bool) { return "out of the environment", true }})
}

// existing are the routes of an API as the loader has them.
func existing(api config.API) []Existing {
	var out []Existing
	for _, r := range api.Routes {
		out = append(out, Existing{Line: r.Pos.Line, Col: r.Pos.Col, Method: r.Method, Pattern: r.Pattern,
			Requirement: openapi.RouteRequirement(r.Auth, r.All, r.Any)})
	}
	return out
}

// agree checks that the loader reads the routes that a plan asked for, in its order.
func agree(t testing.TB, text string, p *openapi.Plan, d *openapi.Document) *config.Config {
	t.Helper()
	cfg, err := load(t, text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	api := cfg.APIs[0]
	routes := existing(api)
	if len(routes) != len(p.Routes) {
		t.Fatalf("%d routes, want %d\n%s", len(routes), len(p.Routes), text)
	}
	for i, r := range p.Routes {
		if e := routes[i]; e.Method != r.Method || e.Pattern != r.Pattern || !e.Requirement.Equal(r.Requirement) {
			t.Errorf("%+v, want %+v\n%s", e, r, text)
		}
	}
	for _, s := range p.Scopes {
		if got, declared := api.Scopes[s]; !declared || got != d.Description(s) {
			t.Errorf("the scope %q says %q, want %q", s, got, d.Description(s))
		}
	}
	return cfg
}

func newText(t testing.TB, d *openapi.Document, api string) (string, *openapi.Plan) {
	t.Helper()
	p, err := d.Plan(api, "")
	if err != nil {
		t.Fatal(err)
	}
	return New(NewConfig{API: api, Upstream: "http://127.0.0.1:9001/v1", OpenAPI: "api.yaml", From: d.PlainTitle(), Plan: p, Describe: d.Description}), p
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"petstore.yaml", "payments.json", "hosting.yaml"} {
		d, err := openapi.Read(context.Background(), "../openapi/testdata/"+file, openapi.Options{})
		if err != nil {
			t.Fatal(err)
		}
		text, p := newText(t, d, "shop")
		cfg := agree(t, text, p, d)
		if a := cfg.APIs[0]; a.Name != "shop" || a.Upstreams[0].URL.String() != "http://127.0.0.1:9001/v1" || a.OpenAPI == "" || len(cfg.Warnings) > 0 {
			t.Errorf("%+v, warnings %v", a, cfg.Warnings)
		}
		// What was written is in line with what it was made from.
		again, err := ImportInto("config.yaml", text, "shop", existing(cfg.APIs[0]), p, d.Description)
		if err != nil || again.Text != text || again.Diff != "" || len(again.Changes) > 0 {
			t.Errorf("%s: %v\n%+v", file, err, again)
		}
	}
}

// hostile are texts that mean something in YAML, in expansion or to a terminal.
var hostile = []string{
	"a: b", "- a", "# a", "a #b", "{a}", "[a, b]", "*a", "&a", "!!int 1", "'a'", `"a"`, `a\nb`, "a\nb: c", "a\r\nb", "\x1b[31mred", "null", "true", "~", "1", "1e3",
	"2020-01-01", "0x1f", "<<", "=", "?", "%a", "@a", "`a", "|", ">", "---", "...", "${HOME}", "$${HOME}", "$", "$$", "${", "a:", ":a", "é", "日本", "\u202eab", "\u0085", "\ufeff", "\U0001F600",
	"", " ", " a ", strings.Repeat("long ", 200), "a\tb", "yes", "off", "a, b", "a}", "]", "\x00",
}

// Whatever stands in a document, the file that is made of it says what was meant, and not more.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	for i, s := range hostile {
		scope := strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' || r == '"' || r == '\\' {
				return -1
			}
			return r
		}, s)
		if scope = scope[:min(len(scope), 200)]; scope == "" {
			scope = "s"
		}
		d := document(t, "api.json", hostileDocument(s, scope, "/a/{"+strings.Map(func(r rune) rune {
			if strings.ContainsRune(`{}/;%?#\`, r) {
				return -1
			}
			return r
		}, scope)+"}"))
		text, p := newText(t, d, "x")
		cfg := agree(t, text, p, d)
		if got := cfg.APIs[0].Routes[0].All; len(got) != 1 || got[0] != scope {
			t.Errorf("%d: scopes %q, want %q", i, got, scope)
		}
		if strings.ContainsAny(text, "\x1b\x00\r\u202e") {
			t.Errorf("%d: the file holds what drives terminals", i)
		}
		// A second import finds its own marks again.
		again, err := ImportInto("config.yaml", text, "x", existing(cfg.APIs[0]), p, d.Description)
		if err != nil || len(again.Changes) > 0 {
			t.Errorf("%q: %v, %+v\n%s", s, err, again, text)
		}
	}
}

func hostileDocument(text, scope, path string) string {
	quoted := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	return fmt.Sprintf(`{"openapi": "3.1.0", "info": {"title": %s, "version": "1"},
	"paths": {%s: {"get": {"operationId": %s, "security": [{"o": [%s]}], "responses": {}}}},
	"components": {"securitySchemes": {"o": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://a.example/", "scopes": {%s: %s}}}}}}}`,
		quoted(text), quoted(path), quoted(text), quoted(scope), quoted(scope), quoted(text))
}

func FuzzImport(f *testing.F) {
	for _, s := range hostile {
		f.Add(s, s, "/"+s, "/a/{"+s+"}")
	}
	f.Fuzz(func(t *testing.T, text, scope, first, second string) {
		dir := t.TempDir()
		file := filepath.Join(dir, "api.json")
		read := func(path string) (*openapi.Document, *openapi.Plan) {
			if err := os.WriteFile(file, []byte(hostileDocument(text, scope, path)), 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := openapi.Read(context.Background(), file, openapi.Options{Quick: true})
			if err != nil {
				t.Skip(err)
			}
			p, err := d.Plan("x", "")
			if err != nil || len(p.Routes) == 0 {
				t.Skip(err)
			}
			return d, p
		}
		d, p := read(first)
		made, _ := newText(t, d, "x")
		if _, err := load(t, made); err != nil && strings.Contains(err.Error(), "own endpoint") {
			t.Skip(err)
		}
		cfg := agree(t, made, p, d)
		moved, p2 := read(second)
		in, err := ImportInto("config.yaml", made, "x", existing(cfg.APIs[0]), p2, moved.Description)
		if err != nil {
			t.Fatalf("%v\n%s", err, made)
		}
		if _, err := load(t, in.Text); err != nil && strings.Contains(err.Error(), "own endpoint") {
			t.Skip(err)
		}
		agree(t, in.Text, p2, moved)
	})
}

// A file that people have worked on keeps all that is theirs: comments, order, keys, blank lines, routes.
func TestImportKeeps(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := make(map[string]string)
			name := ""
			for line := range strings.Lines(string(content)) {
				if head, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(line, " --\n") {
					name = strings.TrimSuffix(head, " --\n")
					continue
				}
				parts[name] += line
			}
			d := document(t, "api.yaml", parts["openapi"])
			p, err := d.Plan("x", "")
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := load(t, parts["config"])
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(cfg.APIs, func(a config.API) bool { return a.Name == "x" })
			in, err := ImportInto("config.yaml", parts["config"], "x", existing(cfg.APIs[i]), p, d.Description)
			got := ""
			if err != nil {
				got = err.Error() + "\n"
			} else {
				for _, c := range in.Changes {
					got += fmt.Sprintf("# %s %s%s %s: %s -> %s (line %d)\n", c.Kind, c.Match, c.Scope, c.Operation, c.From, c.To, c.Line)
				}
				got += in.Diff
				after, err := load(t, in.Text)
				if err != nil {
					t.Fatalf("%v\n%s", err, in.Text)
				}
				again, err := ImportInto("config.yaml", in.Text, "x", existing(after.APIs[i]), p, d.Description)
				if err != nil || again.Text != in.Text {
					t.Errorf("a second import changes more: %v\n%+v", err, again)
				}
			}
			if os.Getenv("UPDATE") != "" {
				text := "-- openapi --\n" + parts["openapi"] + "-- config --\n" + parts["config"] + "-- want --\n" + got
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != parts["want"] {
				t.Errorf("got:\n%s\nwant:\n%s", got, parts["want"])
			}
		})
	}
}
