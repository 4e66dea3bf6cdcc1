package configfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"gatehouse/internal/openapi"
)

var (
	plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./:{}$@~+-]*$`)
	plainNote = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./, -]*[A-Za-z0-9.]$`)
	// words are those that YAML reads as something other than text, in some version.
	words = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
)

// quote is text as a YAML scalar on one line, in block and in flow style, as a key and as a value. Whatever the text holds, it
// reads back as that text.
func quote(s string) string {
	plain := plainText.MatchString(s) && !strings.ContainsAny(s, "{}") || plainNote.MatchString(s) && !strings.ContainsAny(s, ",")
	if plain && !strings.HasSuffix(s, ":") && !slices.Contains(words, strings.ToLower(s)) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == ' ' || unicode.IsPrint(r) && r != '\uFEFF':
			b.WriteRune(r)
		case r > 0xFFFF:
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// value is text where the loader expands variables.
func value(s string) string { return quote(literal(s)) }

// literal is text that the loader's expansion turns into s: a $ before a $ or a brace is doubled.
func literal(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '$' && i+1 < len(s) && (s[i+1] == '$' || s[i+1] == '{') {
			b.WriteByte('$')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// matchText is a route's match where a value of a block map stands: patterns need no quotes there.
func matchText(match string) string {
	text := literal(match)
	method, path, _ := strings.Cut(text, " ")
	if path == "" {
		method, path = "A", text
	}
	if plainText.MatchString(method) && plainText.MatchString(path) && strings.HasPrefix(path, "/") && !strings.HasSuffix(path, ":") {
		return text
	}
	return quote(text)
}

// rule is what a route asks for, as its key and value.
func rule(r openapi.Requirement) string {
	switch r.Auth {
	case openapi.Public, openapi.Token:
		return "auth: " + r.Auth
	}
	if len(r.Alternatives) == 1 {
		return "scopes: " + list(r.Alternatives[0])
	}
	var sets []string
	for _, set := range r.Alternatives {
		if len(set) == 1 {
			sets = append(sets, value(set[0]))
		} else {
			sets = append(sets, list(set))
		}
	}
	return "scopes: {any: [" + strings.Join(sets, ", ") + "]}"
}

func list(scopes []string) string {
	var out []string
	for _, s := range scopes {
		out = append(out, value(s))
	}
	return "[" + strings.Join(out, ", ") + "]"
}
