package redisx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	askEvery   = time.Second            // how often the Sentinels are asked, when all is well
	askAgain   = 250 * time.Millisecond // while there is no master that takes writes
	askPause   = 100 * time.Millisecond // between two, however often somebody asks
	askTimeout = 250 * time.Millisecond // for one Sentinel
)

// sentinels knows by Sentinels which server is the master.
type sentinels struct {
	c       *Client
	asked   chan struct{}
	tried   chan struct{} // closed when the Sentinels were asked for the first time
	clients []*redis.Client
	conns   *conns
	master  *server
	lost    bool // none answered last time

	addr atomic.Pointer[string] // the master's; nil before any Sentinel named one
	err  atomic.Pointer[error]  // why none did
}

func newSentinels(c *Client) *sentinels {
	k := &sentinels{c: c, asked: make(chan struct{}, 1), tried: make(chan struct{}), conns: newConns(c.o.TLS, nil)}
	for _, addr := range c.o.Addrs {
		o := c.options(addr, k.conns)
		o.Username, o.Password = c.o.SentinelUsername, c.o.SentinelPassword.Reveal()
		o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = askTimeout, askTimeout, askTimeout
		o.PoolSize = 1
		k.clients = append(k.clients, redis.NewClient(o))
	}
	k.master = newServer(c, "", "", k)
	c.top.Store(sole(k.master))
	return k
}

// where implements resolver.
func (k *sentinels) where(ctx context.Context) (string, error) {
	select {
	case <-k.tried:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if addr := k.addr.Load(); addr != nil {
		return *addr, nil
	}
	if err := k.err.Load(); err != nil {
		return "", *err
	}
	return "", errUnknown
}

// still implements resolver.
func (k *sentinels) still(addr string) bool { return *k.addr.Load() == addr }

// look implements pilot.
func (k *sentinels) look() {
	select {
	case k.asked <- struct{}{}:
	default: // it is asked for already
	}
}

// run implements pilot.
func (k *sentinels) run(ctx context.Context) {
	for first := true; ; first = false {
		addr, err := k.ask(ctx)
		if ctx.Err() == nil {
			k.take(addr, err)
		}
		if first {
			close(k.tried)
		}
		wait := askEvery
		if err != nil || !k.master.beat.up.Load() {
			wait = askAgain
		}
		if !pause(ctx, askPause, nil) || !pause(ctx, wait-askPause, k.asked) {
			return
		}
	}
}

// take believes the Sentinels. Where none answers, the master stays who it was.
func (k *sentinels) take(addr string, err error) {
	switch {
	case err != nil && !k.lost:
		k.c.log.Error("no sentinel names the redis master", "err", err)
	case err == nil && k.lost:
		k.c.log.Info("a sentinel names the redis master again", "server", addr)
	}
	k.lost = err != nil
	if err != nil {
		k.err.Store(&err)
		return
	}
	old := k.addr.Swap(&addr)
	if old != nil && *old != addr {
		k.c.log.Warn("another server is the redis master", "server", addr, "before", *old)
		k.master.conns.dropAll(time.Now())
	}
}

// word is what one Sentinel says.
type word struct {
	addr  string
	epoch int64 // of the election that made it so
	err   error
}

// ask asks every Sentinel and returns the address that they name.
func (k *sentinels) ask(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	words := make([]word, len(k.clients))
	var done sync.WaitGroup
	for i, s := range k.clients {
		done.Go(func() { words[i] = k.askOne(ctx, s, k.c.o.Addrs[i]) })
	}
	done.Wait()
	return choose(words)
}

// choose takes the address that comes from the latest election: a Sentinel that is cut off may not have heard of it.
func choose(words []word) (string, error) {
	best := word{epoch: -1}
	var errs []error
	for _, w := range words {
		if w.err != nil {
			errs = append(errs, w.err)
		} else if w.epoch > best.epoch {
			best = w
		}
	}
	if best.epoch < 0 {
		return "", both(errs)
	}
	return best.addr, nil
}

// askOne asks in two ways: the first names a new master as soon as it is one, the second the election.
func (k *sentinels) askOne(ctx context.Context, s *redis.Client, at string) word {
	name := k.c.o.MasterName
	pipe := s.Pipeline()
	addr := redis.NewStringSliceCmd(ctx, "sentinel", "get-master-addr-by-name", name)
	state := redis.NewMapStringStringCmd(ctx, "sentinel", "master", name)
	_ = pipe.Process(ctx, addr)
	_ = pipe.Process(ctx, state)
	_, failed := pipe.Exec(ctx)
	parts, err := addr.Result()
	if err == nil && parts == nil {
		err = failed // go-redis tells the commands nothing where the server refused the connection
	}
	if errors.Is(err, redis.Nil) || err == nil && len(parts) != 2 {
		return word{err: fmt.Errorf("the sentinel at %s knows no master named %q: set state.redis.master_name to the name of its sentinel monitor line", at, name)}
	}
	if err == nil {
		err = state.Err()
	}
	if err != nil {
		return word{err: fmt.Errorf("sentinel at %s: %w", at, err)}
	}
	epoch, err := strconv.ParseInt(state.Val()["config-epoch"], 10, 64)
	if err != nil || epoch < 0 {
		return word{err: fmt.Errorf("the sentinel at %s gave %q as the epoch of its configuration, wanted a number", at, state.Val()["config-epoch"])}
	}
	return word{addr: net.JoinHostPort(parts[0], parts[1]), epoch: epoch}
}

// close implements pilot.
func (k *sentinels) close() error {
	errs := []error{k.master.close()}
	for _, s := range k.clients {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
