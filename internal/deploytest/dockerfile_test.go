package deploytest

import (
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// instruction is one line of a Dockerfile: FROM, RUN and so on, with what follows.
type instruction struct {
	name  string
	flags map[string]string // --from=build
	args  string
}

// exec is the instruction's JSON form, as in CMD ["run"].
func (i instruction) exec(t *testing.T) []string {
	t.Helper()
	var words []string
	if err := json.Unmarshal([]byte(i.args[strings.IndexByte(i.args, '['):]), &words); err != nil {
		t.Errorf("%s %s is not in exec form, and there is no shell: %v", i.name, i.args, err)
	}
	return words
}

// stages reads deploy/Dockerfile: the instructions of each stage, FROM first.
func stages(t *testing.T) (all [][]instruction) {
	t.Helper()
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, "deploy/Dockerfile"), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		name, args, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		in := instruction{name: name, flags: map[string]string{}}
		for strings.HasPrefix(args, "--") {
			var flag string
			flag, args, _ = strings.Cut(args, " ")
			key, value, _ := strings.Cut(flag, "=")
			in.flags[key] = value
		}
		in.args = strings.TrimSpace(args)
		if name == "FROM" {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], in)
	}
	if len(all) != 2 {
		t.Fatalf("the Dockerfile has %d stages, want one that builds and one that is shipped", len(all))
	}
	return all
}

// named returns the instructions of a stage by their name.
func named(stage []instruction, name string) (found []instruction) {
	for _, i := range stage {
		if i.name == name {
			found = append(found, i)
		}
	}
	return found
}

// ignored reads .dockerignore and returns whether a path stays out of what the engine gets: the last line that matches the
// path, or a directory above it, decides.
func ignored(t *testing.T) func(name string) bool {
	t.Helper()
	type rule struct {
		pattern *regexp.Regexp
		keep    bool
	}
	var rules []rule
	for line := range strings.Lines(read(t, ".dockerignore")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		text, keep := strings.CutPrefix(line, "!")
		re := regexp.QuoteMeta(text)
		re = strings.ReplaceAll(re, `\*\*/`, `(?:.*/)?`)
		re = strings.ReplaceAll(re, `\*`, `[^/]*`)
		rules = append(rules, rule{regexp.MustCompile("^" + re + "(?:/.*)?$"), keep})
	}
	return func(name string) bool {
		out := false
		for _, r := range rules {
			if r.pattern.MatchString(name) {
				out = !r.keep
			}
		}
		return out
	}
}

// buildContext copies what a COPY of the first stage takes, as far as .dockerignore lets it through.
func buildContext(t *testing.T, copies []instruction, to string) {
	t.Helper()
	out := ignored(t)
	for _, c := range copies {
		words := strings.Fields(c.args)
		sources, target := words[:len(words)-1], words[len(words)-1]
		for _, source := range sources {
			if out(source) {
				t.Errorf("COPY %s: .dockerignore leaves %s out", c.args, source)
			}
			err := filepath.WalkDir(filepath.Join(root, source), func(file string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				name, _ := filepath.Rel(root, file)
				if out(filepath.ToSlash(name)) {
					return nil
				}
				inside := path.Join(target, strings.TrimPrefix(filepath.ToSlash(name), source))
				if strings.HasSuffix(target, "/") {
					inside = path.Join(target, filepath.ToSlash(name))
				}
				write(t, filepath.Join(to, inside), read(t, name))
				return nil
			})
			if err != nil {
				t.Errorf("COPY %s: %v", c.args, err)
			}
		}
	}
}

func patch(version string) int {
	n, _ := strconv.Atoi(version)
	return n
}

// The image is what it is said to be: pinned, without root, with everything in exec form.
func TestImage(t *testing.T) {
	all := stages(t)
	module := regexp.MustCompile(`(?m)^go (\d+\.\d+)\.(\d+)$`).FindStringSubmatch(read(t, "go.mod"))
	base := regexp.MustCompile(`^golang:(\d+\.\d+)\.(\d+) AS build$`).FindStringSubmatch(all[0][0].args)
	if module == nil || base == nil || base[1] != module[1] || patch(base[2]) < patch(module[2]) {
		t.Errorf("the builder is %q, which does not fit go.mod's %v", all[0][0].args, module)
	}
	last := all[1]
	if last[0].args != "gcr.io/distroless/static-debian12:nonroot" {
		t.Errorf("the base is %s", last[0].args)
	}
	if len(named(last, "RUN")) > 0 {
		t.Error("the last stage runs something, but it has no shell")
	}
	for name, want := range map[string][]string{"ENTRYPOINT": {"/gatehouse"}, "CMD": {"run"}, "HEALTHCHECK": {"/gatehouse", "healthcheck", "--ready"}} {
		if got := named(last, name); len(got) != 1 || !slices.Equal(got[0].exec(t), want) {
			t.Errorf("%s is %v, want %q", name, got, want)
		}
	}
	if user := named(last, "USER"); len(user) != 1 || user[0].args != "65532:65532" {
		t.Errorf("USER is %v", user)
	}
	if volume := named(last, "VOLUME"); len(volume) != 1 || volume[0].args != stateDir {
		t.Errorf("VOLUME is %v, want %s", volume, stateDir)
	}
	for _, label := range []string{"title", "description", "version", "licenses"} {
		if !strings.Contains(named(last, "LABEL")[0].args, "org.opencontainers.image."+label+"=") {
			t.Errorf("the image has no label %s", label)
		}
	}
	for _, secret := range []string{".git/config", "state/state.db", "ring.key", "deploy/compose/secrets/ring.key", "config.yaml", "authz/decide_test.go", "internal/config/testdata/good/x.yaml"} {
		if !ignored(t)(secret) {
			t.Errorf(".dockerignore lets %s through", secret)
		}
	}
}

// image builds what the Dockerfile builds, by its own commands, and returns the directory that is the image's root.
func image(t *testing.T) string {
	t.Helper()
	all := stages(t)
	src := filepath.Join(t.TempDir(), "src")
	buildContext(t, named(all[0], "COPY"), src)
	if dir := named(all[0], "WORKDIR"); len(dir) != 1 || dir[0].args != "/src" {
		t.Fatalf("the builder works in %v", dir)
	}
	for _, r := range named(all[0], "RUN") {
		if strings.Contains(r.args, "/src") {
			t.Fatalf("RUN %s: only paths below WORKDIR can be tried", r.args)
		}
		run(t, src, "env", "VERSION=v1.2.3-image", "TARGETOS=", "TARGETARCH=", "sh", "-c", r.args)
	}
	// Not below t.TempDir, whose parents are closed to other users.
	dir, err := os.MkdirTemp("", "gatehouse-image-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range named(all[1], "COPY") {
		words := strings.Fields(c.args)
		if c.flags["--from"] != "build" || len(words) != 2 || !strings.HasPrefix(words[0], "/src/") {
			t.Fatalf("COPY %s: want one path of the builder's /src", c.args)
		}
		from, to := filepath.Join(src, strings.TrimPrefix(words[0], "/src/")), filepath.Join(dir, words[1])
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, src, "cp", "-r", from, to)
		if owner := c.flags["--chown"]; owner != "" && os.Getuid() == 0 {
			run(t, src, "chown", "-R", owner, to)
		}
	}
	return dir
}
