package redisx

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	firstBeat   = 250 * time.Millisecond
	beatEvery   = time.Second
	beatTimeout = 500 * time.Millisecond
)

// heartbeat finds out by itself whether a master takes writes, once a second, and four times a second while it does not, or does
// too late for requests.
type heartbeat struct {
	up     atomic.Bool
	runs   atomic.Bool // between start and stop
	told   bool        // whether the log was told that it is down
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (h *heartbeat) start(c *Client, s *server) {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), stays{}, true))
	h.cancel = cancel
	s.breaker.close()
	h.runs.Store(true)
	h.done.Go(func() { h.run(ctx, c, s) })
}

// stop ends the heartbeat, where one was started.
func (h *heartbeat) stop() {
	if h.cancel == nil {
		return
	}
	h.runs.Store(false)
	h.cancel()
	h.done.Wait()
	h.up.Store(false)
}

func (h *heartbeat) run(ctx context.Context, c *Client, s *server) {
	for {
		h.once(ctx, c, s)
		wait := beatEvery
		if !h.up.Load() || s.breaker.isOpen() {
			wait = firstBeat
		}
		if !pause(ctx, wait, nil) {
			return
		}
	}
}

// once writes, since a replica and a full server answer a PING too. A success within what a request may wait closes the breaker: one
// that took longer would have requests wait in vain until they opened it again. A failure counts in it like any other.
func (h *heartbeat) once(ctx context.Context, c *Client, s *server) {
	key := *s.beatKey.Load()
	if key == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	sent := time.Now()
	err := s.cmd.Set(ctx, key, 1, time.Minute).Err()
	took := time.Since(sent)
	if ctx.Err() == context.Canceled {
		return
	}
	if c.cluster != nil {
		if _, moved := redis.IsMovedError(err); moved {
			c.pilot.look() // the key is another's now; the master gets one of its own again, or is none
			return
		}
		if _, asking := redis.IsAskError(err); asking {
			err = nil // the key's slot is leaving: only a master that is well says so
		}
	}
	h.up.Store(err == nil)
	h.tell(c, s, err)
	if err != nil {
		s.breaker.report(time.Now(), feeds(err))
		c.pilot.look()
		return
	}
	if s.breaker.isOpen() && took <= c.o.Budget {
		s.breaker.close()
	}
}

// tell writes to the log when a master is lost, and when it is back.
func (h *heartbeat) tell(c *Client, s *server, err error) {
	switch {
	case err != nil && !h.told:
		c.log.Warn("redis takes no writes", "server", s.addr, "class", Classify(err).String(), "err", err)
	case err == nil && h.told:
		c.log.Info("redis takes writes again", "server", s.addr)
	}
	h.told = err != nil
}
