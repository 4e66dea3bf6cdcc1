package revoke

import (
	"context"
	"slices"
)

// pushCount is how many entries one publication holds: a script of about a millisecond, for which others wait.
const pushCount = 200

// publish adds entries to the truth and the log, and returns the log's head and the positions of rules that Redis refused,
// as their T was more than readAhead seconds ahead of the fleet's time. The log gets those that are new to the truth, or all of them
// where they waited: an earlier publication may have failed between the truth and the log.
func (f *Feed) publish(ctx context.Context, entries []Entry, waited bool) (head streamID, refused []int, err error) {
	if len(entries) == 0 {
		return streamID{}, nil, nil
	}
	logged := "new"
	if waited {
		logged = "all"
	}
	args := make([]any, 0, 4+4*len(entries))
	args = append(args, logLength, readAhead, f.clock.lead().Milliseconds(), logged)
	for i := range entries {
		e, kind := &entries[i], "rule"
		if e.Kind == Token {
			kind = "token"
		}
		args = append(args, kind, e.member(), e.NotBefore, e.Expires)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	keys := []string{f.keys.tokens, f.keys.rules, f.keys.log, f.keys.head}
	answer, err := f.redis.RunCalm(ctx, publishScript, keys, args...).Slice()
	if err != nil {
		return streamID{}, nil, err
	}
	return parsePublished(answer, len(entries))
}

// parsePublished reads the answer to a publication of so many entries.
func parsePublished(answer []any, entries int) (head streamID, refused []int, err error) {
	if len(answer) != 2 {
		return streamID{}, nil, errAnswer
	}
	text, _ := answer[0].(string)
	positions, isList := answer[1].([]any)
	head, ok := parseStreamID(text)
	if !ok || !isList {
		return streamID{}, nil, errAnswer
	}
	for _, p := range positions {
		n, ok := p.(int64)
		if !ok || n < 0 || n >= int64(entries) {
			return streamID{}, nil, errAnswer
		}
		refused = append(refused, int(n))
	}
	return head, refused, nil
}

// flush publishes what waits in the outbox.
func (f *Feed) flush(ctx context.Context) error {
	waiting := f.outbox.waiting()
	for len(waiting) > 0 {
		batch := waiting[:min(pushCount, len(waiting))]
		waiting = waiting[len(batch):]
		_, refused, err := f.publish(ctx, batch, true)
		if err != nil {
			return err
		}
		f.outbox.acknowledge(batch, refused)
	}
	return nil
}

// unqueue tells the journal what Redis has acknowledged.
func (f *Feed) unqueue() error {
	for done := range slices.Chunk(f.outbox.acknowledged(), dropBatch) {
		if err := f.journal.Unqueue(done); err != nil {
			return err
		}
		f.outbox.remove(done)
	}
	return nil
}

// share publishes an entry of this node and returns whether Redis has it, and how far it has come.
func (f *Feed) share(ctx context.Context, e Entry) Result {
	e.Reason = ""
	res := Result{Applied: 1, Live: f.nodes()}
	head, refused, err := f.publish(ctx, []Entry{e}, f.outbox.holds(e))
	f.outbox.add(e) // not before: the heartbeat must not publish it at the same time, and fail between truth and log
	if err != nil {
		f.log.Warn("revocation queued until redis is back", "err", f.hint(err))
		f.beatSoon() // where the connection alone was cut, that is now
		return res
	}
	if len(refused) > 0 {
		f.log.Error("revocation queued: a clock has changed, or is wrong, and by the fleet's time it lies in the future", "kind", e.Kind)
		f.beatSoon() // which compares the clocks, and then offers it again
		return res
	}
	f.outbox.acknowledge([]Entry{e}, nil)
	res.Shared = true
	res.Applied, res.Live = f.reached(ctx, head)
	return res
}
