package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	yamlLine    = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)`)
	tabIndent   = regexp.MustCompile(`^ *\t\s*\S`)
	flowDollar  = regexp.MustCompile(`[\[{,]\s*\$\{|[\[{][^"']*:\s*\$\{`)
	flowPattern = regexp.MustCompile(`[\[{][^"']*[ ,:](/[^"',\s]*\{)`)
	noSpace     = regexp.MustCompile(`^\s*(?:- )?[A-Za-z_]+:[^\s/]`)
	missingPair = regexp.MustCompile(`^\s*(?:- )?[A-Za-z_]+\s*$`)
)

// syntax reports a file that is not YAML. The parser's line may be off by some, so the message says "near" unless a
// common mistake is found at an exact place, and the lines around are shown.
func (r *reader) syntax(d *document, err error) {
	m := yamlLine.FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(m[1])
	line = min(max(line, 1), len(d.lines))
	for i, l := range d.lines {
		if tabIndent.MatchString(l) {
			r.addAround(d, i+1, 1+strings.IndexByte(l, '\t'), "YAML is indented with spaces, and here is a tab — write two spaces for it")
			return
		}
	}
	for _, n := range []int{line, line - 1, line + 1} {
		if n < 1 || n > len(d.lines) {
			continue
		}
		if hint, col := syntaxHint(d.lines[n-1]); hint != "" {
			r.addAround(d, n, col, fmt.Sprintf("not valid YAML near line %d: %s — %s", n, m[2], hint))
			return
		}
	}
	r.addAround(d, line, firstColumn(d.lines[line-1]), fmt.Sprintf("not valid YAML near line %d: %s — see how the lines around are indented", line, m[2]))
}

// addAround reports an error, which shows with the lines around it.
func (r *reader) addAround(d *document, line, col int, message string) {
	r.problems.add(d, line, col, message)
	r.problems[len(r.problems)-1].around = true
}

// syntaxHint finds a common mistake in a line, and its column.
func syntaxHint(l string) (hint string, col int) {
	code, _, _ := strings.Cut(l, " #")
	at := func(i int) int { return 1 + len([]rune(code[:i])) }
	if i := flowDollar.FindStringIndex(code); i != nil {
		return `inside […] and {…} a variable needs quotes: "${NAME}"`, at(i[0] + strings.Index(code[i[0]:], "${"))
	}
	if i := noSpace.FindStringIndex(code); i != nil {
		return "a space belongs after the colon", at(i[1] - 1)
	}
	for _, quote := range []string{`"`, `'`} {
		if strings.Count(code, quote)%2 == 1 {
			return "a quote is not closed", at(strings.LastIndex(code, quote))
		}
	}
	if i := flowPattern.FindStringSubmatchIndex(code); i != nil {
		return `inside […] and {…} what holds a { needs quotes: {match: "GET /orders/{id}"}`, at(i[2])
	}
	for _, pair := range []string{"[]", "{}"} {
		if i := unclosed(code, pair[0], pair[1]); i >= 0 {
			return "a " + pair[:1] + " is not closed", at(i)
		}
		if strings.Count(code, pair[1:]) > strings.Count(code, pair[:1]) {
			return "a " + pair[1:] + " closes nothing", at(strings.LastIndex(code, pair[1:]))
		}
	}
	if missingPair.MatchString(code) {
		return "a colon is missing after the key", firstColumn(code)
	}
	return "", 0
}

// unclosed is the index of the last opening bracket that nothing closes, or -1.
func unclosed(code string, opening, closing byte) int {
	var open []int
	for i := range len(code) {
		switch code[i] {
		case opening:
			open = append(open, i)
		case closing:
			open = open[:max(len(open)-1, 0)]
		}
	}
	if len(open) == 0 {
		return -1
	}
	return open[len(open)-1]
}

func firstColumn(l string) int {
	return 1 + len(l) - len(strings.TrimLeft(l, " "))
}
