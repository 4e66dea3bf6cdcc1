package configfile

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// splice puts lines in place of those from begin up to end.
type splice struct {
	begin, end int
	lines      []string
}

// setMatch writes the match of a route anew.
func (s *source) setMatch(it item, lines []string, match string) ([]string, error) {
	key, val := find(it.node, "match")
	if it.node.Style&yaml.FlowStyle != 0 || key.Line != val.Line {
		return nil, s.uneditable(key.Line, "this route")
	}
	return s.setKey(it, lines, key, val, "match: "+matchText(match))
}

// setRule writes what a route asks for anew.
func (s *source) setRule(it item, lines []string, rule string) ([]string, error) {
	key, val := find(it.node, "scopes")
	if key == nil {
		key, val = find(it.node, "auth")
	}
	if key == nil || it.node.Style&yaml.FlowStyle != 0 {
		return nil, s.uneditable(it.Line, "this route")
	}
	return s.setKey(it, lines, key, val, rule)
}

// setKey writes one key of a route with its value anew, where it has lines of its own. The comments beside it stay.
func (s *source) setKey(it item, lines []string, key, val *yaml.Node, text string) ([]string, error) {
	begin, end := key.Line-1-it.begin, len(lines)
	if next := after(it.node, key); next != nil {
		end = next.Line - 1 - it.begin
	}
	if begin < 0 || end <= begin || key.Column > len(lines[begin]) {
		return nil, s.uneditable(key.Line, "this route")
	}
	for end > begin+1 && (strings.TrimSpace(lines[end-1]) == "" || strings.HasPrefix(strings.TrimSpace(lines[end-1]), "#")) {
		end--
	}
	line := lines[begin][:key.Column-1] + text
	beside := append([]string{key.LineComment}, comments(val)...)
	if found := strings.Join(slices.DeleteFunc(beside, func(c string) bool { return c == "" || !s.beside(c, it.begin+begin, it.begin+end) }), " "); found != "" {
		line += "   " + found
	}
	return slices.Concat(lines[:begin], s.lineEnds(line+"\n"), lines[end:]), nil
}

// beside reports whether a comment ends one of the lines.
func (s *source) beside(comment string, begin, end int) bool {
	return slices.ContainsFunc(s.lines[begin:end], func(l string) bool { return strings.HasSuffix(strings.TrimSpace(l), comment) })
}

// relabel gives a route's mark another operation.
func relabel(lines []string, label string) []string {
	out := slices.Clone(lines)
	for i, l := range out {
		if m := marked.FindStringSubmatchIndex(strings.TrimRight(l, "\r\n")); m != nil {
			out[i] = l[:m[2]] + label + l[m[3]:]
			break
		}
	}
	return out
}

// lineEnds splits a text into lines that end as the file's do.
func (s *source) lineEnds(text string) []string {
	if s.crlf {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	lines := strings.SplitAfter(text, "\n")
	return lines[:len(lines)-1]
}

// addScopes declares the scopes that routes ask for and the API does not have.
func (m *merge) addScopes(names []string) error {
	slices.Sort(names)
	key, declared := find(m.api, "scopes")
	var add []string
	for _, name := range slices.Compact(names) {
		if declared != nil {
			if k, _ := find(declared, name); k != nil {
				continue
			}
		}
		add = append(add, scope(name, m.describe))
		m.changes = append(m.changes, Change{Kind: AddScope, Scope: name})
	}
	if len(add) == 0 {
		return nil
	}
	routes, _ := find(m.api, "routes")
	pad := strings.Repeat(" ", routes.Column-1)
	switch {
	case declared == nil:
		text := pad + "scopes:\n" + pad + "  " + strings.Join(add, "\n"+pad+"  ") + "\n"
		m.splices = append(m.splices, splice{routes.Line - 1, routes.Line - 1, m.lineEnds(text)})
	case declared.Style&yaml.FlowStyle == 0:
		inner := strings.Repeat(" ", declared.Content[0].Column-1)
		end := m.limitOf(key)
		end = m.trim(key.Line-1, end, len(pad))
		m.splices = append(m.splices, splice{end, end, m.lineEnds(inner + strings.Join(add, "\n"+inner) + "\n")})
	default:
		return m.addToFlow(key, declared, add)
	}
	return nil
}

// addToFlow adds to scopes that stand in braces on one line.
func (m *merge) addToFlow(key, declared *yaml.Node, add []string) error {
	line := strings.TrimRight(m.lines[key.Line-1], "\r\n")
	beside := strings.Join(append(comments(key), comments(declared)...), " ")
	code := strings.TrimRight(strings.TrimSuffix(line, beside), " ")
	if declared.Line != key.Line || !strings.HasSuffix(code, "}") || beside != "" && code == line {
		return m.uneditable(key.Line, "these scopes")
	}
	code = strings.TrimRight(strings.TrimSuffix(code, "}"), " ,")
	if len(declared.Content) > 0 {
		code += ", "
	}
	code += strings.Join(add, ", ") + "}"
	if beside != "" {
		code += "   " + beside
	}
	m.splices = append(m.splices, splice{key.Line - 1, key.Line, m.lineEnds(code + "\n")})
	return nil
}

// limitOf is the line after the last that may belong to a key of the API.
func (m *merge) limitOf(key *yaml.Node) int {
	if next := after(m.api, key); next != nil {
		return next.Line - 1
	}
	return m.apiLimit
}

// apply is the text with all splices in it.
func (s *source) apply(splices []splice) string {
	var b strings.Builder
	at := 0
	for _, p := range inOrder(splices) {
		b.WriteString(strings.Join(s.lines[at:p.begin], ""))
		b.WriteString(strings.Join(p.lines, ""))
		at = p.end
	}
	b.WriteString(strings.Join(s.lines[at:], ""))
	return b.String()
}

// inOrder are splices by their places; what is put in after a line comes after what replaces it.
func inOrder(splices []splice) []splice {
	out := slices.Clone(splices)
	slices.SortStableFunc(out, func(a, b splice) int {
		if a.end != b.end {
			return a.end - b.end
		}
		return a.begin - b.begin
	})
	return out
}
