// Package redisx is the one way in which Gatehouse talks to Redis: the options of go-redis under which a hung server
// costs a caller its own deadline and no more, scripts, the classes of errors, a circuit breaker, and counters.
//
// # One master, or several
//
// A standalone server is one master. So is what Sentinels watch: a Client asks them all, once a second, and whenever
// something fails, which server that is, and believes the one whose answer is of the latest election. A Cluster has several
// masters, each with its part of the keys; a Client knows which by the cluster's own word (CLUSTER SLOTS), and follows what
// moves.
//
// # The breaker
//
// It guards Run and what is batched, which is what requests wait for. What no request waits for (RunCalm, Cmd, Stream) passes it
// by: a server that is too slow for a request may be fast enough to hear of revocations. Each master has its own, so that one
// that is away costs nothing but its part of the keys. Five failures in a row, or half of a second's calls, open it; an open
// breaker costs a caller one atomic load. Only the heartbeat, a small write that the Client sends to each master by itself, and
// that has no more time than a request's call, closes it again. Errors of a key or a script are the program's own and never count.
package redisx

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"gatehouse/internal/secret"
)

// Options say which Redis, and how long a request may wait for it.
type Options struct {
	// Mode says what is at Addrs. The zero value is a standalone server.
	Mode Mode
	// Addrs holds host:port: of the server (Standalone; the first is used), of Sentinels, or of nodes of the cluster, of which
	// one that answers is enough to find the others.
	Addrs []string
	// MasterName is what the Sentinels call the master. Only with Sentinel.
	MasterName string
	// Username and Password authenticate each connection to a server. Empty: none. Neither appears in an error.
	Username string
	Password secret.Text
	// SentinelUsername and SentinelPassword are for the Sentinels, which have users of their own. Empty: none.
	SentinelUsername string
	SentinelPassword secret.Text
	// TLS is used for each connection, to Sentinels too, where it is not nil. An empty ServerName means the host of the address.
	TLS *tls.Config
	// Prefix is the first part of every key, without a colon.
	Prefix string
	// Budget is the longest that a request may wait. Zero means 25 ms.
	Budget time.Duration
	// Log gets a line when a master is lost or found, and when Redis refuses the user, or a script or key. Nil: none.
	Log *slog.Logger
}

// Mode is what kind of Redis there is.
type Mode uint8

// The modes.
const (
	Standalone Mode = iota // one server
	Sentinel               // a master with replicas, watched by Sentinels
	Cluster                // several masters, each with its hash slots
)

// Client holds two pools of connections to each master: one for commands, one for blocking stream reads. It is safe for
// concurrent use.
type Client struct {
	o      Options
	log    *slog.Logger
	counts counts
	lost   retired // what the counters of masters were that are no longer
	top    atomic.Pointer[topology]
	pilot  pilot
	// cluster is the pilot where it is a cluster's, else nil.
	cluster *cluster

	prompt, calm latency // round trips

	said [classes]atomic.Int64 // when failures of a class were last logged that do not end by themselves, Unix seconds

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Open returns a Client. It does not wait for a connection: whether there is one, Stats says, and commands find out. The
// caller closes it.
func Open(o Options) *Client {
	// go-redis would write to standard error by itself, around the process's log. What it has to say comes back as the
	// errors of commands, which are counted here.
	logging.Disable()
	if o.Budget <= 0 {
		o.Budget = 25 * time.Millisecond
	}
	c := &Client{o: o, log: o.Log}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	switch o.Mode {
	case Cluster:
		c.pilot = newCluster(c)
	case Sentinel:
		c.pilot = newSentinels(c)
	default:
		s := newServer(c, "", o.Addrs[0], nil)
		c.pilot = anchored{s}
		c.top.Store(sole(s))
	}
	c.done.Go(func() { c.pilot.run(ctx) })
	for _, s := range c.top.Load().masters {
		if c.cluster == nil {
			s.beat.start(c, s)
		}
	}
	return c
}

// pilot keeps c.top true.
type pilot interface {
	// run does it until ctx ends.
	run(ctx context.Context)
	// look asks that it be done now: something failed. It never blocks.
	look()
	// close closes what run has opened and c.top does not hold.
	close() error
}

// anchored is the pilot of a standalone server, which stays where it is.
type anchored struct{ server *server }

func (anchored) run(context.Context) {}
func (anchored) look()               {}
func (f anchored) close() error      { return f.server.close() }

// Prefix is the first part of every key, without a colon.
func (c *Client) Prefix() string { return c.o.Prefix }

// Budget is the longest that a request may wait for Redis.
func (c *Client) Budget() time.Duration { return c.o.Budget }

// Shard names the master that a key lives on, as far as this node knows now, so that calls for one can be kept apart from
// those for another: what is slow there must not hold up the rest. In a cluster it is the address, empty while none is known;
// else there is one master, "". It asks nobody and takes no lock.
func (c *Client) Shard(key string) string { return c.top.Load().owner(key).name }

// Cmd is the client for commands on a key that no request waits for. They are counted by class of error but do not pass the
// breaker. Each ends at its context's deadline, and a read or write after a second in any case. Where the key's slot has moved,
// or is moving, they follow.
func (c *Client) Cmd(key string) *redis.Client { return c.top.Load().owner(key).calm }

// Stream is the client for blocking reads of a key (XREAD BLOCK). Give each a context with a deadline a little over its
// block time: a context that is cancelled does not interrupt a read.
func (c *Client) Stream(key string) *redis.Client { return c.top.Load().owner(key).stream }

// Close ends the heartbeats and closes every connection. Commands then fail.
func (c *Client) Close() error {
	c.cancel()
	c.done.Wait()
	return c.pilot.close()
}
