package ratelimit

// Stats is how the limiter does, for metrics. The counters start at 0 with the process.
type Stats struct {
	// Keys is how many buckets this process holds.
	Keys int
	// Dropped counts buckets that were full again and were let go.
	Dropped int64
	// Overflowed counts charges that went to a bucket in common because MaxKeys was reached.
	Overflowed int64
	// Local, Open and Closed count decisions for one subject that were made without an answer from Redis.
	Local, Open, Closed int64

	// Known is how many charges this node remembers Redis's answer for. It and what follows are 0 without Redis.
	Known int
	// Unknown counts checks of new charges that found no room to be remembered: they go to Redis by themselves.
	Unknown int64
	// RoundTrips counts what was sent to Redis, and Calls the runs of the script in that. Merged counts checks that
	// needed no call of their own, since they were equal to one that waited already.
	RoundTrips, Calls, Merged int64
	// Held is how many permits are leased and not spent now; Leased counts all that were, and Lost those that expired.
	Held, Leased, Lost int64
	// Crowded counts checks that did without Redis because too many waited for it.
	Crowded int64
}

// Stats returns the counters as they are now.
func (l *Limiter) Stats() Stats {
	s := Stats{
		Keys:       l.memory.keys(),
		Dropped:    l.memory.dropped.Load(),
		Overflowed: l.memory.shared.Load(),
		Local:      l.fell[FellLocal].Load(),
		Open:       l.fell[FellOpen].Load(),
		Closed:     l.fell[FellShut].Load(),
	}
	if f := l.fleet; f != nil {
		s.Known, s.Held = f.known.count(f.clock())
		s.Unknown = f.known.noRoom.Load()
		sent := f.batch.Stats()
		s.RoundTrips, s.Calls, s.Merged = sent.RoundTrips, sent.Calls, f.merged.Load()
		s.Leased, s.Lost = f.known.granted.Load(), f.known.lost.Load()
		s.Crowded = f.crowded.Load()
	}
	return s
}
