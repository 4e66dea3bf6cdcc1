package token

import "strings"

func (s *scanner) literal() error {
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(s.in[s.pos:], word) {
			s.pos += len(word)
			return nil
		}
	}
	return flaw("are not well-formed JSON")
}

// number passes -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	leading := s.peek()
	if n := s.digits(); n == 0 || n > 1 && leading == '0' {
		return flaw("hold a number that is not JSON's")
	}
	if s.peek() == '.' {
		s.pos++
		if s.digits() == 0 {
			return flaw("hold a number that is not JSON's")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if s.digits() == 0 {
			return flaw("hold a number that is not JSON's")
		}
	}
	return nil
}

func (s *scanner) digits() (n int) {
	for isDigit(s.peek()) {
		s.pos++
		n++
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
