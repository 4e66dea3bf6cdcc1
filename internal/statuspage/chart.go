package statuspage

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/pulse"
)

// The drawing's own units. It is stretched to the width of the page; lines keep their strength.
const (
	wide = 900.0
	high = 100.0
)

// stacked is how many reasons have a colour of their own; the others share one.
const stacked = 4

// chart is a drawing of the last 15 minutes. Numbers stand beside it as text, so that they stay readable at any width.
type chart struct {
	Title, Unit, Summary string
	Sum                  string   // what the numbers of the legend are; "": they say it themselves
	Ticks                []string // of the axis, from the top
	Shapes               []shape
	Legend               []legend
}

// shape is one path of a drawing.
type shape struct{ Class, Path, Name string }

// legend is what a shape stands for, and its number.
type legend struct {
	Class, Name, Value string
	Key                string // how the shape looks: line or fill
	Reason             bool   // Name is a reason, by which denials can be looked for
}

// charts draws all three: requests, denials, times.
func charts(v pulse.View) []chart { return []chart{requestChart(v), denialChart(v), timeChart(v)} }

func requestChart(v pulse.View) chart {
	asked := values(v, func(p pulse.Point) float64 { return p.Requests })
	tokens := values(v, func(p pulse.Point) float64 { return p.Tokens })
	top := nice(max(highest(asked), highest(tokens)))
	return chart{Title: "Requests", Unit: "each second", Ticks: ticks(top, plain),
		Summary: fmt.Sprintf("Requests each second over 15 minutes: now %s, at most %s; tokens issued each second: now %s", rate(v.Current.Requests), rate(highest(asked)), rate(v.Current.Tokens)),
		Shapes:  []shape{{"fill s1", area(zero(len(asked)), asked, top), ""}, {"line s1", path(asked, top), "requests to APIs"}, {"line s2 dash", path(tokens, top), "tokens issued"}},
		Legend:  []legend{{"s1", "requests to APIs", rate(v.Current.Requests) + "/s", "line", false}, {"s2 dash", "tokens issued", rate(v.Current.Tokens) + "/s", "line", false}}}
}

// denialChart stacks the most frequent reasons, in the order of its legend from the bottom up.
func denialChart(v pulse.View) chart {
	all := values(v, func(p pulse.Point) float64 { return p.Denied })
	top := nice(highest(all))
	c := chart{Title: "Denials", Unit: "each second, by reason from the bottom up", Sum: "in 15 minutes", Ticks: ticks(top, plain)}
	base := zero(len(all))
	var total int64
	for i, r := range v.Reasons {
		total += r.Count
		if i > stacked {
			continue
		}
		class, name, n := fmt.Sprintf("r%d", i+1), r.Name, r.Count
		next := append([]float64(nil), base...)
		for j, p := range v.Points {
			next[j] += p.ByReason[i]
			if i == stacked { // the first that has no colour of its own stands for all those after it
				next[j] = all[j]
			}
		}
		if i == stacked {
			name = "other reasons"
			for _, more := range v.Reasons[i+1:] {
				n += more.Count
			}
		}
		c.Shapes = append(c.Shapes, shape{"fill " + class, area(base, next, top), name}, shape{"line edge", path(above(base, next), top), ""})
		c.Legend = append(c.Legend, legend{class, name, count(n), "fill", i < stacked})
		base = next
	}
	c.Summary = fmt.Sprintf("Denials each second over 15 minutes: now %s, at most %s; %d in all", rate(v.Current.Denied), rate(highest(all)), total)
	if len(c.Legend) == 0 {
		c.Legend, c.Sum = []legend{{Name: "none in the last 15 minutes"}}, ""
	}
	return c
}

func timeChart(v pulse.View) chart {
	ms := func(d time.Duration) float64 {
		if d == 0 {
			return math.NaN()
		}
		return d.Seconds()
	}
	p50 := values(v, func(p pulse.Point) float64 { return ms(p.P50) })
	p95 := values(v, func(p pulse.Point) float64 { return ms(p.P95) })
	p99 := values(v, func(p pulse.Point) float64 { return ms(p.P99) })
	top := nice(highest(p99))
	name := func(s float64) string {
		if s == 0 {
			return "0"
		}
		if s < 1 {
			return plain(s*1000) + " ms"
		}
		return plain(s) + " s"
	}
	return chart{Title: "Time", Unit: "of whole requests", Ticks: ticks(top, name),
		Summary: fmt.Sprintf("Time of requests over 15 minutes: now half take at most %s, 95 per cent %s, 99 per cent %s", took(v.Current.P50), took(v.Current.P95), took(v.Current.P99)),
		Shapes:  []shape{{"line s3 dot", path(p99, top), "p99"}, {"line s2 dash", path(p95, top), "p95"}, {"line s1", path(p50, top), "p50"}},
		Legend:  []legend{{"s1", "p50", took(v.Current.P50), "line", false}, {"s2 dash", "p95", took(v.Current.P95), "line", false}, {"s3 dot", "p99", took(v.Current.P99), "line", false}}}
}

// above is the upper line where there is something under it, so that the line of a reason is there only where the reason is.
func above(low, up []float64) []float64 {
	out := make([]float64, len(up))
	for i := range up {
		out[i] = up[i]
		if up[i]-low[i] < 1e-9 {
			out[i] = math.NaN()
		}
	}
	return out
}

// plain is a number of an axis.
func plain(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

func values(v pulse.View, of func(pulse.Point) float64) []float64 {
	out := make([]float64, len(v.Points))
	for i, p := range v.Points {
		out[i] = of(p)
	}
	return out
}

func zero(n int) []float64 { return make([]float64, n) }

func highest(list []float64) (top float64) {
	for _, x := range list {
		if x > top { // never for NaN
			top = x
		}
	}
	return top
}

// nice is the next number that an axis ends at, so that its half is easily read too.
func nice(x float64) float64 {
	if x <= 0 {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 3, 4, 6, 8} {
		if x <= m*p {
			return m * p
		}
	}
	return 10 * p
}

func ticks(top float64, name func(float64) string) []string {
	return []string{name(top), name(top / 2), name(0)}
}

func x(i, n int) float64             { return float64(i) / float64(max(n-1, 1)) * wide }
func y(value, top float64) float64   { return high - value/top*high }
func coordinate(x, y float64) string { return fmt.Sprintf("%.1f %.1f", x, y) }

// path is a line; it has a gap where there is no number.
func path(list []float64, top float64) string {
	var b strings.Builder
	drawn := false
	for i, value := range list {
		if math.IsNaN(value) {
			drawn = false
			continue
		}
		if drawn {
			b.WriteString("L")
		} else {
			b.WriteString("M")
			if i+1 == len(list) || math.IsNaN(list[i+1]) { // alone: a short stroke, else there would be nothing to see
				b.WriteString(coordinate(max(x(i, len(list))-2, 0), y(value, top)) + "L")
			}
		}
		b.WriteString(coordinate(x(i, len(list)), y(value, top)))
		drawn = true
	}
	return b.String()
}

// area is what lies between two lines.
func area(low, up []float64, top float64) string {
	var b strings.Builder
	for i, value := range up {
		b.WriteString(map[bool]string{true: "M", false: "L"}[i == 0] + coordinate(x(i, len(up)), y(value, top)))
	}
	for i := len(low) - 1; i >= 0; i-- {
		b.WriteString("L" + coordinate(x(i, len(low)), y(low[i], top)))
	}
	return b.String() + "Z"
}
