package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is one thing that is wrong, or worth a warning, in the configuration. As JSON it is what the reload endpoint
// answers: {"file", "line", "col", "message"}.
type Problem struct {
	Pos
	Message string `json:"message"` // the key's path, what is wrong, what was wanted, and the fix
	Source  string `json:"-"`       // the line as it stands in the file; empty where there is none to show

	before, after string // the lines around, where they help: in a file that is no YAML the mistake may be there
}

// Text is the problem for people: `file:line:col: severity: message`, then the source line with a caret under the
// place. It ends with a newline. Severity is "error" or "warning".
func (p Problem) Text(severity string) string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s: %s\n", p.File, severity, p.Message)
	}
	out := fmt.Sprintf("%s:%d:%d: %s: %s\n", p.File, p.Line, p.Col, severity, p.Message)
	if p.Source == "" {
		return out
	}
	line, caret := clip(p.Source, p.Col)
	return out + beside(p.Line-1, p.before) + fmt.Sprintf("%6d | %s\n       | %s^\n", p.Line, line, strings.Repeat(" ", caret)) + beside(p.Line+1, p.after)
}

// beside is a line before or behind the one that is meant; "" where it is not shown.
func beside(n int, source string) string {
	if source == "" {
		return ""
	}
	line, _ := clip(source, 1)
	return fmt.Sprintf("%6d | %s\n", n, line)
}

// clip returns what to show of a source line, and how many characters stand before column col in it. A long line shows
// the part around col. Control characters show as spaces, so that a file can't drive a terminal.
func clip(source string, col int) (string, int) {
	const before, shown = 80, 160
	skip := max(0, col-1-before)
	var b strings.Builder
	i, n := 0, 0
	for _, c := range source {
		if i++; i <= skip {
			continue
		}
		if n++; n > shown {
			break
		}
		if !unicode.IsPrint(c) || c == utf8.RuneError {
			c = ' '
		}
		b.WriteRune(c)
	}
	return strings.TrimRight(b.String(), " "), col - 1 - skip
}

// Errors is every problem that kept a configuration from loading, sorted by file, line and column.
type Errors []Problem

// Error prints each problem with its source line, and closes with a count.
func (e Errors) Error() string {
	var b strings.Builder
	files := make(map[string]bool)
	for _, p := range e {
		b.WriteString(p.Text("error"))
		files[p.File] = true
	}
	b.WriteString(plural(len(e), "error"))
	if len(files) == 1 {
		return b.String() + " in " + e[0].File
	}
	return b.String() + " in " + plural(len(files), "file")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func sortProblems(list []Problem) {
	slices.SortStableFunc(list, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	})
}
