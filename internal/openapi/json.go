package openapi

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// asYAML is JSON as a reader of YAML takes it too, which is what finds keys that are set twice and knows lines: characters that JSON
// spells as two escapes become themselves, and those that YAML does not have, or takes for the end of a line, become escapes. Lines stay where
// they are. What is no JSON is returned as it is.
func asYAML(content []byte) []byte {
	if !json.Valid(content) {
		return content
	}
	var out bytes.Buffer
	for i := 0; i < len(content); {
		r, size := utf8.DecodeRune(content[i:])
		switch {
		case r == '\\':
			high := escape(content[i:])
			if !utf16.IsSurrogate(high) {
				out.Write(content[i : i+2]) // with what is escaped, which may be a backslash
				i += 2
				continue
			}
			pair := utf16.DecodeRune(high, escape(content[i+6:]))
			out.WriteRune(pair) // U+FFFD for half a pair, as JSON's readers have it
			if i += 6; pair != utf8.RuneError {
				i += 6
			}
		case r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xFFFE || r == 0xFFFF:
			out.WriteString(`\u` + strconv.FormatInt(0x10000+int64(r), 16)[1:])
			i += size
		default:
			out.Write(content[i : i+size])
			i += size
		}
	}
	return out.Bytes()
}

// escape is the \uXXXX that b begins with; 0: it does not.
func escape(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	v, err := strconv.ParseUint(string(b[2:6]), 16, 32)
	if err != nil {
		return 0
	}
	return rune(v)
}
