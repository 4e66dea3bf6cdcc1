package proxy

import (
	"encoding/json"
	"os"
	gopath "path"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		target  string
		ok      bool
		decoded string
		classes Allow
	}{
		{"/", true, "/", 0},
		{"/orders", true, "/orders", 0},
		{"/orders/", true, "/orders/", 0},
		{"/a/b?x=../..&y=%00;#", false, "", 0},
		{"/a?x=../..&y=%00;%zz&&=", true, "/a", 0},
		{"/a?", true, "/a", 0},
		{"/%61%62", true, "/ab", 0},
		{"/%C3%A9/%c3%a9", true, "/é/é", 0},
		{"/a%20b", true, "/a b", 0},
		{`/a|b"c`, true, `/a|b"c`, 0},
		{"/...", true, "/...", 0},
		{"/..a/.b/c..", true, "/..a/.b/c..", 0},
		{"/a%2fb", true, "/a/b", AllowSlash},
		{"/a%5Cb", true, `/a\b`, AllowSlash},
		{"/50%25", true, "/50%", AllowPercent},
		{"/a%2525", true, "/a%25", AllowPercent},
		{"/a;b", true, "/a;b", AllowSemicolon},
		{"/a%3Bb", true, "/a;b", AllowSemicolon},
		{"//a", true, "//a", AllowDoubleSlash},
		{"/a//b", true, "/a//b", AllowDoubleSlash},
		{"/a/%2fb", true, "/a//b", AllowSlash | AllowDoubleSlash},
		{"", false, "", 0},
		{"a", false, "", 0},
		{"*", false, "", 0},
		{"/a#b", false, "", 0},
		{"/a?b#c", false, "", 0},
		{`/a\b`, false, "", 0},
		{"/a b", false, "", 0},
		{"/a\tb", false, "", 0},
		{"/a\x7fb", false, "", 0},
		{"/é", false, "", 0},
		{"/a?é", false, "", 0},
		{"/a?b\x01", false, "", 0},
		{"/%ff", false, "", 0},
		{"/%c0%ae", false, "", 0},
		{"/%e0%80%af", false, "", 0},
		{"/%00", false, "", 0},
		{"/%0d%0a", false, "", 0},
		{"/%7f", false, "", 0},
		{"/%23", false, "", 0},
		{"/%3f", false, "", 0},
		{"/%", false, "", 0},
		{"/%2", false, "", 0},
		{"/%zz", false, "", 0},
		{"/.", false, "", 0},
		{"/..", false, "", 0},
		{"/./a", false, "", 0},
		{"/a/..", false, "", 0},
		{"/a/../b", false, "", 0},
		{"/a/%2e%2e/b", false, "", 0},
		{"/a/.%2E", false, "", 0},
		{"/a/..;/b", false, "", 0},
		{"/a/.;x/b", false, "", 0},
		{"/a%2f..%2fb", false, "", 0},
		{"/a%5c..", false, "", 0},
		{"/%252e%252e/a", false, "", 0},
		{"/%25zz%252e%252e%252f", true, "", AllowPercent},
		{"/%25zz/%252e%252e", false, "", 0},
		{"/%25252e%25252e/a", false, "", 0},
		{"/%2525252525", false, "", 0},
		{`//a|b`, false, "", 0},
	} {
		c, why := parseTarget(tt.target)
		if ok := why == ""; ok != tt.ok {
			t.Errorf("parseTarget(%q): %q, want ok %v", tt.target, why, tt.ok)
			continue
		}
		if !tt.ok {
			continue
		}
		if tt.decoded != "" && c.decoded != tt.decoded || c.classes != tt.classes {
			t.Errorf("parseTarget(%q) = %q [%v], want %q [%v]", tt.target, c.decoded, c.classes, tt.decoded, tt.classes)
		}
		if c.raw+c.query != tt.target {
			t.Errorf("parseTarget(%q) keeps %q and %q", tt.target, c.raw, c.query)
		}
	}
}

// corpus reads the string lists of a file in testdata; each file names its source and licence.
func corpus(t testing.TB, file string) map[string][]string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	lists := map[string][]string{}
	for name, raw := range all {
		var list []string
		if json.Unmarshal(raw, &list) == nil {
			lists[name] = list
		}
	}
	return lists
}

// hostileTargets are spellings of a way from /public to /admin, and odd paths of all kinds.
func hostileTargets(t testing.TB) (list []string) {
	list = append(list, corpus(t, "paths-wpt.json")["paths"]...)
	for _, unit := range corpus(t, "paths-fuzzdb.json")["units"] {
		list = append(list, "/public/"+unit+"admin", "/public"+unit+"admin", "/public/x/"+unit+unit+"admin")
	}
	for _, p := range corpus(t, "paths-nomore403.json")["midpaths"] {
		list = append(list, "/"+p+"/admin", "/public/"+p+"admin", "/public/"+p+"/admin", "/"+p+"admin", "/admin"+p)
	}
	for _, p := range corpus(t, "paths-nomore403.json")["endpaths"] {
		list = append(list, "/admin"+p, "/admin/"+p, "/public/"+p)
	}
	if len(list) < 1000 {
		t.Fatalf("only %d hostile targets: is testdata whole?", len(list))
	}
	return list
}

// foldings are the ways in which upstreams are known to read a path: decode once or twice, take \ for /, cut parameters,
// merge slashes, resolve dots.
func foldings(raw string) []string {
	once, _ := unescape(raw)
	twice, _ := unescape(once)
	var out []string
	for _, p := range []string{raw, once, twice} {
		slashed := strings.ReplaceAll(p, `\`, "/")
		var plain []string
		for s := range strings.SplitSeq(slashed, "/") {
			s, _, _ = strings.Cut(s, ";")
			plain = append(plain, s)
		}
		out = append(out, gopath.Clean(p), gopath.Clean(slashed), gopath.Clean(strings.Join(plain, "/")))
	}
	return out
}

func checkCanonical(t *testing.T, target string) {
	t.Helper()
	c, why := parseTarget(target)
	if why != "" {
		return
	}
	if c.raw+c.query != target {
		t.Fatalf("parseTarget(%q) changed the target: %q %q", target, c.raw, c.query)
	}
	if again, _ := unescape(c.match); again != c.decoded {
		t.Fatalf("parseTarget(%q): matches %q, which is not %q", target, c.match, c.decoded)
	}
	if c.classes != 0 {
		return
	}
	// What every route takes is read in one way by all.
	for _, folded := range foldings(c.raw) {
		if want := strings.TrimSuffix(c.decoded, "/"); strings.TrimSuffix(folded, "/") != want && strings.TrimSuffix(folded, "/") != strings.TrimSuffix(c.raw, "/") {
			t.Fatalf("parseTarget(%q) passes, but an upstream reads %q, not %q", target, folded, want)
		}
	}
}

func TestCanonicalCorpora(t *testing.T) {
	t.Parallel()
	for _, target := range hostileTargets(t) {
		checkCanonical(t, target)
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range hostileTargets(f) {
		f.Add(s)
	}
	f.Fuzz(checkCanonical)
}

func TestCanonicalHost(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"api.example.com": "api.example.com", "API.Example.COM": "api.example.com", "api.example.com.": "api.example.com",
		"api.example.com:443": "api.example.com", "API.example.com.:8080": "api.example.com", "api.example.com:": "api.example.com",
		"127.0.0.1:80": "127.0.0.1", "[::1]:80": "[::1]", "[0:0::1]": "[::1]",
		"": "", ":80": "", ".": "", "a,b": "", "user@a": "", "a b": "", "a/b": "", "a:b": "", "a:1:2": "", "a:123456": "", "::1": "", "[::1": "", "[::1%25x]": "",
		"[127.0.0.1]": "", "é": "", ".a": "", "a..b": "", "a..": "", strings.Repeat("a", 254): "",
	} {
		if got := canonicalHost(in); got != want {
			t.Errorf("canonicalHost(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a": "a", "a b": "a%20b", "é": "%C3%A9", "a\r\nb": "a%0D%0Ab", "100%": "100%25", "a,b": "a,b", "\x00\x7f": "%00%7F"} {
		got := headerValue(in)
		if got != want {
			t.Errorf("headerValue(%q) = %q, want %q", in, got, want)
		}
		if back, _ := unescape(got); back != in {
			t.Errorf("headerValue(%q) can't be told back: %q", in, back)
		}
	}
	if got := scopesValue("a:b c%d"); got != "a:b c%25d" {
		t.Errorf("scopesValue = %q", got)
	}
}
