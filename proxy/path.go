package proxy

import (
	"strings"
	"unicode/utf8"
)

// canonical is the target of a request, made once by parseTarget and used for everything: matching, authorizing,
// limiting, logging, forwarding. Raw is forwarded byte for byte; match differs from it in encoding alone.
type canonical struct {
	raw     string // the path as received; starts with "/"
	match   string // raw, with what RFC 3986 does not take bare percent-encoded: the escaped path that ServeMux reads
	decoded string // raw decoded once
	query   string // as received, with its "?"; "" where there is none
	classes Allow  // what the path has that only some routes take
}

// maxNesting is how often a percent-encoded path may hold another: %2525… beyond it is refused even where %25 is allowed.
const maxNesting = 3

// parseTarget judges a request target in origin-form (RFC 9112 §3.2.1). It repairs nothing: what two readers could read
// in two ways is refused, and why says so; why is "" where the target is good.
func parseTarget(target string) (c canonical, why string) {
	if target == "" || target[0] != '/' {
		return canonical{}, "the target is not a path"
	}
	c.raw = target
	if i := strings.IndexByte(target, '?'); i >= 0 {
		c.raw, c.query = target[:i], target[i:]
	}
	if why := badByte(c.query, "#"); why != "" {
		return canonical{}, "the query has " + why
	}
	if why := badByte(c.raw, `#\`); why != "" {
		return canonical{}, "the path has " + why
	}
	if c.decoded, why = decodePath(c.raw); why != "" {
		return canonical{}, why
	}
	c.classes = classify(c.raw, c.decoded)
	if hasDots(c.decoded) || c.classes&AllowPercent != 0 && hidesDots(c.decoded) {
		return canonical{}, "the path has a . or .. segment"
	}
	c.match = escapeBare(c.raw)
	if !writable(c.raw) {
		return canonical{}, "the path starts with // and has bytes that belong percent-encoded"
	}
	return c, ""
}

// writable reports whether a path can be sent byte for byte. One that starts with "//" goes through url.URL, which encodes
// all of it anew, encoded slashes too, where any byte belongs percent-encoded; see setURL.
func writable(path string) bool {
	return !strings.HasPrefix(path, "//") || escapeBare(path) == path
}

// badByte names the first byte of s that is outside printable ASCII or in banned; "" where there is none.
func badByte(s, banned string) string {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c == 0x7f:
			return "a control byte or space"
		case c >= utf8.RuneSelf:
			return "a byte outside ASCII that is not percent-encoded"
		case strings.IndexByte(banned, c) >= 0:
			return "a " + string(rune(c))
		}
	}
	return ""
}

// decodePath decodes raw once. Encoded control bytes, # and ?, and what is not UTF-8, are refused.
func decodePath(raw string) (decoded, why string) {
	if strings.IndexByte(raw, '%') < 0 {
		return raw, ""
	}
	decoded, ok := unescape(raw)
	if !ok {
		return "", "the path has a % that is not followed by two hex digits"
	}
	if !utf8.ValidString(decoded) {
		return "", "the path is not UTF-8 once decoded"
	}
	for i := range len(decoded) {
		if c := decoded[i]; c < ' ' || c == 0x7f || c == '#' || c == '?' {
			return "", "the path has a percent-encoded control byte, # or ?"
		}
	}
	return decoded, ""
}

// classify finds what needs a route's allow_path. An encoded slash next to a slash counts as double_slash too, since
// that is what an upstream sees that decodes it.
func classify(raw, decoded string) (a Allow) {
	if strings.IndexByte(decoded, ';') >= 0 {
		a |= AllowSemicolon
	}
	if strings.IndexByte(decoded, '%') >= 0 {
		a |= AllowPercent
	}
	if strings.Count(decoded, "/") > strings.Count(raw, "/") || strings.IndexByte(decoded, '\\') >= 0 {
		a |= AllowSlash
	}
	for i := 1; i < len(decoded); i++ {
		if isSlash(decoded[i]) && isSlash(decoded[i-1]) {
			return a | AllowDoubleSlash
		}
	}
	return a
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }

// hasDots reports whether a segment is "." or "..", also for readers to whom \ ends a segment and ; its name.
func hasDots(decoded string) bool {
	for i := 0; i < len(decoded); i++ {
		if !isSlash(decoded[i]) {
			continue
		}
		end := i + 1
		for end < len(decoded) && decoded[end] == '.' {
			end++
		}
		dots := end - i - 1
		if (dots == 1 || dots == 2) && (end == len(decoded) || isSlash(decoded[end]) || decoded[end] == ';') {
			return true
		}
	}
	return false
}

// hidesDots reports whether decoding again, as often as it can be, brings dot segments to light, or can be done more often
// than anyone has reason for.
func hidesDots(decoded string) bool {
	for range maxNesting {
		next, _ := unescape(decoded)
		if next == decoded {
			return false
		}
		if hasDots(next) {
			return true
		}
		decoded = next
	}
	return true
}
