package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var advice = regexp.MustCompile(`^(\S+?):(\d+):(\d+): error: (\S+): .*(?:got (?:str|int|float|bool) |^)"((?:[^"\\]|\\.)*)".* — (?:write the number alone: |write whole bytes, or KiB, MiB, GiB: |the longest unit is the hour: |add a unit: |write )(.*)$`)

// notLiteral are pieces of advice that name what to write without being it.
var notLiteral = regexp.MustCompile(`^(?:".*" or|one |a |\S+ or )|, without| or |…`)

// What a message says to write is taken when it is written: of all broken configurations, and of values that people write.
func TestAdviceIsGood(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, file := range files {
		a := readArchive(t, file)
		for line := range strings.Lines(a.sections["want"]) {
			m := advice.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if m == nil || notLiteral.MatchString(m[6]) {
				continue
			}
			tried++
			mended := archive{names: slices.Clone(a.names), sections: map[string]string{}}
			for name, text := range a.sections {
				mended.sections[name] = text
			}
			text, ok := replaceAt(a.sections[m[1]], m[2], m[3], m[5], m[6])
			if !ok {
				t.Errorf("%s: %q is not where the message says: %s", filepath.Base(file), m[5], line)
				continue
			}
			mended.sections[m[1]] = text
			_, said := mended.load(t)
			if at := m[1] + ":" + m[2] + ":" + m[3] + ": error: " + m[4] + ": "; strings.Contains(said, at) {
				t.Errorf("%s: %sis not mended by %s: %s", filepath.Base(file), at, m[6], said)
			}
		}
	}
	if tried < 20 {
		t.Errorf("%d pieces of advice were tried, want at least 20", tried)
	}
}

// replaceAt puts another text in the place of a value, quoted or not.
func replaceAt(text, line, col, was, is string) (string, bool) {
	lines := strings.SplitAfter(text, "\n")
	n, _ := strconv.Atoi(line)
	c, _ := strconv.Atoi(col)
	if n < 1 || n > len(lines) {
		return "", false
	}
	runes := []rune(lines[n-1])
	if c < 1 || c > len(runes) {
		return "", false
	}
	before, rest := string(runes[:c-1]), string(runes[c-1:])
	for _, form := range []string{was, `"` + was + `"`, `'` + was + `'`} {
		if after, ok := strings.CutPrefix(rest, form); ok {
			lines[n-1] = before + is + after
			return strings.Join(lines, ""), true
		}
	}
	return "", false
}

func TestHints(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		"1d": "24h", "2 weeks": "336h", "10 min": "10m", "hour": "1h", "90s": "1m30s", "1h30m": "such as 500ms, 30s, 10m or 24h", "0d": "such as 500ms, 30s, 10m or 24h", "99999999999d": "such as 500ms, 30s, 10m or 24h",
	} {
		if hint := durationHint(got); !strings.HasSuffix(hint, want) {
			t.Errorf("durationHint(%q) = %q, want %q", got, hint, want)
		}
	}
	for got, want := range map[string]string{
		"localhost:9001": "http://localhost:9001?", "orders:8080": "http://orders:8080?", "10.0.0.7": "http://10.0.0.7?", "api.example.com/v1": "https://api.example.com/v1?",
		"user:hunter2@host": " — such as http://127.0.0.1:9001", "hunter2": " — such as http://127.0.0.1:9001", "": " — such as http://127.0.0.1:9001",
	} {
		if hint := urlHint(got); !strings.HasSuffix(hint, want) || strings.Contains(hint, "hunter2") {
			t.Errorf("urlHint(%q) = %q, want %q", got, hint, want)
		}
	}
	for got, want := range map[string]string{
		"redis://127.0.0.1:6379/": "write 127.0.0.1:6379", "redis.internal": "redis.internal:6379", "redis://:hunter2@h:1": "such as 127.0.0.1:6379", "a:0": "such as 127.0.0.1:6379", "a:x": "such as 127.0.0.1:6379",
	} {
		if hint := hostPortHint(got); !strings.HasSuffix(hint, want) || strings.Contains(hint, "hunter2") {
			t.Errorf("hostPortHint(%q) = %q, want %q", got, hint, want)
		}
	}
	declared := []string{"orders:read", "orders:write", "users.read"}
	for got, want := range map[string]string{"order:read": "orders:read", "write": "orders:write", "orders:orders:write": "orders:write", "read": "", "nothing": ""} {
		if s := nearScope(got, declared); s != want {
			t.Errorf("nearScope(%q) = %q, want %q", got, s, want)
		}
	}
	for got, want := range map[string]string{"a": "[a]", "a, b": "[a, b]", "*": `["*"]`, "GET /x/{id}": `["GET /x/{id}"]`, "a: b": `["a: b"]`, "orders:read": "[orders:read]", "": `[""]`} {
		if s := flowList(got); s != want {
			t.Errorf("flowList(%q) = %s, want %s", got, s, want)
		}
	}
}

// What others' words are said to be here are keys of the section, and the words themselves are none.
func TestSynonymsAreKeys(t *testing.T) {
	t.Parallel()
	prefixes := map[string][]string{"": {""}, "server": {"server."}, "tls": {"server.tls.", "state.redis.tls.", "apis.*.upstream_tls."}, "redis": {"state.redis."}, "apis": {"apis.*."},
		"routes": {"apis.*.routes."}, "rate_limit": {"apis.*.rate_limit."}, "issuers": {"issuers.*."}, "quota": {"clients.*.quota."}, "clients": {"clients.*."}, "secrets": {"clients.*.secrets."}}
	known := map[string]bool{}
	config, clients := KeyPaths()
	for _, p := range slices.Concat(config, clients) {
		known[strings.ReplaceAll(p, "[]", "")] = true
	}
	has := func(section, key string) bool {
		return slices.ContainsFunc(prefixes[section], func(prefix string) bool { return known[prefix+key] })
	}
	notKeys := []string{"the key of the client itself", "an API of its own: all routes of an API have its upstream"}
	for section, words := range synonyms {
		if prefixes[section] == nil {
			t.Errorf("section %q is not known here", section)
		}
		for word, meant := range words {
			if has(section, word) {
				t.Errorf("%s.%s is a key", section, word)
			}
			if key := regexp.MustCompile(`^[a-z0-9_]+`).FindString(meant); !has(section, key) && !slices.Contains(notKeys, meant) {
				t.Errorf("%s.%s: %q begins with no key", section, word, meant)
			}
		}
	}
}
