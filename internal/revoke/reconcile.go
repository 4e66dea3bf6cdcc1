package revoke

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/redisx"
)

const (
	scanCount = 500 // members that one scan asks for
	// pullBatch is how many entries are taken in at once. They come in no order, so that each transaction of the journal touches pages
	// all over the file: a quarter as many of them halves the time that a node takes to get a million. A revocation waits for one.
	pullBatch  = 16384
	evictsAny  = "allkeys-"
	policyLine = "maxmemory_policy:"
)

// reconcile makes this node and Redis hold the same, then reads on from the head that the log had before: what is
// published meanwhile comes twice at worst. The node is up to date once it has what Redis has, before it gives what that lacks.
func (f *Feed) reconcile(ctx context.Context) error {
	f.again.rest(ctx, f.clock.elapsed(), f.pace.beat)
	f.reconciled.Add(1)
	f.applied.Store(new(streamID)) // until it is done, nobody knows how far this node is
	f.kept.Store(nil)
	at := f.clock.elapsed()
	head, err := f.beat(ctx)
	if err != nil {
		return err
	}
	f.warn(ctx)
	f.due = 0
	if err := f.pullTokens(ctx); err != nil {
		return err
	}
	if err := f.pullRules(ctx); err != nil {
		return err
	}
	f.applied.Store(&head)
	if f.due == 0 {
		f.kept.Store(&head)
	}
	f.succeeded(&f.readAt, at)
	f.attempted()
	f.beatSoon()
	return f.push(ctx)
}

// again is how often all was compared lately. A log that links to nothing, as after an entry that is no node's, would have that
// done as fast as Redis answers, by every node, until somebody revokes something.
type again struct {
	last time.Duration // when, since the clock's start
	wait time.Duration // before the next one
}

// rest waits, the longer the more often, up to a quarter of the time between two heartbeats, where the last time was less than
// one of those ago.
func (a *again) rest(ctx context.Context, now, beat time.Duration) {
	if a.wait == 0 || now-a.last > beat {
		a.wait = firstRetry
	} else {
		pause(ctx, a.wait)
		a.wait = min(2*a.wait, beat/4)
	}
	a.last = now
}

// pullTokens takes in every token that Redis holds.
func (f *Feed) pullTokens(ctx context.Context) error {
	scan := func(ctx context.Context, cursor uint64) ([]string, uint64, error) {
		return f.redis.Cmd(f.keys.tokens).ZScan(ctx, f.keys.tokens, cursor, "", scanCount).Result()
	}
	return f.scan(ctx, scan, func(member, score string) (Entry, bool) {
		exp, err := strconv.ParseFloat(score, 64)
		if err != nil {
			f.misread(member)
			return Entry{}, false
		}
		return f.entry(true, member, 0, int64(min(exp, maxExpires)))
	})
}

// pullRules takes in every rule that Redis holds, but for those whose T is too far ahead.
func (f *Feed) pullRules(ctx context.Context) error {
	scan := func(ctx context.Context, cursor uint64) ([]string, uint64, error) {
		return f.redis.Cmd(f.keys.rules).HScan(ctx, f.keys.rules, cursor, "", scanCount).Result()
	}
	return f.scan(ctx, scan, func(member, value string) (Entry, bool) {
		r, err := parseRuleValue(value)
		if err != nil {
			f.misread(member)
			return Entry{}, false
		}
		e, ok := f.entry(false, member, r.notBefore, r.expires)
		if ok && f.ahead(&e) && !f.set.Holds(&e) {
			f.ignore(&e)
			return Entry{}, false
		}
		return e, ok
	})
}

// parseRuleValue reads "T expiry".
func parseRuleValue(s string) (rule, error) {
	t, exp, _ := strings.Cut(s, " ")
	notBefore, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return rule{}, err
	}
	expires, err := strconv.ParseInt(exp, 10, 64)
	return rule{notBefore, expires}, err
}

// ignore leaves a rule without effect until its T has come.
func (f *Feed) ignore(e *Entry) {
	f.ignored.Add(1)
	f.log.Error("revocation lies in the future and is ignored until then: a clock in the fleet is wrong",
		"kind", e.Kind, "issuer", e.Issuer, "name", e.Name, "not_before", time.Unix(e.NotBefore, 0).UTC())
	if f.due == 0 || e.NotBefore < f.due {
		f.due = e.NotBefore
	}
}

// scan walks over pairs of strings in Redis and applies the entries they make, a batch at a time.
func (f *Feed) scan(ctx context.Context, scan func(context.Context, uint64) ([]string, uint64, error), entry func(a, b string) (Entry, bool)) error {
	var batch []Entry
	for cursor := uint64(0); ; {
		pairs, next, err := limited(ctx, func(ctx context.Context) ([]string, uint64, error) { return scan(ctx, cursor) })
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			if e, ok := entry(pairs[i], pairs[i+1]); ok {
				batch = append(batch, e)
			}
		}
		if next == 0 || len(batch) >= pullBatch {
			f.apply(batch)
			batch = batch[:0]
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func limited(ctx context.Context, scan func(context.Context) ([]string, uint64, error)) ([]string, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return scan(ctx)
}

// push gives Redis all that it lacks of what this node holds. Rules that wait in the outbox are left to it, and what Redis refuses
// goes there: their T comes from a clock that was wrong, and they are offered until its time has come.
func (f *Feed) push(ctx context.Context) error {
	now := f.clock.earliest().Unix()
	batch := make([]Entry, 0, pushCount)
	for e := range f.set.All() {
		if e.Expires <= now || e.Kind != Token && f.outbox.holds(e) {
			continue
		}
		if batch = append(batch, e); len(batch) == pushCount {
			if err := f.pushed(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return f.pushed(ctx, batch)
}

func (f *Feed) pushed(ctx context.Context, batch []Entry) error {
	_, refused, err := f.publish(ctx, batch, false)
	for _, at := range refused {
		f.outbox.add(batch[at])
	}
	return err
}

// sweep forgets rules that have expired by this node's clock and by the fleet's time, a minute later than by the entry itself.
func (f *Feed) sweep(ctx context.Context) error {
	now := f.clock.earliest().Unix()
	f.outbox.drop(now)
	due := now - int64(Skew/time.Second)
	for cursor := uint64(0); ; {
		pairs, next, err := limited(ctx, func(ctx context.Context) ([]string, uint64, error) {
			return f.redis.Cmd(f.keys.rules).HScan(ctx, f.keys.rules, cursor, "", scanCount).Result()
		})
		if err != nil {
			return err
		}
		if err := f.forget(ctx, pairs, due); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (f *Feed) forget(ctx context.Context, pairs []string, due int64) error {
	var args []any
	for i := 0; i+1 < len(pairs); i += 2 {
		if r, err := parseRuleValue(pairs[i+1]); err == nil && r.expires <= due {
			args = append(args, pairs[i], pairs[i+1])
		}
	}
	if len(args) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return f.redis.RunCalm(ctx, forgetScript, []string{f.keys.rules}, args...).Err()
}

// warn tells of what in this Redis endangers revocations.
func (f *Feed) warn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	info, err := f.redis.Cmd(f.keys.tokens).Info(ctx, "memory").Result()
	if err != nil {
		f.log.Debug("redis does not tell its maxmemory policy", "err", err, "class", redisx.Classify(err))
		return
	}
	_, rest, _ := strings.Cut(info, policyLine)
	policy, _, _ := strings.Cut(rest, "\r\n")
	if strings.HasPrefix(policy, evictsAny) && policy != f.policy {
		f.log.Warn(fmt.Sprintf("redis may evict revocations: its maxmemory-policy is %q, wanted noeviction or a volatile one", policy))
	}
	f.policy = policy
}
