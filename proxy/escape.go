package proxy

import "strings"

const upperHex = "0123456789ABCDEF"

// bare are the bytes that may stand in a path as they are: unreserved, sub-delims, ":", "@" and "/" of RFC 3986 §3.3,
// and the % of an encoded byte.
const bare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/%"

var isBare = byteSet(bare)

func byteSet(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}

// escapeBare percent-encodes the bytes of a path that RFC 3986 does not take as they are, such as | and ". It leaves what
// is encoded already, so that the result decodes to the same.
func escapeBare(raw string) string { return escape(raw, &isBare) }

var isVisible = byteSet("!\"#$&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~")

// headerValue makes s safe in a header: bytes outside %x21-7E and % itself are percent-encoded, so that no claim can end
// the field, and what was meant can be told again.
func headerValue(s string) string { return escape(s, &isVisible) }

// scopesValue is headerValue for a list of scopes, and leaves the spaces between them.
func scopesValue(s string) string { return escape(s, &isScopeList) }

var isScopeList = func() [256]bool {
	set := isVisible
	set[' '] = true
	return set
}()

// escape percent-encodes the bytes of s that are not in keep, and returns s itself where there are none.
func escape(s string, keep *[256]bool) string {
	n := 0
	for i := range len(s) {
		if !keep[s[i]] {
			n++
		}
	}
	if n == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2*n)
	for i := range len(s) {
		if c := s[i]; keep[c] {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// unescape decodes every %XX of s. A % that is followed by anything else stays, and whole is false.
func unescape(s string) (decoded string, whole bool) {
	out := make([]byte, 0, len(s))
	whole = true
	for i := 0; i < len(s); i++ {
		hi, lo := -1, -1
		if s[i] == '%' && i+2 < len(s) {
			hi, lo = hexValue(s[i+1]), hexValue(s[i+2])
		}
		if hi >= 0 && lo >= 0 {
			out = append(out, byte(hi<<4|lo))
			i += 2
			continue
		}
		whole = whole && s[i] != '%'
		out = append(out, s[i])
	}
	return string(out), whole
}

// isDecimal reports whether s is digits and nothing else.
func isDecimal(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
