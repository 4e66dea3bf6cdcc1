package app

import (
	"context"
	"errors"
	"strings"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/config"
	"gatehouse/internal/exchange"
	"gatehouse/internal/keyring"
	"gatehouse/internal/metrics"
)

// Reload reads the configuration anew and puts it in force as a whole, or refuses it as a whole and serves on with the old
// one. Trigger is "sighup", "api" or "watch". The summary says what changed.
func (a *App) Reload(trigger string) (summary string, err error) {
	a.reload.Lock()
	defer a.reload.Unlock()
	if told := a.opts.Reloaded; told != nil {
		defer func() { told(err) }()
	}
	old := a.current.Load()
	next, err := a.prepare(old)
	if err != nil {
		a.metrics.Refused(trigger)
		a.log.Error("reload refused, still serving the old configuration", "trigger", trigger, "config", short(old.cfg.Hash),
			"loaded", old.loaded.UTC().Format(time.RFC3339), "errors", strings.Split(err.Error(), "\n"))
		a.recordReload(trigger, "", err)
		a.lastLoad.Store(&adminapi.ReloadInfo{Result: "refused", Trigger: trigger, At: time.Now().UTC(), Errors: problems(err)})
		return "", err
	}
	summary = diff(old.cfg, next.cfg)
	a.setLog(next.cfg)
	a.audit.Set(next.cfg.Audit.MaxSize, next.cfg.Audit.Keep)
	a.install(next, trigger)
	old.retire()
	a.log.Info("configuration reloaded", "trigger", trigger, "config", short(next.cfg.Hash), "changes", summary)
	a.recordReload(trigger, summary, nil)
	a.lastLoad.Store(&adminapi.ReloadInfo{Result: "ok", Trigger: trigger, At: next.loaded.UTC(), Changes: summary})
	return summary, nil
}

// reading is what was last read of the files: its hash, and the files whose change asks for another look.
type reading struct {
	hash    string
	watched []string
}

// load reads the files, and remembers what it read also where that was refused: a file that a new configuration misses
// may be there a moment later.
func (a *App) load() (*config.Config, error) {
	cfg, err := a.opts.Load()
	if cfg != nil {
		a.read.Store(&reading{cfg.Hash, cfg.Watched})
	}
	return cfg, err
}

func (a *App) prepare(old *snapshot) (*snapshot, error) {
	cfg, err := a.load()
	if err != nil {
		return nil, err
	}
	if problems := config.RestartNeeded(old.cfg, cfg); len(problems) > 0 {
		return nil, config.Errors(problems)
	}
	next, err := a.build(context.Background(), cfg, old)
	if err != nil && a.ring != nil { // the keys take turns as the configuration in force says
		err = errors.Join(err, a.ring.Ensure(context.Background(), use(old.cfg)))
	}
	return next, err
}

// install puts a snapshot in force: one pointer, so that no request sees parts of two configurations.
func (a *App) install(s *snapshot, trigger string) {
	s.cfg.Forget()
	a.metrics.SetRoutes(series(s.cfg))
	a.metrics.SetHooks(hooked(s.cfg))
	a.pulse.SetRoutes(routeKeys(s.cfg))
	a.current.Store(s)
	s.gateway.Start()
	a.metrics.Loaded(trigger, short(s.cfg.Hash), s.loaded)
	for _, w := range s.cfg.Warnings {
		a.log.Warn("configuration", "file", w.File, "line", w.Line, "col", w.Col, "warning", w.Message)
	}
	for _, w := range s.ring.Warnings() {
		a.log.Warn("keys", "warning", w)
	}
}

func (a *App) setLog(cfg *config.Config) {
	if !a.opts.KeepLog {
		a.opts.Log.Set(cfg.Log.Level, cfg.Log.Format)
	}
}

// watch reloads when the content of a file changed, once two looks agree, so that a file that is being written is not read
// half. A content that was refused is not tried again until it changes.
func (a *App) watch(ctx context.Context) {
	every := a.opts.Watch
	if every < 0 {
		return
	}
	if every == 0 {
		every = time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		tried := a.read.Load()
		now := config.Fingerprint(tried.watched)
		if now != tried.hash && now == last {
			a.Reload("watch")
		}
		last = now
	}
}

// problems are an error in the form of the admin API: with positions where it has them.
func problems(err error) []adminapi.Problem {
	if err == nil {
		return nil
	}
	var list config.Errors
	if !errors.As(err, &list) {
		return []adminapi.Problem{{Message: err.Error()}}
	}
	var out []adminapi.Problem
	for _, p := range list {
		out = append(out, adminapi.Problem{File: p.File, Line: p.Line, Col: p.Col, Message: p.Message})
	}
	return out
}

// series are the metrics' view of the routes and of our own endpoints.
func series(cfg *config.Config) []metrics.Route {
	list := []metrics.Route{metrics.Endpoint("token"), metrics.Endpoint("revoke"), metrics.Endpoint("introspect"), metrics.Endpoint("jwks"), metrics.Endpoint("metadata"), metrics.Endpoint("preflight")}
	for _, api := range cfg.APIs {
		for _, r := range api.Routes {
			list = append(list, metrics.Route{API: api.Name, Match: r.Match, Methods: methods(r.Method), Observe: r.Observe})
		}
	}
	return list
}

// hooked are the names of the APIs that have a hook.
func hooked(cfg *config.Config) (names []string) {
	for _, api := range cfg.APIs {
		if api.Hook != nil {
			names = append(names, api.Name)
		}
	}
	return names
}

func methods(method string) []string {
	switch method {
	case "":
		return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	case "GET":
		return []string{"GET", "HEAD"}
	}
	return []string{exchange.MethodLabel(method)}
}

// Facts are what a node says of itself when it is ready, as the attributes of a log line.
func (a *App) Facts() []any {
	cfg := a.current.Load().cfg
	return []any{"routes", countRoutes(cfg), "clients", len(cfg.Clients), "state", engine(cfg), "keys", a.signers(), "config", short(cfg.Hash)}
}

// signers are the keys that sign, in the manner of "ES256/7f3aB2".
func (a *App) signers() string {
	var out []string
	for _, k := range a.current.Load().ring.Keys() {
		if k.State == keyring.Current {
			out = append(out, string(k.Algorithm)+"/"+k.ID[:6])
		}
	}
	return strings.Join(out, " ")
}

func countRoutes(cfg *config.Config) (n int) {
	for _, api := range cfg.APIs {
		n += len(api.Routes)
	}
	return n
}

func engine(cfg *config.Config) string {
	if cfg.State.Redis != nil {
		return "redis"
	}
	return "embedded"
}

// short is enough of a hash to tell two configurations apart by eye.
func short(hash string) string { return hash[:min(len(hash), 12)] }
