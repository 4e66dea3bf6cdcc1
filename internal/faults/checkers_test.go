package faults

import (
	"testing"
	"time"
)

var zero = time.Unix(1_800_000_000, 0)

func at(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }

func TestForgotten(t *testing.T) {
	promises := []promise{{"a", 0, at(100)}, {"a", 1, at(150)}, {"b", 1, at(100)}}
	healed := at(1000)
	for name, tt := range map[string]struct {
		sights []sight
		want   int
	}{
		"refused everywhere":                        {[]sight{{"a", 0, at(110), at(111), false}, {"a", 2, at(1100), at(1101), false}}, 0},
		"another node has not heard yet":            {[]sight{{"a", 2, at(110), at(111), true}}, 0},
		"asked before the answer":                   {[]sight{{"a", 0, at(90), at(111), true}}, 0},
		"nobody revoked it":                         {[]sight{{"c", 0, at(1200), at(1201), true}}, 0},
		"the node that answered forgets":            {[]sight{{"a", 0, at(110), at(111), true}}, 1},
		"another node never hears, after healing":   {[]sight{{"b", 2, at(1100), at(1101), true}}, 1},
		"the node that answered forgets, the other": {[]sight{{"b", 1, at(1100), at(1101), true}, {"b", 0, at(999), at(1001), true}}, 1},
	} {
		if got := forgotten(promises, tt.sights, healed); len(got) != tt.want {
			t.Errorf("%s: %d breaches %v, wanted %d", name, len(got), got, tt.want)
		}
	}
}

// steady are requests that were admitted one after the other, ms apart.
func steady(from, n, ms int, source string) (out []record) {
	for i := range n {
		start := at(from + i*ms)
		out = append(out, record{client: "c", source: source, admitted: true, start: start, end: start.Add(time.Millisecond)})
	}
	return out
}

func join(lists ...[]record) (out []record) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func TestOverLimit(t *testing.T) {
	limit := bucket{burst: 30, rate: 60}
	emptied := bucket{burst: 30, rate: 60, lost: []span{{at(40), at(45)}}}
	reborn := steady(20, 10, 1, "local")
	for i := range reborn {
		reborn[i].life = 1
	}
	for name, tt := range map[string]struct {
		seen   [][]record
		bucket bucket
		want   int
	}{
		"a burst, and then the rate":                 {[][]record{join(steady(0, 30, 1, "redis"), steady(30, 60, 17, "redis"))}, limit, 0},
		"two nodes with a burst each":                {[][]record{steady(0, 30, 1, "redis"), steady(0, 30, 1, "redis")}, limit, 1},
		"a burst more, since Redis was emptied":      {[][]record{join(steady(0, 30, 1, "redis"), steady(46, 30, 1, "redis"))}, emptied, 0},
		"two bursts more, though it was but once":    {[][]record{join(steady(0, 30, 1, "redis"), steady(46, 60, 1, "redis"))}, emptied, 1},
		"emptied later":                              {[][]record{steady(0, 60, 1, "redis")}, bucket{burst: 30, rate: 60, lost: []span{{at(500), at(505)}}}, 1},
		"the whole rate twice as fast":               {[][]record{steady(0, 300, 8, "redis")}, limit, 1},
		"a node's share without Redis":               {[][]record{steady(0, 10, 1, "local")}, limit, 0},
		"a node without Redis takes the whole limit": {[][]record{steady(0, 30, 1, "local")}, limit, 1},
		"a node that was restarted has a new share":  {[][]record{join(steady(0, 10, 1, "local"), reborn)}, limit, 0},
		"what leased permits admitted counts":        {[][]record{join(steady(0, 30, 1, "redis"), steady(30, 30, 1, "lease"))}, limit, 1},
		"a share of two while the third restarts":    {[][]record{steady(0, 15, 1, "local")}, bucket{burst: 30, rate: 60, sizes: []size{{span{at(0), at(50)}, 2}}}, 0},
		"a share of one while the third restarts":    {[][]record{steady(0, 30, 1, "local")}, bucket{burst: 30, rate: 60, sizes: []size{{span{at(0), at(50)}, 2}}}, 1},
		"another client's do not":                    {[][]record{{{client: "d", source: "redis", admitted: true}}}, bucket{}, 0},
	} {
		if got := overLimit("c", tt.seen, tt.bucket); len(got) != tt.want {
			t.Errorf("%s: %d breaches %v, wanted %d", name, len(got), got, tt.want)
		}
	}
}

func TestTooLong(t *testing.T) {
	ms := time.Millisecond
	timers := []wait{{at(0), 25 * ms}, {at(5000), 125 * ms}, {at(5200), 25 * ms}}
	for name, tt := range map[string]struct {
		wait wait
		want int
	}{
		"within the budget":                           {wait{at(0), 20 * ms}, 0},
		"a read that ended by go-redis's own timeout": {wait{at(0), 75 * ms}, 1},
		"while the machine was late as well":          {wait{at(5010), 300 * ms}, 0},
		"longer than that explains":                   {wait{at(5010), 600 * ms}, 1},
		"the machine was late another time":           {wait{at(7000), 200 * ms}, 1},
	} {
		if got := tooLong([]wait{tt.wait}, timers, 25*ms); len(got) != tt.want {
			t.Errorf("%s: %d breaches %v, wanted %d", name, len(got), got, tt.want)
		}
	}
}

func TestPeaked(t *testing.T) {
	before := usage{100, []int{4, 4, 30}}
	most := before.or(usage{500, []int{30, 40, 10}})
	if most.goroutines != 500 || most.conns[0] != 30 || most.conns[2] != 30 {
		t.Errorf("the most is %+v", most)
	}
	for name, tt := range map[string]struct {
		most usage
		want int
	}{
		"busy":                    {most, 0},
		"a goroutine a request":   {usage{2000, []int{30, 40, 30}}, 1},
		"connections without end": {usage{500, []int{30, 400, 30}}, 1},
		"both, and of every node": {usage{2000, []int{400, 400, 400}}, 4},
	} {
		if got := peaked(before, tt.most, 24); len(got) != tt.want {
			t.Errorf("%s: %d breaches %v, wanted %d", name, len(got), got, tt.want)
		}
	}
}

func TestGrown(t *testing.T) {
	before := usage{100, []int{4, 4, 30}}
	for name, tt := range map[string]struct {
		after usage
		want  int
	}{
		"as before":                  {usage{101, []int{5, 4, 30}}, 0},
		"fewer":                      {usage{50, []int{0, 4, 2}}, 0},
		"a goroutine for each fault": {usage{140, []int{4, 4, 4}}, 1},
		"connections without end":    {usage{100, []int{4, 25, 4}}, 1},
	} {
		if got := grown(before, tt.after, 24); len(got) != tt.want {
			t.Errorf("%s: %d breaches %v, wanted %d", name, len(got), got, tt.want)
		}
	}
}
