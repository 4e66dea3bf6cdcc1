// Package redisx is the one way in which Gatehouse talks to Redis: the options of go-redis under which a hung server
// costs a caller its own deadline and no more, scripts, the classes of errors, a circuit breaker, and counters.
//
// # The breaker
//
// It guards Run, which is what requests wait for. Five failures in a row, or half of a second's calls, open it; an open
// breaker costs a caller one atomic load. Only the heartbeat, a small write that the Client sends by itself, closes it
// again. Errors of a key or a script are the program's own and never count.
package redisx

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"gatehouse/internal/secret"
)

const (
	dialTimeout = 250 * time.Millisecond
	ioTimeout   = 50 * time.Millisecond
	poolTimeout = 20 * time.Millisecond
	// streamConns is how many connections blocking reads may hold at once.
	streamConns = 4
)

// Options say which Redis, and how long a request may wait for it.
type Options struct {
	// Addrs holds the server's host:port. A standalone server has one; the first is used.
	Addrs []string
	// Username and Password authenticate each connection. Empty: none. Neither appears in an error.
	Username string
	Password secret.Text
	// TLS is used for each connection where it is not nil. An empty ServerName means the host of the address.
	TLS *tls.Config
	// Prefix is the first part of every key, without a colon.
	Prefix string
	// Budget is the longest that a request may wait. Zero means 25 ms.
	Budget time.Duration
}

// Client holds two pools of connections to one Redis: one for commands, one for blocking stream reads. It is safe for
// concurrent use.
type Client struct {
	prefix  string
	budget  time.Duration
	cmd     *redis.Client
	stream  *redis.Client
	conns   *conns
	breaker breaker
	counts  counts
	beat    heartbeat
}

// Open returns a Client of the Redis at o.Addrs[0]. It does not wait for a connection: whether there is one, Stats says,
// and commands find out. The caller closes it.
func Open(o Options) *Client {
	// go-redis would write to standard error by itself, around the process's log. What it has to say comes back as the
	// errors of commands, which are counted here.
	logging.Disable()
	if o.Budget <= 0 {
		o.Budget = 25 * time.Millisecond
	}
	c := &Client{prefix: o.Prefix, budget: o.Budget, conns: newConns(o.TLS)}
	c.cmd = redis.NewClient(c.options(o))
	forStreams := c.options(o)
	forStreams.PoolSize = streamConns
	c.stream = redis.NewClient(forStreams)
	for _, r := range []*redis.Client{c.cmd, c.stream} {
		r.AddHook(observer{c})
	}
	c.beat.start(c)
	return c
}

// options are go-redis's, chosen so that a call ends at its context's deadline whatever the server does, and is sent once.
func (c *Client) options(o Options) *redis.Options {
	return &redis.Options{
		Addr:                     o.Addrs[0],
		Username:                 o.Username,
		Password:                 o.Password.Reveal(),
		Dialer:                   c.conns.dial,
		ContextTimeoutEnabled:    true, // without it, only ReadTimeout ends a read
		MaxRetries:               -1,   // a take that timed out may have happened
		DialTimeout:              dialTimeout,
		DialerRetries:            1,                        // attempts, not repetitions
		ReadTimeout:              max(ioTimeout, o.Budget), // who allows a request to wait longer means it
		WriteTimeout:             max(ioTimeout, o.Budget),
		PoolTimeout:              max(poolTimeout, o.Budget),
		PipelinePoolSize:         -1, // pipelines share the one pool
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// Prefix is the first part of every key, without a colon.
func (c *Client) Prefix() string { return c.prefix }

// Budget is the longest that a request may wait for Redis.
func (c *Client) Budget() time.Duration { return c.budget }

// Shard names the server that a key lives on, so that calls for one server can be kept apart from those for another: what
// is slow there must not hold up the rest. A standalone server has one, "". It is safe for concurrent use.
func (c *Client) Shard(string) string { return "" }

// Cmd is the client for commands. They are counted by class of error but do not pass the breaker. Each ends at its
// context's deadline, and a read or write after 50 ms in any case.
func (c *Client) Cmd() *redis.Client { return c.cmd }

// Stream is the client for blocking reads (XREAD BLOCK). Give each a context with a deadline a little over its block
// time: a context that is cancelled does not interrupt a read.
func (c *Client) Stream() *redis.Client { return c.stream }

// Close ends the heartbeat and closes every connection. Commands then fail.
func (c *Client) Close() error {
	c.beat.stop()
	return errors.Join(c.cmd.Close(), c.stream.Close())
}

// Run runs a script on the keys, all of one hash slot, within ctx. A server that does not know the script is given it,
// and the call is sent once more; nothing else is ever repeated, since a call that timed out may have happened. With the
// breaker open the command's error is ErrOpen at once.
func (c *Client) Run(ctx context.Context, s *Script, keys []string, args ...any) *redis.Cmd {
	return c.RunAll(ctx, s, []Call{{keys, args}})[0]
}

// Call is one run of a script: its keys, all of one hash slot, and its arguments.
type Call struct {
	Keys []string
	Args []any
}

// RunAll is Run for several calls in one round trip. Each has its own result, in the order of the calls; to the breaker
// they are one.
func (c *Client) RunAll(ctx context.Context, s *Script, calls []Call) []*redis.Cmd {
	if c.breaker.isOpen() {
		return refuse(ctx, len(calls))
	}
	results := c.evalSHA(ctx, s, calls)
	failed := false
	for _, r := range results {
		if errors.Is(r.Err(), context.Canceled) { // the caller's doing, which says nothing of Redis
			return results
		}
		failed = failed || feeds(r.Err())
	}
	c.breaker.report(time.Now(), failed)
	return results
}

func refuse(ctx context.Context, n int) []*redis.Cmd {
	refused := make([]*redis.Cmd, n)
	for i := range refused {
		refused[i] = redis.NewCmd(ctx)
		refused[i].SetErr(ErrOpen)
	}
	return refused
}

// evalSHA sends the calls, and those again that met a server without the script.
func (c *Client) evalSHA(ctx context.Context, s *Script, calls []Call) []*redis.Cmd {
	results := c.send(ctx, s, calls)
	var again []Call
	var at []int
	for i, r := range results {
		if redis.HasErrorPrefix(r.Err(), "NOSCRIPT") {
			again, at = append(again, calls[i]), append(at, i)
		}
	}
	if len(again) == 0 {
		return results
	}
	if err := c.cmd.ScriptLoad(ctx, s.source).Err(); err != nil {
		for _, i := range at {
			results[i].SetErr(err)
		}
		return results
	}
	for i, r := range c.send(ctx, s, again) {
		results[at[i]] = r
	}
	return results
}

func (c *Client) send(ctx context.Context, s *Script, calls []Call) []*redis.Cmd {
	if len(calls) == 1 {
		return []*redis.Cmd{c.cmd.EvalSha(ctx, s.sha, calls[0].Keys, calls[0].Args...)}
	}
	results := make([]*redis.Cmd, len(calls))
	pipe := c.cmd.Pipeline()
	for i, call := range calls {
		results[i] = pipe.EvalSha(ctx, s.sha, call.Keys, call.Args...)
	}
	_, _ = pipe.Exec(ctx) // each result has its own error
	return results
}
