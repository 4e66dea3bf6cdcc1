package trace

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// labels are the steps in words. Those that are not here are called by their names.
var labels = map[Check]string{
	Path: "path is canonical", Request: "method, host", Grant: "grant", Token: "token present", Key: "algorithm, key", Form: "claims",
	Scope: "scope", Limit: "rate limit", GrantType: "grant type", Target: "API", State: "state",
}

// Label is a step in words.
func (c Check) Label() string {
	if l, ok := labels[c]; ok {
		return l
	}
	return string(c)
}

// The columns of a trace, in characters: where facts begin, and where places do unless the facts are longer.
const (
	factColumn  = 22
	placeColumn = 68
)

const (
	red   = "\x1b[31m"
	green = "\x1b[32m"
	faint = "\x1b[2m"
	bold  = "\x1b[1m"
	reset = "\x1b[0m"
)

// writer makes the text for people, line by line.
type writer struct {
	b     strings.Builder
	color bool
}

// Text is the trace for people, in lines that end with a newline. With color it has the escape sequences of a terminal.
func (t *Trace) Text(color bool) string {
	w := &writer{color: color}
	w.head(t)
	if len(t.Steps) > 0 {
		w.line("")
		w.steps(t.Steps)
	}
	if len(t.Why)+len(t.Near)+len(t.Fix)+len(t.Notes) > 0 {
		w.line("")
	}
	w.lines("Why:  ", t.Why)
	w.lines("Near: ", t.Near)
	for i, fix := range t.Fix {
		w.line(lead("Fix:  ", i) + clean(fix))
	}
	for i, note := range t.Notes {
		w.line(w.paint(faint, lead("Note: ", i)+clean(note)))
	}
	return w.b.String()
}

// head is the verdict and what it is about, on one line.
func (w *writer) head(t *Trace) {
	word := w.paint(bold+red, "DENIED")
	switch t.Verdict {
	case Allow:
		word = w.paint(bold+green, "ALLOWED")
	case WouldDeny:
		word = w.paint(bold+red, "WOULD DENY")
	}
	if t.Reason != "" {
		word += fmt.Sprintf("  %d %s", t.Status, clean(t.Reason))
	}
	about := t.Method + " " + t.Path
	switch {
	case t.API != "" && t.Route != "":
		about = t.API + " · " + t.Route
	case t.Endpoint != "":
		about = t.Endpoint + " · " + about
	}
	w.placed(word+"      "+clean(about), t.Where)
}

// steps prints one line each; those that were not reached share one.
func (w *writer) steps(steps []Step) {
	var left []string
	for _, s := range steps {
		mark := ""
		switch s.Outcome {
		case Passed:
			mark = w.paint(green, "✓")
		case Failed:
			mark = w.paint(red, "✗")
		case NotChecked:
			mark = w.paint(faint, "·")
		default:
			left = append(left, strings.ReplaceAll(string(s.Check), "_", " "))
			continue
		}
		fact := clean(s.Fact)
		if s.Outcome == NotChecked {
			fact = "not checked: " + fact
		}
		w.placed("  "+mark+" "+pad(s.Check.Label(), factColumn)+fact, s.Where)
	}
	if len(left) > 0 {
		w.line("  " + w.paint(faint, "· "+pad("not reached", factColumn)+strings.Join(left, ", ")))
	}
}

func (w *writer) lines(title string, lines []Line) {
	for i, l := range lines {
		w.placed(lead(title, i)+clean(l.Text), l.Where)
	}
}

// lead is a title before the first of some lines, and as much space before the others.
func lead(title string, i int) string {
	if i == 0 {
		return title
	}
	return strings.Repeat(" ", len(title))
}

// placed is a line with a place at its end.
func (w *writer) placed(text, where string) {
	if where != "" {
		text = pad(text, placeColumn) + w.paint(faint, clean(where))
	}
	w.line(text)
}

func (w *writer) line(text string) { w.b.WriteString(strings.TrimRight(text, " ") + "\n") }

func (w *writer) paint(how, text string) string {
	if !w.color {
		return text
	}
	return how + text + reset
}

// pad fills up to the column, and leaves at least two spaces.
func pad(s string, column int) string {
	return s + strings.Repeat(" ", max(column-width(s), 2))
}

// width counts characters, without those that only colour.
func width(s string) (n int) {
	for s != "" {
		if strings.HasPrefix(s, "\x1b[") {
			_, s, _ = strings.Cut(s, "m")
			continue
		}
		_, size := utf8.DecodeRuneInString(s)
		s = s[size:]
		n++
	}
	return n
}

// clean is the last door to the terminal: nothing that could drive one passes.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, s)
}
