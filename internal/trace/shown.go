package trace

import (
	"strconv"
	"strings"
)

// maxShown bounds what a caller can make us show of one text, in bytes.
const maxShown = 256

// leftOut stands where a text looked like a secret or a token in the wrong place.
const leftOut = "(looks like a secret or a token, and is not shown)"

// secretive reports whether s holds what generated secrets, or the headers of JWTs, begin with.
func secretive(s string) bool { return strings.Contains(s, "gatecs_") || strings.Contains(s, "eyJ") }

// Logged is a caller's text as it may stand in the log, which escapes it: what looks like a secret or a token is left out, up to
// the slashes on both sides of it, so that the rest of a path can still be read.
func Logged(s string) string {
	if !secretive(s) {
		return s
	}
	parts := strings.Split(s, "/")
	for i, part := range parts {
		if secretive(part) {
			parts[i] = leftOut
		}
	}
	return strings.Join(parts, "/")
}

// Clip is a copy of s, cut to 256 bytes with one more as the sign that there was more. Whoever keeps what a caller sent keeps
// this, since the text itself may be part of something large, or of something secret.
func Clip(s string) string { return strings.Clone(s[:min(len(s), maxShown+1)]) }

// Shown is a caller's text as it may be shown: on one line, in printable ASCII, with everything else escaped as in Go, and
// clipped to 256 bytes of what was sent. What looks like a secret or a token in the wrong place is not shown at all.
func Shown(s string) string {
	if secretive(s) {
		return leftOut
	}
	more := ""
	if len(s) > maxShown {
		s, more = s[:maxShown], "…"
	}
	if plain(s) {
		return s + more
	}
	quoted := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) + more
}

// ShownHost is Shown for a Host header. What stands before an @ may be a password, and is left out.
func ShownHost(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "(…)" + Shown(s[i:])
	}
	return Shown(s)
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return false
		}
	}
	return true
}

// ShortKey is enough of a kid to tell keys apart by eye.
func ShortKey(kid string) string {
	kid = Shown(kid)
	if len(kid) <= 12 {
		return kid
	}
	return kid[:4] + "…" + kid[len(kid)-2:]
}
