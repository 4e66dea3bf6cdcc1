package redisx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	lookEvery   = 10 * time.Second       // how often the cluster is asked who has what, when all is well
	lookAgain   = 250 * time.Millisecond // when none answered
	lookPause   = 200 * time.Millisecond // between two, however often somebody asks
	lookTimeout = 250 * time.Millisecond // for one node
	// idleAfter is when the connections to a server that is no master of ours any more are closed: calls may be under way.
	idleAfter = 10 * time.Second
)

// cluster keeps the topology of a Redis Cluster.
type cluster struct {
	c       *Client
	asked   chan struct{}
	tried   chan struct{} // closed when the cluster was asked for the first time
	nowhere *server
	turn    int                   // whom to ask first
	lost    bool                  // no node answered last time
	err     atomic.Pointer[error] // why none did

	mu      sync.Mutex
	servers map[string]*server // by address: the configured ones, masters, and those that redirects named
	used    map[*server]time.Time
	closed  bool
}

func newCluster(c *Client) *cluster {
	k := &cluster{
		c: c, asked: make(chan struct{}, 1), tried: make(chan struct{}),
		servers: make(map[string]*server), used: make(map[*server]time.Time),
	}
	k.nowhere = newServer(c, "", "", nobody{k})
	c.cluster = k
	c.top.Store(&topology{nowhere: k.nowhere})
	for _, addr := range c.o.Addrs {
		k.at(addr)
	}
	return k
}

// nobody is where the server is that stands for no master: at no address.
type nobody struct{ k *cluster }

func (n nobody) where(ctx context.Context) (string, error) {
	n.k.c.reached(ctx)
	return "", n.k.why()
}

func (nobody) still(string) bool { return false }

// why is why there is no master to ask.
func (k *cluster) why() error {
	if err := k.err.Load(); err != nil && !k.c.top.Load().known {
		return fmt.Errorf("%w: %w", errUnknown, *err)
	}
	return errUnknown
}

// look implements pilot.
func (k *cluster) look() {
	select {
	case k.asked <- struct{}{}:
	default: // it is asked for already
	}
}

// run implements pilot.
func (k *cluster) run(ctx context.Context) {
	for first := true; ; first = false {
		err := k.load(ctx)
		if err != nil {
			k.err.Store(&err)
		}
		if first {
			close(k.tried)
		}
		if ctx.Err() != nil {
			return
		}
		k.tell(err)
		k.sweep(time.Now())
		wait := lookEvery
		if err != nil {
			wait = lookAgain
		}
		if !pause(ctx, lookPause, nil) || !pause(ctx, wait-lookPause, k.asked) {
			return
		}
	}
}

// pause waits for d, or until early is sent to, and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-early:
	}
	return true
}

func (k *cluster) tell(err error) {
	switch {
	case err != nil && !k.lost:
		k.c.log.Error("no node of the redis cluster says who has which keys", "err", err)
	case err == nil && k.lost:
		k.c.log.Info("the redis cluster answers again")
	}
	k.lost = err != nil
}

// load asks one node after the other until one says who has which keys.
func (k *cluster) load(ctx context.Context) error {
	var errs []error
	for _, s := range k.candidates() {
		top, err := k.ask(ctx, s)
		if err == nil {
			k.install(top)
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", s.addr, err))
		if ctx.Err() != nil {
			break
		}
	}
	return both(errs)
}

// candidates are the nodes to ask: first the masters that answer, one after the other in turn, so that a node whose view is
// old is not the only one heard; then all others that are known.
func (k *cluster) candidates() []*server {
	k.turn++
	masters := k.c.top.Load().masters
	var good, rest []*server
	for i := range masters {
		if s := masters[(i+k.turn)%len(masters)]; s.beat.up.Load() {
			good = append(good, s)
		} else {
			rest = append(rest, s)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, addr := range k.c.o.Addrs {
		if s := k.servers[addr]; s != nil && !slices.Contains(masters, s) {
			rest = append(rest, s)
		}
	}
	return append(good, rest...)
}

func (k *cluster) ask(ctx context.Context, s *server) (*topology, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	cmd := redis.NewClusterSlotsCmd(ctx, "cluster", "slots") // which every version knows
	_ = s.calm.Process(ctx, cmd)
	parts, err := cmd.Result()
	if redis.HasErrorPrefix(err, "This instance has cluster support disabled") {
		return nil, errors.New("it is no part of a cluster: write state.redis.mode: standalone")
	}
	if err != nil {
		return nil, err
	}
	return k.draw(parts, s.addr)
}

// install makes top the topology, with a heartbeat for each of its masters.
func (k *cluster) install(top *topology) {
	giveBeatKeys(k.c.o.Prefix, top)
	old := k.c.top.Swap(top)
	for _, s := range top.masters {
		if !slices.Contains(old.masters, s) {
			s.beat.start(k.c, s)
		}
	}
	for _, s := range old.masters {
		if !slices.Contains(top.masters, s) {
			s.beat.stop()
			s.breaker.close() // nothing else would, and others may still name it
			k.c.log.Info("a server is no longer a master of the redis cluster", "server", s.addr)
		}
	}
}

// at is the server at an address.
func (k *cluster) at(addr string) *server {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return k.nowhere
	}
	s := k.servers[addr]
	if s == nil {
		s = newServer(k.c, addr, addr, nil)
		k.servers[addr] = s
	}
	k.used[s] = time.Now()
	return s
}

// sweep closes the connections to servers that nobody has had to do with for a while.
func (k *cluster) sweep(now time.Time) {
	masters := k.c.top.Load().masters
	var idle []*server
	k.mu.Lock()
	for addr, s := range k.servers {
		if slices.Contains(masters, s) {
			k.used[s] = now
		} else if now.Sub(k.used[s]) > idleAfter && !slices.Contains(k.c.o.Addrs, addr) {
			idle = append(idle, s)
			delete(k.servers, addr)
			delete(k.used, s)
		}
	}
	k.mu.Unlock()
	for _, s := range idle {
		k.c.lost.add(s)
		_ = s.close()
	}
}

// all are the servers with connections.
func (k *cluster) all() []*server {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]*server, 0, len(k.servers))
	for _, s := range k.servers {
		all = append(all, s)
	}
	return all
}

// close implements pilot.
func (k *cluster) close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	errs := []error{k.nowhere.close()}
	for _, s := range k.all() {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}
