package configfile

import (
	"fmt"
	"strings"
)

// around is how many lines a diff shows around a change.
const around = 3

// diff is a unified diff of what the splices change.
func (s *source) diff(splices []splice) string {
	splices = inOrder(splices)
	if len(splices) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", s.file, s.file)
	shift := 0 // of the new lines against the old
	for first := 0; first < len(splices); {
		last := first
		for last+1 < len(splices) && splices[last+1].begin-splices[last].end <= 2*around {
			last++
		}
		shift += s.hunk(&b, splices[first:last+1], shift)
		first = last + 1
	}
	return b.String()
}

// hunk writes changes that stand close together, and returns how many lines they add.
func (s *source) hunk(b *strings.Builder, splices []splice, shift int) (grown int) {
	begin := max(0, splices[0].begin-around)
	end := min(len(s.lines), splices[len(splices)-1].end+around)
	for _, p := range splices {
		grown += len(p.lines) - (p.end - p.begin)
	}
	fmt.Fprintf(b, "@@ -%d,%d +%d,%d @@\n", begin+1, end-begin, begin+shift+1, end-begin+grown)
	at := begin
	for _, p := range splices {
		write(b, " ", s.lines[at:p.begin])
		was, is := s.lines[p.begin:p.end], p.lines
		head, tail := 0, 0
		for head < min(len(was), len(is)) && was[head] == is[head] {
			head++
		}
		for tail < min(len(was), len(is))-head && was[len(was)-1-tail] == is[len(is)-1-tail] {
			tail++
		}
		write(b, " ", was[:head])
		write(b, "-", was[head:len(was)-tail])
		write(b, "+", is[head:len(is)-tail])
		write(b, " ", was[len(was)-tail:])
		at = p.end
	}
	write(b, " ", s.lines[at:end])
	return grown
}

func write(b *strings.Builder, sign string, lines []string) {
	for _, l := range lines {
		b.WriteString(sign + strings.TrimRight(l, "\r\n") + "\n")
	}
}
