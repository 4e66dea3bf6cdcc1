package token

import "unicode/utf8"

// What a document may hold. A token of ours has 3 header members and 9 claims; the bounds leave room for other issuers
// and keep what is compared pairwise, the names within one object, small.
const (
	maxDepth    = 8   // nested objects and arrays, the outermost counted
	maxMembers  = 64  // members of one object
	maxElements = 256 // elements of one array
)

type kind uint8

const (
	other  kind = iota // true, false, null, an object
	text               // a string
	number             // kept as it was written
	list               // an array, kept as it was written
)

// member is one name and value of a JSON object.
type member struct {
	name  string
	kind  kind
	value string // the characters of a string; of all else, the JSON itself
}

// flaw says what is wrong with a document. It never quotes the document.
type flaw string

func (f flaw) Error() string { return string(f) }

// scanner reads one JSON document (RFC 8259), and less than that: a name may stand only once in an object, also when
// spelled with escapes; text is valid UTF-8 without NUL and without half surrogates; depth and counts are bounded.
// Numbers are checked against the grammar and never computed, so that no exponent costs anything.
//
// It exists because encoding/json lets duplicate names, invalid UTF-8 and folded case pass.
type scanner struct {
	in  string
	pos int
	// members is a stack: those of the object being read, above those of the objects around it.
	members []member
}

// scanObject appends the members of the JSON object that is the whole of doc to into.
func scanObject(doc string, into []member) ([]member, error) {
	if !utf8.ValidString(doc) {
		return nil, flaw("hold bytes that are not UTF-8")
	}
	s := scanner{in: doc, members: into}
	s.space()
	if s.peek() != '{' {
		return nil, flaw("are not a JSON object")
	}
	if err := s.object(1); err != nil {
		return nil, err
	}
	s.space()
	if s.pos != len(s.in) {
		return nil, flaw("go on after their JSON object")
	}
	return s.members, nil
}

// peek is the next byte, or 0 at the end: no JSON syntax has a NUL.
func (s *scanner) peek() byte {
	if s.pos < len(s.in) {
		return s.in[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.in) {
		switch s.in[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// value reads the value at the next byte. What it holds inside is checked and forgotten.
func (s *scanner) value(depth int) (kind, string, error) {
	start := s.pos
	k, err := other, error(nil)
	switch c := s.peek(); {
	case c == '"':
		v, err := s.text()
		return text, v, err
	case c == '{':
		base := len(s.members)
		if err = s.deeper(depth); err == nil {
			err = s.object(depth + 1)
		}
		s.members = s.members[:base]
	case c == '[':
		k = list
		if err = s.deeper(depth); err == nil {
			err = s.array(depth+1, nil)
		}
	case c == '-' || isDigit(c):
		k, err = number, s.number()
	default:
		err = s.literal()
	}
	return k, s.in[start:s.pos], err
}
