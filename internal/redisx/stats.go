package redisx

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Stats is how the connection to Redis does, for metrics.
type Stats struct {
	// Up is whether the last heartbeat could write to every master that is known, and at least one is.
	Up bool
	// Open is whether the breaker of some master is open, and Opened how often one opened.
	Open   bool
	Opened int64
	// Shards are the masters of a cluster, in no order; nil where there is but one master.
	Shards []Shard
	// Errors counts failed commands by class since Open, each class named; a command that failed before it was sent counts.
	Errors map[string]int64
	// Conns is how many connections are open, of both pools of every server.
	Conns int
	// Cmd and Stream are go-redis's counters of the pools of both kinds, of all servers together.
	Cmd, Stream redis.PoolStats
	// Prompt is the round trips that requests wait for, and the heartbeats; Calm those that no request waits for. Reads that block
	// are in neither.
	Prompt, Calm Latency
}

// Shard is how one master of a cluster does.
type Shard struct {
	// Name is its address, as Client.Shard gives it.
	Name string
	// Up is whether the last heartbeat could write to it.
	Up bool
	// Open is whether its breaker is open.
	Open bool
}

// Stats returns the counters as they are now.
func (c *Client) Stats() Stats {
	out := Stats{Errors: make(map[string]int64, classes-1), Prompt: c.prompt.read(), Calm: c.calm.read()}
	for class := Timeout; class < classes; class++ {
		out.Errors[class.String()] = c.counts[class].Load()
	}
	c.lost.into(&out)
	masters := c.top.Load().masters
	all := masters
	out.Up = len(masters) > 0
	for _, s := range masters {
		up, open := s.beat.up.Load(), s.breaker.isOpen()
		out.Up = out.Up && up
		out.Open = out.Open || open
		if c.cluster != nil {
			out.Shards = append(out.Shards, Shard{s.name, up, open})
		}
	}
	if c.cluster != nil {
		all = c.cluster.all()
	}
	for _, s := range all {
		out.add(s)
		out.Conns += s.conns.count()
	}
	return out
}

// add adds what the server's counters say.
func (s *Stats) add(of *server) {
	s.Opened += of.breaker.times()
	sum(&s.Cmd, of.cmd.PoolStats())
	sum(&s.Stream, of.stream.PoolStats())
}

func sum(to, more *redis.PoolStats) {
	to.Hits += more.Hits
	to.Misses += more.Misses
	to.Timeouts += more.Timeouts
	to.WaitCount += more.WaitCount
	to.WaitDurationNs += more.WaitDurationNs
	to.TotalConns += more.TotalConns
	to.IdleConns += more.IdleConns
	to.StaleConns += more.StaleConns
}

// retired sums up what servers had counted whose connections are closed, so that no counter falls.
type retired struct {
	mu   sync.Mutex
	last Stats
}

func (r *retired) add(s *server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.add(s)
	for _, p := range []*redis.PoolStats{&r.last.Cmd, &r.last.Stream} {
		p.TotalConns, p.IdleConns = 0, 0 // those count what is, and it is no more
	}
}

func (r *retired) into(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Opened, s.Cmd, s.Stream = r.last.Opened, r.last.Cmd, r.last.Stream
}

// counts are the failures by class.
type counts [classes]atomic.Int64

// observer is the hook that sees the outcome of every command: it counts failures, and drops the connections to a server
// that says it is no master, so that the next ones are dialled where the master is now. It takes the time, too.
type observer struct {
	c    *Client
	s    *server
	took *latency // nil: its commands wait for what is to come, so that how long they take says nothing
}

// sayAgain is how often the log says that Redis refuses the user, or what it was asked.
const sayAgain = time.Minute

func (o observer) see(err error) {
	class := Classify(err)
	if class == None || redis.HasErrorPrefix(err, "NOSCRIPT") {
		return // a script that is not loaded is the first call's usual answer
	}
	if o.c.cluster != nil && redirected(err) {
		return // so is the old server of a slot that moved
	}
	o.c.counts[class].Add(1)
	if demoted(err) {
		o.s.conns.drop(time.Now())
	}
	if class == Conn || demoted(err) {
		o.c.pilot.look()
	}
	switch {
	case class == Auth:
		o.complain(class, err, "redis refuses this gateway: a configuration error, in state.redis (username, password) or in the user's ACL rules")
	case class == Key && !redis.HasErrorPrefix(err, "TRYAGAIN"): // a slot that moves is nobody's fault
		o.complain(class, err, "redis can't do what it was asked: somebody else has written a key with this gateway's prefix, or a script has an error")
	}
}

// complain logs now and then what does not end by itself, such as a configuration that is wrong on this side or in Redis.
func (o observer) complain(class Class, err error, what string) {
	now := time.Now().Unix()
	said := &o.c.said[class]
	last := said.Load()
	if now-last >= int64(sayAgain/time.Second) && said.CompareAndSwap(last, now) {
		o.c.log.Error(what, "server", o.s.addr, "err", err)
	}
}

func demoted(err error) bool {
	return redis.IsReadOnlyError(err) || redis.IsLoadingError(err) || redis.IsMasterDownError(err) || redis.IsClusterDownError(err)
}

func redirected(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, asking := redis.IsAskError(err)
	return moved || asking
}

// DialHook implements redis.Hook. A dial that fails is counted with the command that asked for it.
func (o observer) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (o observer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		o.took.add(time.Since(began))
		o.see(err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (o observer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		o.took.add(time.Since(began))
		o.see(err)
		return err
	}
}
