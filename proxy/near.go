package proxy

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"gatehouse/internal/suggest"
	"gatehouse/internal/trace"
)

// The most routes that are proposed, and the costs above which a pattern is not what was meant: by itself, and beyond the nearest.
const (
	proposals = 3
	farthest  = 5
	behind    = 2
)

// nearest are the routes whose patterns are most like the path, those that take the method first. It is no work for the way
// of a request: it looks at every route. A nil table has none.
func (t *table) nearest(method, target string) (out []trace.Line) {
	if t == nil {
		return nil
	}
	type candidate struct {
		cost int
		p    *path
	}
	var list []candidate
	segments := strings.Split(strings.TrimPrefix(target, "/"), "/")
	for _, p := range t.paths {
		cost := alike(segments, strings.Split(strings.TrimPrefix(p.pattern, "/"), "/"))
		if p.own == nil && p.method(method) == nil {
			cost++
		}
		if cost <= farthest {
			list = append(list, candidate{cost, p})
		}
	}
	slices.SortFunc(list, func(a, b candidate) int { return cmp.Or(a.cost-b.cost, strings.Compare(a.p.pattern, b.p.pattern)) })
	for _, c := range list {
		if c.cost > list[0].cost+behind {
			break
		}
		lines := c.p.lines("")
		if rt := c.p.method(method); rt != nil {
			lines = []trace.Line{{Text: rt.Match, Where: rt.Where}}
		} else if c.p.own != nil {
			lines = []trace.Line{{Text: c.p.pattern + ", an endpoint of the gateway itself"}}
		}
		out = append(out, lines...)
	}
	return out[:min(len(out), proposals)]
}

// outdone are the routes that would take path and method, were it not for p, whose pattern is more specific. Like nearest, it
// looks at every path.
func (t *table) outdone(p *path, at *canonical, method string) (out []trace.Line) {
	for _, other := range t.paths {
		rt := other.method(method)
		if other == p || rt == nil {
			continue
		}
		alone := table{mux: http.NewServeMux()}
		alone.mux.Handle(other.pattern, other)
		if alone.find(at) == other {
			out = append(out, trace.Line{Text: rt.Match + ", which does not count here: the most specific path wins, then its methods", Where: rt.Where})
		}
	}
	slices.SortFunc(out, func(a, b trace.Line) int { return strings.Compare(a.Text, b.Text) })
	return out
}

// alike is how far a path is from a pattern: what it costs to turn the one's segments into the other's.
func alike(path, pattern []string) int {
	if n := len(pattern); n > 0 && strings.HasSuffix(pattern[n-1], "...}") {
		pattern = pattern[:n-1]
		path = path[:min(len(path), len(pattern))]
	}
	prev := make([]int, len(pattern)+1)
	for j := range pattern {
		prev[j+1] = prev[j] + extra(pattern[j])
	}
	for _, segment := range path {
		cur := make([]int, len(pattern)+1)
		cur[0] = prev[0] + extra(segment)
		for j, want := range pattern {
			cur[j+1] = min(prev[j]+unlike(segment, want), prev[j+1]+extra(segment), cur[j]+extra(want))
		}
		prev = cur
	}
	return prev[len(pattern)]
}

// extra is the cost of a segment that the other has not: little for an empty one, which is a slash at the end.
func extra(segment string) int {
	if segment == "" || segment == "{$}" {
		return 1
	}
	return 3
}

// unlike is the cost of a segment in the place of another. A wildcard takes any but the empty one.
func unlike(got, want string) int {
	switch {
	case got == want:
		return 0
	case isWildcard(want):
		if got == "" {
			return 2
		}
		return 0
	case strings.EqualFold(got, want):
		return 1
	case suggest.Nearest(got, slices.Values([]string{want})) == want:
		return suggest.Edits(got, want)
	}
	return farthest + 1
}
