package token

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads the string whose opening quote is the next byte. A string without escapes shares the document's memory.
func (s *scanner) text() (string, error) {
	s.pos++
	start := s.pos
	for s.pos < len(s.in) {
		switch c := s.in[s.pos]; {
		case c == '"':
			s.pos++
			return s.in[start : s.pos-1], nil
		case c == '\\':
			return s.escaped([]byte(s.in[start:s.pos]))
		case c < ' ':
			return "", flaw("hold a control character in a string")
		}
		s.pos++
	}
	return "", flaw("end within a string")
}

// escaped reads the rest of a string that began as out.
func (s *scanner) escaped(out []byte) (string, error) {
	for s.pos < len(s.in) {
		c := s.in[s.pos]
		s.pos++
		switch {
		case c == '"':
			return string(out), nil
		case c < ' ':
			return "", flaw("hold a control character in a string")
		case c != '\\':
			out = append(out, c)
		default:
			r, ok := s.escape()
			if !ok {
				return "", flaw("hold an escape that stands for no character, or for NUL")
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return "", flaw("end within a string")
}

// escape reads what follows a backslash. ok is false for NUL too, and for half a surrogate pair.
func (s *scanner) escape() (r rune, ok bool) {
	c := s.peek()
	s.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		return s.unicode()
	}
	return 0, false
}

// unicode reads the four hex digits after \u, and the second half of a surrogate pair.
func (s *scanner) unicode() (r rune, ok bool) {
	r, ok = s.hex4()
	if !ok || r == 0 {
		return 0, false
	}
	if !utf16.IsSurrogate(r) {
		return r, true
	}
	if !strings.HasPrefix(s.in[min(s.pos, len(s.in)):], `\u`) {
		return 0, false
	}
	s.pos += 2
	low, ok := s.hex4()
	r = utf16.DecodeRune(r, low)
	return r, ok && r != utf8.RuneError
}

func (s *scanner) hex4() (r rune, ok bool) {
	for range 4 {
		c := s.peek()
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
		s.pos++
	}
	return r, true
}
