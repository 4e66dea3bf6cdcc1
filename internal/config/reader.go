package config

import (
	"fmt"
	"regexp"
)

// maxProblems bounds a report: a file that is wrong in more places is a wrong file.
const maxProblems = 1000

// reader collects what Load learns while it walks: problems, warnings, and which files were read.
type reader struct {
	getenv   func(string) (string, bool)
	problems findings
	warnings findings
	files    watch
	// elsewhere says where a key belongs that is unknown in its place; "" where it is known nowhere. Nil: nothing is said.
	elsewhere func(name, at string) string
}

// finding is a problem whose source line is looked up at the end, once it is known which lines hold secrets.
type finding struct {
	doc       *document
	line, col int
	message   string
	around    bool // the lines before and behind are shown, too
}

type findings []finding

func (f *findings) add(d *document, line, col int, message string) {
	if len(*f) < maxProblems {
		*f = append(*f, finding{d, line, col, message, false})
	}
}

// aSecret finds secrets that were put where none belongs. What is quoted may be clipped, so that any piece counts.
var aSecret = regexp.MustCompile(`gatecs_\w+`)

// sorted are the findings as problems, by file, line and column.
func (f findings) sorted() []Problem {
	var out []Problem
	for _, p := range f {
		problem := Problem{Pos: Pos{p.doc.name, p.line, p.col}, Message: aSecret.ReplaceAllString(p.message, "gatecs_…"), Source: p.doc.line(p.line)}
		if p.around {
			problem.before, problem.after = p.doc.line(p.line-1), p.doc.line(p.line+1)
		}
		out = append(out, problem)
	}
	sortProblems(out)
	return out
}

// fail reports an error at a node.
func (r *reader) fail(at node, format string, args ...any) {
	r.add(at.doc, at.Line, at.Column, at.message(format, args...))
}

// warn reports what loads but deserves a look.
func (r *reader) warn(at node, format string, args ...any) {
	r.warnings.add(at.doc, at.Line, at.Column, at.message(format, args...))
}

func (at node) message(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if at.path == "" {
		return text
	}
	return at.path + ": " + text
}

// add reports an error at a place of a file; line 0 is the file as a whole.
func (r *reader) add(d *document, line, col int, message string) {
	r.problems.add(d, line, col, message)
}
