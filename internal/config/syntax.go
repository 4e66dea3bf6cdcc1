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
	badEscape   = regexp.MustCompile(`"[^"\\]*(\\[^0abtnvfre"/\\N_LPxuU \t])`)
	reserved    = regexp.MustCompile("(?:: +|- +|[\\[{,] *)([@`%]|[*](?:$|[^A-Za-z0-9_-]))")

	unknownAnchor = regexp.MustCompile(`unknown anchor '([^']+)' referenced`)

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
	if m := unknownAnchor.FindStringSubmatch(err.Error()); m != nil {
		for i, l := range d.lines {
			if at := strings.Index(l, "*"+m[1]); at >= 0 {
				r.addAround(d, i+1, 1+len([]rune(l[:at])), fmt.Sprintf("the alias *%s is not read, and the anchor &%s is nowhere — write the value out, or quote the text", m[1], m[1]))
				return
			}
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
	if n := oddIndent(d.lines); n > 0 && strings.Contains(m[2], "did not find expected key") {
		r.addAround(d, n, firstColumn(d.lines[n-1]), fmt.Sprintf("the line begins between two levels of the lines above — indent it as its neighbours: %s", strings.Trim(m[2], " ")))
		return
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
	if i := badEscape.FindStringSubmatchIndex(code); i != nil {
		return `in double quotes \ begins an escape; write the text in single quotes`, at(i[2])
	}
	if i := reserved.FindStringSubmatchIndex(code); i != nil {
		return fmt.Sprintf("what begins with %s needs quotes", code[i[2]:i[2]+1]), at(i[2])
	}
	if i := noSpace.FindStringIndex(code); i != nil && !strings.Contains(code[i[0]:], ": ") {
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

// oddIndent is the first line that begins further right than the block that it could belong to, and further left than the block above it; 0
// where there is none. Lines of texts over several lines are not told apart, so it is asked only where a file is no YAML.
func oddIndent(lines []string) int {
	var open []int // the columns of the blocks that the line before is in
	for i, l := range lines {
		text := strings.TrimLeft(l, " ")
		if text == "" || text[0] == '#' {
			continue
		}
		indent := len(l) - len(text)
		inside := len(open) > 0 && indent < open[len(open)-1]
		for len(open) > 0 && indent < open[len(open)-1] {
			open = open[:len(open)-1]
		}
		if inside && (len(open) == 0 || open[len(open)-1] != indent) {
			return i + 1
		}
		if len(open) == 0 || indent > open[len(open)-1] {
			open = append(open, indent)
		}
		for rest, ok := strings.CutPrefix(text, "- "); ok; rest, ok = strings.CutPrefix(rest, "- ") {
			inner := len(l) - len(strings.TrimLeft(rest, " "))
			open = append(open, inner)
			rest = strings.TrimLeft(rest, " ")
		}
	}
	return 0
}
