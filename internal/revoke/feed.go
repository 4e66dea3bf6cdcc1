package revoke

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/redisx"

	"github.com/redis/go-redis/v9"
)

const (
	logLength = 100000 // about; what a reader misses beyond it, it gets by reconciling
	readCount = 1000   // log entries taken by one read
	// readSlack is what an answer may take beyond the time that a read blocks. With it, a connection that is half open or
	// a server that hangs is found in under a second.
	readSlack = 250 * time.Millisecond
	callLimit = 500 * time.Millisecond // for one script
	// firstRetry is how soon a read is tried again that has just failed.
	firstRetry = time.Millisecond

	// mintAhead is how far ahead of now a T may be made, and readAhead how far ahead one is accepted, in seconds: one more,
	// since two nodes never measure clocks quite alike. What is further ahead comes from a clock that is wrong, and
	// would lock a client out until its time.
	mintAhead = 2
	readAhead = 3
	// maxAhead bounds the expiry of what is read, and so the number of buckets.
	maxAhead = 31 * 24 * time.Hour
)

// Feed shares revocations with the fleet through Redis. Its log is a linked list: each entry names the one before it. A
// reader that finds another predecessor than the entry it applied last, because the log was trimmed, lost writes in a
// failover, or began anew in an emptied Redis, reconciles: it takes in all that Redis holds, and gives it all that it lacks.
type Feed struct {
	redis   *redisx.Client
	keys    feedKeys
	set     *Set
	journal *Journal
	clock   *clock
	log     *slog.Logger
	pace    pace
	node    string // this process in the fleet, as nodeField writes it
	outbox  outbox

	applied atomic.Pointer[streamID] // the last log entry that the set has
	relink  atomic.Bool              // reconcile before reading on
	resumed bool                     // applied is from before a restart, and whether the log still has it is to be seen. The reader's alone
	kept    atomic.Pointer[streamID] // up to where all is in the set, and in the journal but for what that owes; nil: nowhere
	failed  bool                     // the last step of the reader, whose alone this is
	due     int64                    // a T that was ignored; when it comes, it counts. The reader's alone; 0: none
	nudge   chan struct{}            // asks for a heartbeat now
	attempt chan struct{}            // closed once the first reconciliation has succeeded or failed
	ended   sync.Once                // guards that
	policy  string                   // the server's maxmemory policy, when last seen. The reader's alone

	// When the heartbeat and the reader last succeeded, in nanoseconds since the clock's start; never before one did.
	beatAt, readAt atomic.Int64
	persisted      time.Duration // when sync was last written, likewise; the heartbeat's alone
	ready          atomic.Bool
	recent         bool                 // what was known before a restart is recent enough to serve by, should Redis be away. The reader's alone
	live           atomic.Int64         // nodes alive by the last heartbeats; 0 before the first
	sizing         sync.Mutex           // held while live and the clock's bearing change
	sizedAt        time.Duration        // when a heartbeat last found as many, since the clock's start
	votes          int                  // clocks by which the fleet's time was judged. Under sizing
	votedAt        time.Duration        // when there were last as many, since the clock's start. Under sizing
	off            map[string]bool      // clocks that were wrong at the last heartbeat, by reading.whose. Under sizing
	roll           atomic.Pointer[roll] // who was there at the last heartbeat; nil before the first

	reconciled, ignored, unreadable, unjournalled atomic.Int64
	again                                         again // the reader's alone
}

const never = math.MinInt64

// feedKeys are the names in Redis, all in one slot.
type feedKeys struct{ tokens, rules, log, head, nodes, clocks string }

var (
	//go:embed publish.lua
	publishSource string
	//go:embed beat.lua
	beatSource string
	//go:embed forget.lua
	forgetSource string

	publishScript = redisx.NewScript(publishSource)
	beatScript    = redisx.NewScript(beatSource)
	forgetScript  = redisx.NewScript(forgetSource)
)

// newFeed returns a feed that has not begun and has never been in sync.
func newFeed(o Options, p pace, set *Set, j *Journal, c *clock) *Feed {
	base := o.Redis.Prefix() + ":{rev}:"
	f := &Feed{
		redis: o.Redis, set: set, journal: j, clock: c, log: o.Log, pace: p,
		keys:  feedKeys{base + "jti", base + "rule", base + "log", base + "head", base + "nodes", base + "clocks"},
		node:  nodeField(rand.Text(), o.Version, o.Name),
		nudge: make(chan struct{}, 1), attempt: make(chan struct{}),
	}
	f.applied.Store(new(streamID))
	f.relink.Store(true)
	f.beatAt.Store(never)
	f.readAt.Store(never)
	f.persisted = never
	return f
}

// read follows the log until ctx ends. A connection that was cut is dialled anew at once, since what is revoked meanwhile waits
// for it; a Redis that is away is asked less and less often, down to four times in the time between two heartbeats.
func (f *Feed) read(ctx context.Context) {
	trouble := trouble{log: f.log, what: "feed of revocations"}
	wait := firstRetry
	for ctx.Err() == nil {
		err := f.step(ctx)
		trouble.note(ctx, f.hint(err))
		if f.failed = err != nil; !f.failed {
			wait = firstRetry
			continue
		}
		if f.recent && ctx.Err() == nil {
			f.ready.Store(true)
		}
		f.attempted()
		pause(ctx, wait)
		wait = min(2*wait, f.pace.beat/4)
	}
}

// step reconciles where that is called for, and takes one read of the log.
func (f *Feed) step(ctx context.Context) error {
	if f.resumed {
		return f.pickUp(ctx)
	}
	if f.due != 0 && !f.clock.latest().Add(mintAhead*time.Second).Before(time.Unix(f.due, 0)) {
		f.relink.Store(true)
	}
	if f.relink.Swap(false) {
		if err := f.reconcile(ctx); err != nil {
			f.relink.Store(true)
			return err
		}
	}
	return f.follow(ctx)
}

// follow takes what the log has after the last entry applied, waiting a while where there is nothing. After a failure it does not
// wait: there is a connection to make first, and over a slow network both would take too long for one read.
func (f *Feed) follow(ctx context.Context) error {
	from := *f.applied.Load()
	messages, err := f.next(ctx, from)
	if err != nil {
		return err
	}
	f.take(messages, from, len(messages) < readCount)
	return nil
}

// take applies messages that follow from. With whole, there are no more of them.
func (f *Feed) take(messages []redis.XMessage, from streamID, whole bool) {
	at := f.clock.elapsed()
	entries, last, linked := f.link(messages, from)
	f.apply(entries)
	if last != from {
		f.applied.Store(&last)
		f.beatSoon()
	}
	switch {
	case !linked:
		f.relink.Store(true)
	case whole:
		f.succeeded(&f.readAt, at)
		f.attempted()
	}
	if linked && f.due == 0 {
		f.kept.Store(&last)
	}
}

// pickUp goes on where the node was before it was restarted, where the log still has the entry that was applied last: what
// follows it links, as if there had been no restart. Else all is compared, as by a node that is new.
func (f *Feed) pickUp(ctx context.Context) error {
	from := *f.applied.Load()
	messages, err := f.next(ctx, from.before())
	if err != nil {
		return err
	}
	f.resumed = false
	if len(messages) == 0 || messages[0].ID != from.String() {
		f.relink.Store(true)
		return nil
	}
	f.warn(ctx)
	f.take(messages[1:], from, len(messages) < readCount)
	return nil
}

func (f *Feed) next(ctx context.Context, from streamID) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, f.pace.block+readSlack)
	defer cancel()
	block := f.pace.block
	if f.failed || f.resumed {
		block = -1 // none
	}
	streams, err := f.redis.Stream(f.keys.log).XRead(ctx, &redis.XReadArgs{
		Streams: []string{f.keys.log, from.String()}, Count: readCount, Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) || err == nil && len(streams) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return streams[0].Messages, nil
}

// link returns the entries of the messages up to the first that does not follow from what was applied, the id of the last
// one taken, and whether all were. A T that is too far ahead breaks the link too: reconciling compares the clocks in
// the same moment, in case it was ours that had stepped.
func (f *Feed) link(messages []redis.XMessage, from streamID) (entries []Entry, last streamID, linked bool) {
	last = from
	for _, m := range messages {
		prev, _ := m.Values["prev"].(string)
		id, ok := parseStreamID(m.ID)
		if !ok || prev != last.String() {
			return entries, last, false
		}
		e, ok := f.decode(m.Values)
		if ok && f.ahead(&e) {
			return entries, last, false
		}
		if ok {
			entries = append(entries, e)
		}
		last = id
	}
	return entries, last, true
}

// decode reads one log entry. One that is not understood is passed over with an alarm: the rest must not wait for it.
func (f *Feed) decode(values map[string]any) (Entry, bool) {
	text := func(name string) string { s, _ := values[name].(string); return s }
	t, err1 := strconv.ParseInt(text("t"), 10, 64)
	exp, err2 := strconv.ParseInt(text("exp"), 10, 64)
	kind := text("kind")
	if err1 != nil || err2 != nil || kind != "token" && kind != "rule" {
		f.misread(text("member"))
		return Entry{}, false
	}
	return f.entry(kind == "token", text("member"), t, exp)
}

// entry makes an entry of what was read from Redis.
func (f *Feed) entry(token bool, member string, notBefore, expires int64) (Entry, bool) {
	e, ok := fromMember(token, member)
	expires = min(expires, f.clock.latest().Add(maxAhead).Unix())
	if !ok || !e.timed(notBefore, expires) {
		f.misread(member)
		return Entry{}, false
	}
	return e, true
}

func (f *Feed) misread(member string) {
	f.unreadable.Add(1)
	f.log.Error("revocation in redis is not understood and has no effect here", "member", member)
}

// ahead reports whether e's T is so far ahead, by this node's clock and by the fleet's time, that it can't be right.
func (f *Feed) ahead(e *Entry) bool {
	return e.Kind != Token && time.Unix(e.NotBefore, 0).After(f.clock.latest().Add(readAhead*time.Second))
}

// apply adds what is new to the set, which counts at once, and then to the journal.
func (f *Feed) apply(entries []Entry) {
	now := f.clock.earliest().Unix()
	var news []Entry
	for i := range entries {
		if entries[i].Expires > now && !f.set.Holds(&entries[i]) {
			news = append(news, entries[i])
		}
	}
	if len(news) == 0 {
		return
	}
	f.set.Add(news...)
	if err := f.journal.Put(false, news...); err != nil {
		f.unjournalled.Add(1)
		f.log.Error("revocations of other nodes would not outlive a restart", "err", err)
	}
}

func (f *Feed) beatSoon() {
	select {
	case f.nudge <- struct{}{}:
	default: // one is asked for already
	}
}
