package redisx

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Stats is how the connection to Redis does, for metrics.
type Stats struct {
	// Up is whether the last heartbeat could write.
	Up bool
	// Open is whether the breaker is open, and Opened how often it opened.
	Open   bool
	Opened int64
	// Errors counts failed commands by class since Open, each class named; a command that failed before it was sent counts.
	Errors map[string]int64
	// Conns is how many connections are open, of both pools.
	Conns int
	// Cmd and Stream are go-redis's counters of the two pools.
	Cmd, Stream redis.PoolStats
}

// Stats returns the counters as they are now.
func (c *Client) Stats() Stats {
	errs := make(map[string]int64, classes-1)
	for class := Timeout; class < classes; class++ {
		errs[class.String()] = c.counts[class].Load()
	}
	return Stats{
		Up:     c.beat.up.Load(),
		Open:   c.breaker.isOpen(),
		Opened: c.breaker.times(),
		Errors: errs,
		Conns:  c.conns.count(),
		Cmd:    *c.cmd.PoolStats(),
		Stream: *c.stream.PoolStats(),
	}
}

// counts are the failures by class.
type counts [classes]atomic.Int64

// observer is the hook that sees the outcome of every command: it counts failures, and drops the connections to a server
// that says it is no master, so that the next ones are dialled by name.
type observer struct{ c *Client }

func (o observer) see(err error) {
	class := Classify(err)
	if class == None || redis.HasErrorPrefix(err, "NOSCRIPT") {
		return // a script that is not loaded is the first call's usual answer
	}
	o.c.counts[class].Add(1)
	if demoted(err) {
		o.c.conns.drop(time.Now())
	}
}

func demoted(err error) bool {
	return redis.IsReadOnlyError(err) || redis.IsLoadingError(err) || redis.IsMasterDownError(err)
}

// DialHook implements redis.Hook. A dial that fails is counted with the command that asked for it.
func (o observer) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (o observer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		o.see(err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (o observer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		o.see(err)
		return err
	}
}
