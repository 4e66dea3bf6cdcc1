package token

// object reads the object at the next byte and leaves its members on the stack.
func (s *scanner) object(depth int) error {
	base := len(s.members)
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		if len(s.members)-base == maxMembers {
			return flaw("hold an object of more than 64 members")
		}
		if err := s.member(base, depth); err != nil {
			return err
		}
		if done, err := s.next('}'); done || err != nil {
			return err
		}
	}
}

// member reads a name and its value, and adds them to the members from base on.
func (s *scanner) member(base, depth int) error {
	if s.peek() != '"' {
		return flaw("hold something else than a name where an object wants one")
	}
	name, err := s.text()
	if err != nil {
		return err
	}
	for _, m := range s.members[base:] {
		if m.name == name {
			return flaw("hold the same name twice")
		}
	}
	s.space()
	if s.peek() != ':' {
		return flaw("hold a name without a value")
	}
	s.pos++
	s.space()
	kind, value, err := s.value(depth)
	if err != nil {
		return err
	}
	s.members = append(s.members, member{name, kind, value})
	return nil
}

// next passes the comma before another member or element, or the closing byte, and says whether it was the latter.
func (s *scanner) next(closing byte) (done bool, err error) {
	s.space()
	switch s.peek() {
	case closing:
		s.pos++
		return true, nil
	case ',':
		s.pos++
		s.space()
		return false, nil
	}
	return false, flaw("are not well-formed JSON")
}

// array reads the array at the next byte. Where each is not nil, it is called with every element.
func (s *scanner) array(depth int, each func(kind, string)) error {
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for n := 0; ; n++ {
		if n == maxElements {
			return flaw("hold an array of more than 256 elements")
		}
		k, v, err := s.value(depth)
		if err != nil {
			return err
		}
		if each != nil {
			each(k, v)
		}
		if done, err := s.next(']'); done || err != nil {
			return err
		}
	}
}

func (s *scanner) deeper(depth int) error {
	if depth == maxDepth {
		return flaw("are nested more than 8 deep")
	}
	return nil
}
