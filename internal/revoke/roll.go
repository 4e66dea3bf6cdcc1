package revoke

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxName bounds what a node calls itself, in bytes.
const maxName = 100

// maxLead bounds what is believed of a node's clock, in milliseconds: a hundred years.
const maxLead = 100 * 365 * 24 * 3600 * 1000

// Fleet is the nodes that share a Redis, as they were at a heartbeat.
type Fleet struct {
	// Age is how long ago that heartbeat was.
	Age time.Duration
	// Head is the last entry of the log of revocations.
	Head string
	// Nodes are sorted by name. One that was silent for long is still among them for a minute.
	Nodes []Member
}

// Member is one node of a fleet.
type Member struct {
	// Name and Version are what the node calls itself; empty for one that does not say. ID is its process.
	Name, Version, ID string
	// Self is true for the node that was asked.
	Self bool
	// Heard is how long before the heartbeat it was last heard, and Live whether that is recent enough to count.
	Heard time.Duration
	Live  bool
	// Applied is the last entry of the log that the node refuses by; "0-0" while it reads all anew.
	Applied string
	// Clock is how far the node's clock was ahead of the fleet's time; nil where it is not known: before a second heartbeat, after
	// a step of Redis's clock, and of a node of an older version, which does not say.
	Clock *time.Duration
	old   bool // it is one
	// Behind is how much older that entry is than the head; 0 where it is the head, and the longest Duration for "0-0" or what
	// is not understood.
	Behind time.Duration
}

// roll is what one heartbeat was told of the fleet.
type roll struct {
	at    time.Duration // since the clock's start
	now   time.Time     // Redis's clock
	head  streamID
	nodes []string      // field, value, what it found of its clock, field …
	lead  time.Duration // of the fleet's time over Redis's clock
}

// nodeField is a node's field in the hash of heartbeats: an id that no other process has, and then, for people, version and
// name. Whoever reads it takes all of it for the id, as nodes of older versions do.
func nodeField(id, version, name string) string {
	if name == "" {
		return id
	}
	return id + " " + cmp.Or(printable(strings.ReplaceAll(version, " ", "_")), "-") + " " + printable(name)
}

// printable keeps a name from doing anything but name.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < 0x20 || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxName)]
}

// parseNodes reads texts out of a script's answer; what is no such thing has none.
func parseNodes(answer any) []string {
	list, _ := answer.([]any)
	nodes := make([]string, 0, len(list))
	for _, v := range list {
		text, _ := v.(string)
		nodes = append(nodes, text)
	}
	return nodes
}

func (f *Feed) fleet() Fleet {
	r := f.roll.Load()
	if r == nil {
		return Fleet{}
	}
	return Fleet{Age: f.clock.elapsed() - r.at, Head: r.head.String(), Nodes: f.members(r)}
}

// members are the nodes by name.
func (f *Feed) members(r *roll) (list []Member) {
	for node := range slices.Chunk(r.nodes, 3) {
		if len(node) == 3 {
			list = append(list, f.member(r, node[0], node[1], node[2]))
		}
	}
	slices.SortFunc(list, func(a, b Member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return list
}

// member reads the field of one node, what it said last, and what it found of its clock.
func (f *Feed) member(r *roll, field, value, found string) Member {
	id, rest, _ := strings.Cut(field, " ")
	version, name, _ := strings.Cut(rest, " ")
	heard, applied, _ := strings.Cut(value, " ")
	m := Member{Name: printable(name), Version: printable(version), ID: printable(id), Self: field == f.node, Applied: printable(applied)}
	ms, _ := strconv.ParseInt(heard, 10, 64)
	silent := time.Duration(r.now.UnixMilli()-ms) * time.Millisecond
	m.Heard, m.Live = max(0, silent), silent.Abs() <= f.pace.silent
	m.Behind = behind(r.head, applied)
	m.old = found == ""
	// What was found before Redis's clock stepped says nothing of that clock as it is now.
	if lead, at, ok := parseFound(found); ok && r.now.Sub(at).Abs() <= f.pace.silent {
		m.Clock = new(lead - r.lead)
	}
	return m
}

// parseFound reads what clock.found has written.
func parseFound(text string) (lead time.Duration, at time.Time, ok bool) {
	first, second, _ := strings.Cut(text, " ")
	ms, err1 := strconv.ParseInt(first, 10, 64)
	when, err2 := strconv.ParseInt(second, 10, 64)
	if err1 != nil || err2 != nil || ms < -maxLead || ms > maxLead {
		return 0, time.Time{}, false
	}
	return time.Duration(ms) * time.Millisecond, time.UnixMilli(when), true
}

func behind(head streamID, applied string) time.Duration {
	at, ok := parseStreamID(applied)
	switch {
	case ok && at.compare(head) >= 0:
		return 0
	case !ok || at == (streamID{}):
		return math.MaxInt64
	}
	return max(time.Millisecond, time.Duration(head.ms-at.ms)*time.Millisecond)
}
