package redisx

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	dialTimeout = 250 * time.Millisecond
	ioTimeout   = 50 * time.Millisecond
	poolTimeout = 20 * time.Millisecond
	// calmTimeout ends a read or write that no request waits for, where its context does not.
	calmTimeout = time.Second
	// streamConns is how many connections blocking reads may hold at once.
	streamConns = 4
)

// server is one master, or one that may become one, with its connections and how it does.
type server struct {
	name    string // in Stats and as a Shard: the address; empty where there is but one
	addr    string
	cmd     *redis.Client // what requests wait for, and the heartbeat, which says whether they are to
	calm    *redis.Client // cmd's connections for what no request waits for
	stream  *redis.Client
	conns   *conns
	breaker breaker
	beat    heartbeat
	// beatKey is what the heartbeat writes, a key of this server; "" while it has none.
	beatKey atomic.Pointer[string]
}

// newServer returns a server that nothing is sent to yet. resolve says where it is at the moment; nil: at addr.
func newServer(c *Client, name, addr string, resolve resolver) *server {
	s := &server{name: name, addr: addr, conns: newConns(c.o.TLS, resolve)}
	key := ""
	if c.o.Mode != Cluster {
		key = c.o.Prefix + ":beat"
	}
	s.beatKey.Store(&key)
	o := c.options(addr, s.conns)
	s.cmd = redis.NewClient(o)
	s.calm = s.cmd.WithTimeout(calmTimeout)
	forStreams := c.options(addr, s.conns)
	forStreams.PoolSize = streamConns
	// A blocking read has a timeout of its own. These are for what begins a connection.
	forStreams.ReadTimeout, forStreams.WriteTimeout = calmTimeout, calmTimeout
	s.stream = redis.NewClient(forStreams)
	s.hook(c, s.cmd, &c.prompt, func(s *server) *redis.Client { return s.cmd })
	s.hook(c, s.calm, &c.calm, func(s *server) *redis.Client { return s.calm })
	s.hook(c, s.stream, nil, func(s *server) *redis.Client { return s.stream })
	return s
}

func (s *server) hook(c *Client, r *redis.Client, took *latency, same func(*server) *redis.Client) {
	r.AddHook(observer{c, s, took})
	if c.o.Mode == Cluster {
		r.AddHook(follower{c, s, same})
	}
}

// options are go-redis's, chosen so that a call ends at its context's deadline whatever the server does, and is sent once.
func (c *Client) options(addr string, via *conns) *redis.Options {
	return &redis.Options{
		Addr:                     addr,
		Username:                 c.o.Username,
		Password:                 c.o.Password.Reveal(),
		Dialer:                   via.dial,
		ContextTimeoutEnabled:    true, // without it, only ReadTimeout ends a read
		MaxRetries:               -1,   // a take that timed out may have happened
		DialTimeout:              dialTimeout,
		DialerRetries:            1,                          // attempts, not repetitions
		ReadTimeout:              max(ioTimeout, c.o.Budget), // who allows a request to wait longer means it
		WriteTimeout:             max(ioTimeout, c.o.Budget),
		PoolTimeout:              max(poolTimeout, c.o.Budget),
		PipelinePoolSize:         -1, // pipelines share the one pool
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// close ends the heartbeat, where one was started, and closes the connections; calm has none of its own.
func (s *server) close() error {
	s.beat.stop()
	return errors.Join(s.cmd.Close(), s.stream.Close())
}

// resolver says where a server is now, waiting until that is known, and whether it is still there.
type resolver interface {
	where(ctx context.Context) (addr string, err error)
	still(addr string) bool
}

// errUnknown is the error of what is asked of a cluster before any of its nodes was reached, or for a slot without a master.
var errUnknown = errors.New("no master of the redis cluster is known for this key")
