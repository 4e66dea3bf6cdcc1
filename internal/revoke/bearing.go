package revoke

import (
	"cmp"
	"log/slog"
	"time"
)

// clockAlarm is how far off a clock is that is warned of, and clockCalm how near it must come for that to be over.
const (
	clockAlarm = trusted
	clockCalm  = trusted * 4 / 5
)

// heard takes what a heartbeat found: who was there, how many of them live, and how far Redis's clock is ahead of this node's.
func (f *Feed) heard(r *roll, live int64, offset time.Duration) {
	f.sizing.Lock()
	defer f.sizing.Unlock()
	f.counted(live, r.at)
	next := bearing{redis: offset, fleet: f.clock.bearing.Load().fleet, at: r.now}
	members := f.members(r) // their clocks over Redis's, since r.lead is 0 yet
	for i := range members {
		if members[i].Self {
			members[i].Clock = new(-offset)
		}
	}
	if votes := leads(members); f.elects(len(votes), r.at) {
		m := median(votes)
		next.fleet = offset + fleetLead(m)
		f.off = warnOf(f.log, f.off, readings(members, m))
	}
	r.lead = next.fleet - next.redis
	f.clock.bearing.Store(&next)
	f.roll.Store(r)
}

// counted takes the number of nodes that a heartbeat found. A smaller one counts once no heartbeat has found more for as long as
// a silent node counts: an emptied Redis knows at first only the node that asks, and would have each of them grant all of
// every limit if it went away again. f.sizing is held.
func (f *Feed) counted(live int64, at time.Duration) {
	if live >= f.live.Load() || at-f.sizedAt > f.pace.silent {
		f.live.Store(live)
		f.sizedAt = at
	}
}

// elects reports whether so many votes decide what the fleet's time is, else it stays as it was. Fewer than before do as late as
// with counted: after Redis was emptied, or its clock stepped, the others are back within two heartbeats, and until then the few
// that are left must not judge. f.sizing is held.
func (f *Feed) elects(votes int, at time.Duration) bool {
	if votes < f.votes && at-f.votedAt <= f.pace.silent {
		return false
	}
	f.votes, f.votedAt = votes, at
	return true
}

// leads are those of the living nodes' clocks over Redis's, as far as they are known. A node of an older version does not say:
// it goes by Redis's, and counts as one whose own is the same.
func leads(members []Member) (list []time.Duration) {
	for _, m := range members {
		switch {
		case !m.Live:
		case m.Clock != nil:
			list = append(list, *m.Clock)
		case m.old:
			list = append(list, 0)
		}
	}
	return list
}

// reading is one clock.
type reading struct {
	whose string
	ahead time.Duration // of the median
	means string        // for the log, where it is off
}

// readings compare the clocks that are known, given by their lead over Redis's, with the median.
func readings(members []Member, median time.Duration) []reading {
	const judges = "it judges tokens by it, and refuses good ones or takes those that have expired"
	list := []reading{{"redis", -median, "the fleet turns to the median of all clocks"}}
	for _, m := range members {
		switch {
		case !m.Live || m.Clock == nil:
		case m.Self:
			list = append(list, reading{"this node", *m.Clock - median, judges})
		default:
			list = append(list, reading{"node " + cmp.Or(m.Name, m.ID), *m.Clock - median, judges})
		}
	}
	if len(leads(members)) == 1 {
		return []reading{{"redis or this node", -median, "there is no third to tell which: tokens are issued by this node's"}}
	}
	return list
}

// warnOf logs which clocks are off that were not before, and which no longer are; it returns those that are.
func warnOf(log *slog.Logger, before map[string]bool, readings []reading) (off map[string]bool) {
	off = map[string]bool{}
	for _, r := range readings {
		was, far := before[r.whose], r.ahead.Abs()
		ahead := slog.Duration("ahead", r.ahead.Round(time.Millisecond))
		switch {
		case far > clockAlarm && !was:
			log.Warn("a clock is wrong", "whose", r.whose, ahead, "means", r.means)
		case was && far < clockCalm:
			log.Info("a clock is in step again", "whose", r.whose, ahead)
			continue
		}
		if was || far > clockAlarm {
			off[r.whose] = true
		}
	}
	return off
}
