package app

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Ready reports whether this node serves what it is asked for, and if not, why. Probes read it.
func (a *App) Ready() (bool, string) {
	switch {
	case a.draining.Load():
		return false, "draining"
	case !a.revocations.Ready():
		return false, unread(a.revocations.Staleness())
	}
	if snap := a.current.Load(); snap != nil && len(snap.ring.Missing()) > 0 {
		return false, "the signing keys were never read from Redis"
	}
	return true, ""
}

// unread says why a node that has not read the revocations since it began does not serve by what it knows.
func unread(staleness time.Duration) string {
	if staleness == math.MaxInt64 {
		return "the revocations were never read from Redis"
	}
	return fmt.Sprintf("the revocations are not read from Redis yet, and those here are %s old", staleness.Round(time.Second))
}

// announce says in the log that the node is ready: at once, or that it is not, why, and then when it is.
func (a *App) announce(ctx context.Context) {
	facts := append([]any{"mode", a.opts.Mode, "version", a.opts.Version, "listen", a.public.Addr().String(), "admin", a.admin.Addr().String()}, a.Facts()...)
	ok, why := a.Ready()
	if ok {
		a.log.Info("ready", facts...)
		return
	}
	a.log.Warn("not ready: all but public routes are answered 503 until it is", append([]any{"why", why}, facts...)...)
	go func() {
		pause(ctx, math.MaxInt64, func() bool {
			ok, _ := a.Ready()
			return ok
		})
		if ctx.Err() == nil {
			a.log.Info("ready", facts...)
		}
	}()
}
