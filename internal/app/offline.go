package app

import (
	"context"
	"log/slog"
	"os"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/config"
	"gatehouse/internal/pulse"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/revoke"
	"gatehouse/internal/statedb"
	"gatehouse/internal/token"
	"gatehouse/internal/trace"
)

// Offline is everything that a configuration describes, built as run would build it, with state of its own in a temporary
// folder: no listener, neither state.dir nor Redis, and no keys of others. Close it.
type Offline struct {
	app  *App
	snap *snapshot
	dir  string
}

// OpenOffline builds a configuration. Its error is that of run, config.Errors where a file is wrong.
func OpenOffline(cfg *config.Config) (_ *Offline, err error) {
	o := &Offline{app: &App{log: slog.New(slog.DiscardHandler), pulse: pulse.New(nil)}}
	if o.dir, err = os.MkdirTemp("", "gatehouse-offline-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			o.Close()
		}
	}()
	a := o.app
	if a.db, err = statedb.Open(o.dir); err != nil {
		return nil, err
	}
	if a.revocations, err = revoke.Open(context.Background(), revoke.Options{DB: a.db, Log: a.log}); err != nil {
		return nil, err
	}
	a.limiter = ratelimit.New(ratelimit.Options{})
	if a.auth, err = a.openAuthentication(nil, time.Now); err != nil {
		return nil, err
	}
	a.auth.offline = true
	o.snap, err = a.build(context.Background(), cfg, nil)
	return o, err
}

// Close removes the temporary state.
func (o *Offline) Close() {
	if o.snap != nil {
		o.snap.retire()
	}
	o.app.Close()
	os.RemoveAll(o.dir)
}

// Explain answers a question by the files alone. The trace says what could not be checked: what was revoked, what is left of a
// limit, and the signature where the keys are not in tokens.key_dir.
func (o *Offline) Explain(ctx context.Context, q adminapi.ExplainRequest) (*trace.Trace, error) {
	t, err := o.snap.explain(ctx, q, !o.hasKeys(q.Token))
	if err != nil {
		return nil, err
	}
	for check, why := range map[trace.Check]string{trace.Revocation: "what was revoked is in the state of the running gatehouse", trace.Limit: "what is used up is in the state of the running gatehouse"} {
		if step := t.Step(check); step != nil && step.Outcome == trace.Passed && step.Fact != trace.NoLimit {
			step.Outcome, step.Fact = trace.NotChecked, why
		}
	}
	return t, nil
}

// hasKeys reports whether the keys that would verify a token are here: ours, in files.
func (o *Offline) hasKeys(raw string) bool {
	t, err := token.Parse(raw)
	return err != nil || t.UnverifiedIssuer() == o.snap.cfg.Server.Issuer && o.snap.cfg.Tokens.KeyDir != ""
}
