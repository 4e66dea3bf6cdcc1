package revoke

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

const (
	forgetNode  = 60 * time.Second // a node silent for so long is removed
	trimBatch   = 1000             // expired tokens that one heartbeat removes from Redis
	firstReport = 2 * time.Millisecond
)

// errAnswer is an answer of our own script that is not what it returns.
var errAnswer = errors.New("redis answered a script with something else than it returns")

// beats sends the heartbeat until ctx ends: at its pace, when there is news of what this node has applied, and faster
// while it fails.
func (f *Feed) beats(ctx context.Context) {
	redis, disk := trouble{log: f.log, what: "heartbeat to redis"}, trouble{log: f.log, what: "bookkeeping of revocations on the disk"}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-f.nudge:
		}
		wait := f.pace.beat
		_, err := f.beat(ctx)
		if err == nil {
			err = f.flush(ctx)
		}
		redis.note(ctx, f.hint(err))
		if err != nil {
			wait /= 4
		}
		disk.note(ctx, errors.Join(f.unqueue(), f.persist()))
		timer.Reset(wait)
	}
}

// beat sends one heartbeat and returns the head of the log.
func (f *Feed) beat(ctx context.Context) (streamID, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	applied := *f.applied.Load()
	at, sent := f.clock.elapsed(), f.clock.local()
	answer, err := f.redis.RunCalm(ctx, beatScript, []string{f.keys.nodes, f.keys.head, f.keys.tokens, f.keys.clocks},
		f.node, applied.String(), f.clock.found(), f.pace.silent.Milliseconds(), forgetNode.Milliseconds(),
		f.clock.earliest().Unix(), int64(Skew/time.Second), trimBatch).Slice()
	if err != nil {
		return streamID{}, err
	}
	now, head, live, err := parseBeat(answer)
	if err != nil {
		return streamID{}, err
	}
	f.heard(&roll{at: at, now: now, head: head, nodes: parseNodes(answer[4])}, live, offset(now, sent, f.clock.local()))
	if head.compare(applied) < 0 {
		f.relink.Store(true) // what was read from this log is no longer in it
	}
	f.succeeded(&f.beatAt, at)
	return head, nil
}

func parseBeat(answer []any) (now time.Time, head streamID, live int64, err error) {
	if len(answer) != 5 {
		return now, head, 0, errAnswer
	}
	text := func(i int) string { s, _ := answer[i].(string); return s }
	seconds, err1 := strconv.ParseInt(text(0), 10, 64)
	micros, err2 := strconv.ParseInt(text(1), 10, 64)
	head, ok := parseStreamID(text(2))
	live, isInt := answer[3].(int64)
	if err1 != nil || err2 != nil || !ok || !isInt {
		return now, head, 0, errAnswer
	}
	return time.Unix(seconds, micros*1000), head, live, nil
}

// persist writes when the node was last in sync, now and then: a restarted node thinks itself at most that much staler.
func (f *Feed) persist() error {
	last := time.Duration(min(f.beatAt.Load(), f.readAt.Load()))
	if last < 0 || f.persisted >= 0 && last-f.persisted < f.pace.persist {
		return nil
	}
	return f.save(last)
}

func (f *Feed) save(last time.Duration) error {
	at := f.clock.local().Add(last - f.clock.elapsed())
	s := synced{at: at, offset: f.clock.bearing.Load().fleet, nodes: f.live.Load()}
	if kept := f.kept.Load(); kept != nil && !f.journal.owes() { // asked in this order: what is owed later came later
		s.applied = *kept
	}
	if err := f.journal.putSync(s); err != nil {
		return fmt.Errorf("time of the last sync not kept: %w", err)
	}
	f.persisted = last
	return nil
}

// leave tells the fleet that this node is gone, so that nobody waits for it. The feed's goroutines have ended.
func (f *Feed) leave() {
	if last := time.Duration(min(f.beatAt.Load(), f.readAt.Load())); last >= 0 {
		if err := f.save(last); err != nil {
			f.log.Error("this node will take itself for more stale than it is", "err", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	for _, key := range []string{f.keys.nodes, f.keys.clocks} {
		if err := f.redis.Cmd(key).HDel(ctx, key, f.node).Err(); err != nil {
			f.log.Debug("redis not told that this node leaves", "err", err)
		}
	}
}

// reached waits a short while for the living nodes to apply the log up to id, and returns how many have and how many live.
// This node counts in both.
func (f *Feed) reached(ctx context.Context, id streamID) (applied, live int) {
	ctx, cancel := context.WithTimeout(ctx, f.pace.confirm)
	defer cancel()
	for wait := firstReport; ; wait *= 2 {
		nodes, err := f.redis.Cmd(f.keys.nodes).HGetAll(ctx, f.keys.nodes).Result()
		if err != nil {
			return max(applied, 1), max(live, f.nodes())
		}
		applied, live = f.count(nodes, id)
		if applied == live || !pause(ctx, wait) {
			return applied, live
		}
	}
}

func (f *Feed) count(nodes map[string]string, id streamID) (applied, live int) {
	applied, live = 1, 1
	now := f.clock.redis().UnixMilli()
	for node, state := range nodes {
		heard, at, _ := strings.Cut(state, " ")
		ms, err := strconv.ParseInt(heard, 10, 64)
		if node == f.node || err != nil || time.Duration(max(now-ms, ms-now))*time.Millisecond > f.pace.silent {
			continue
		}
		live++
		if done, ok := parseStreamID(at); ok && done.compare(id) >= 0 {
			applied++
		}
	}
	return applied, live
}

// nodes is the size of the fleet by the last heartbeats, also those of before a restart; this node is included.
func (f *Feed) nodes() int { return max(1, int(f.live.Load())) }

// trouble logs when something begins to fail, and when it works again.
type trouble struct {
	log  *slog.Logger
	what string
	down bool
}

func (t *trouble) note(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil: // the end of the process, not of Redis
	case err != nil && !t.down:
		t.log.Warn(t.what+" interrupted", "err", err)
	case err == nil && t.down:
		t.log.Info(t.what + " works again")
	}
	t.down = err != nil
}

// hint says of an error what is behind it where that is not Redis's fault, and leaves others as they are.
func (f *Feed) hint(err error) error {
	if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		return err
	}
	return fmt.Errorf("one of %s, %s, %s, %s, %s, %s is no longer what gatehouse made of it: something else writes under state.redis.prefix, "+
		"and what it put there must be deleted: %w", f.keys.tokens, f.keys.rules, f.keys.log, f.keys.head, f.keys.nodes, f.keys.clocks, err)
}

// pause waits and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
