package app

import (
	"context"
	"log/slog"
	"os"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/revoke"
	"gatehouse/internal/statedb"
)

// Check builds everything that a configuration describes, the real route table and keys among it, with state of its own in
// a temporary folder. It opens no listener, and neither state.dir nor Redis. It is what `gatehouse check` runs after loading.
func Check(cfg *config.Config) error {
	dir, err := os.MkdirTemp("", "gatehouse-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	a := &App{log: slog.New(slog.DiscardHandler)}
	defer a.Close()
	if a.db, err = statedb.Open(dir); err != nil {
		return err
	}
	if a.revocations, err = revoke.Open(context.Background(), revoke.Options{DB: a.db, Log: a.log}); err != nil {
		return err
	}
	a.limiter = ratelimit.New(ratelimit.Options{})
	if a.auth, err = a.openAuthentication(nil, time.Now); err != nil {
		return err
	}
	a.auth.offline = true
	snap, err := a.build(context.Background(), cfg, nil)
	if err != nil {
		return err
	}
	snap.retire()
	return nil
}
