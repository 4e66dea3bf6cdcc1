package exchange

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/internal/trace"
)

// Case is what a refusal rests on, as values that keep neither the request nor a configuration alive. It is made with the
// refusal and asked for its trace when somebody wants to read it, perhaps never.
type Case interface {
	// Trace returns a new trace. It is called concurrently.
	Trace() *trace.Trace
}

// ringSize is how many refusals a Ring keeps of each sort. A refusal takes 1 to 2 KiB, and where its token was
// verified the claims of that too, at most 6 KiB.
const ringSize = 1000

// Ring keeps the last refusals of this process, for whoever asks why: 1000 of callers who are known by a verified token or as
// a client, and 1000 of others, so that a flood of strangers does not wash away what happened to a client. It is a Sink, takes
// no lock, and is safe for concurrent use. The zero value is empty.
type Ring struct{ known, strangers ring }

type ring struct {
	next  atomic.Uint64
	slots [ringSize]atomic.Pointer[kept]
}

// kept is one refusal. It is never changed.
type kept struct {
	id       string
	start    time.Time
	remote   string
	status   int
	verdict  Verdict
	duration time.Duration
	of       Case
}

// Denied is one refusal as it is read from a Ring.
type Denied struct {
	Trace    *trace.Trace
	Remote   string // the client's address after trusted_proxies
	Duration time.Duration
}

// Finish implements Sink. Refusals without a Case are not kept.
func (g *Ring) Finish(r *Record) {
	if r.Verdict == Allow || r.Case == nil {
		return
	}
	to := &g.strangers
	if r.Client != "" {
		to = &g.known
	}
	k := &kept{id: r.ID, start: r.Start, remote: r.Remote, status: r.Status, verdict: r.Verdict, duration: r.Duration, of: r.Case}
	to.slots[(to.next.Add(1)-1)%ringSize].Store(k)
}

// Last returns at most n refusals, the newest first.
func (g *Ring) Last(n int) []Denied {
	all := make([]*kept, 0, 2*ringSize)
	for _, from := range []*ring{&g.known, &g.strangers} {
		for i := range from.slots {
			if k := from.slots[i].Load(); k != nil {
				all = append(all, k)
			}
		}
	}
	slices.SortFunc(all, func(a, b *kept) int {
		if c := b.start.Compare(a.start); c != 0 {
			return c
		}
		return strings.Compare(b.id, a.id)
	})
	out := make([]Denied, 0, min(n, len(all)))
	for _, k := range all[:cap(out)] {
		out = append(out, k.read())
	}
	return out
}

// Find returns the refusal of the request with this id; ok is false where there is none, or no longer.
func (g *Ring) Find(id string) (d Denied, ok bool) {
	for _, from := range []*ring{&g.known, &g.strangers} {
		for i := range from.slots {
			if k := from.slots[i].Load(); k != nil && k.id == id {
				return k.read(), true
			}
		}
	}
	return Denied{}, false
}

func (k *kept) read() Denied {
	t := k.of.Trace()
	t.RequestID, t.Time, t.Status, t.Verdict = k.id, k.start.UTC(), k.status, k.verdict.String()
	return Denied{Trace: t, Remote: k.remote, Duration: k.duration}
}
