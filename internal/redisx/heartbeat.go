package redisx

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstBeat   = 250 * time.Millisecond
	beatEvery   = time.Second
	beatTimeout = 500 * time.Millisecond
)

// heartbeat finds out by itself whether Redis takes writes, once a second, and four times a second while it does not.
type heartbeat struct {
	up     atomic.Bool
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (h *heartbeat) start(c *Client) {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	h.done.Go(func() { h.run(ctx, c) })
}

func (h *heartbeat) stop() {
	h.cancel()
	h.done.Wait()
}

func (h *heartbeat) run(ctx context.Context, c *Client) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		h.once(ctx, c)
		timer.Reset(h.pause())
	}
}

func (h *heartbeat) pause() time.Duration {
	if h.up.Load() {
		return beatEvery
	}
	return firstBeat
}

// once writes, since a replica and a full server answer a PING too. A success closes the breaker; a failure counts in it
// like any other.
func (h *heartbeat) once(ctx context.Context, c *Client) {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	err := c.cmd.Set(ctx, c.prefix+":beat", 1, time.Minute).Err()
	if ctx.Err() == context.Canceled {
		return
	}
	h.up.Store(err == nil)
	if err != nil {
		c.breaker.report(time.Now(), feeds(err))
		return
	}
	if c.breaker.isOpen() {
		c.breaker.close()
	}
}
