package openapi

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// maxPath is in bytes; a request can't have a longer one by far.
const maxPath = 4096

var template = regexp.MustCompile(`\{[^{}]*\}`)

// patternOf is a path template as a route's pattern. A template in a part of a segment becomes a wildcard for the whole segment, and a
// query is cut off, since patterns know neither; the pattern then takes more paths than the template, and exact is false. An
// error says why no pattern can stand for it.
func patternOf(tmpl string) (pattern string, exact bool, err error) {
	exact = true
	if i := strings.IndexAny(tmpl, "?#"); i >= 0 {
		tmpl, exact = tmpl[:i], false
	}
	if len(tmpl) > maxPath {
		return "", false, fmt.Errorf("the path is longer than %d bytes", maxPath)
	}
	if !strings.HasPrefix(tmpl, "/") {
		return "", false, fmt.Errorf("the path %q does not start with /", printable(tmpl, 200))
	}
	plain := template.ReplaceAllString(tmpl, "x")
	for _, c := range plain {
		if c == ' ' || !unicode.IsPrint(c) || c == unicode.ReplacementChar || strings.ContainsRune(`{}%\;`, c) {
			return "", false, fmt.Errorf("the path %q holds %q, which no route can take", printable(tmpl, 200), c)
		}
	}
	if trimmed := strings.TrimSuffix(plain, "/"); plain != "/" && path.Clean(plain) != trimmed {
		return "", false, fmt.Errorf("the path %q is not canonical: // and segments . and .. can't be in it", printable(tmpl, 200))
	}
	used := make(map[string]bool)
	segments := strings.Split(tmpl, "/")[1:]
	for i, s := range segments {
		switch {
		case s == "": // the last: without it, the pattern would be a whole subtree
			segments[i] = "{$}"
		case template.MatchString(s):
			exact = exact && template.FindString(s) == s
			segments[i] = "{" + wildcard(s, used) + "}"
		}
	}
	return "/" + strings.Join(segments, "/"), exact, nil
}

var underscores = regexp.MustCompile(`_+`)

// wildcard is a name that patterns can have, made from a segment with templates, that stands once.
func wildcard(segment string, used map[string]bool) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.Is(unicode.Nd, r) {
			return r
		}
		return '_'
	}, strings.Trim(segment, "{}"))
	name = strings.Trim(underscores.ReplaceAllString(name, "_"), "_")
	if runes := []rune(name); len(runes) > 60 {
		name = string(runes[:60])
	}
	if name == "" || unicode.IsDigit([]rune(name)[0]) {
		name = "p" + name
	}
	for n, first := 2, name; used[name]; n++ {
		name = fmt.Sprintf("%s%d", first, n)
	}
	used[name] = true
	return name
}

var anyWildcard = regexp.MustCompile(`\{[^{}$.]*\}`)

// Shape is a pattern without its wildcards' names: patterns of one shape match the same paths.
func Shape(pattern string) string { return anyWildcard.ReplaceAllString(pattern, "{}") }
