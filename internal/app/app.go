// Package app builds the running gatehouse from a configuration: the token endpoint, the gateway, their shared state, two
// listeners, reload and drain. The command and the whole-program tests start the same App.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/authz"
	"gatehouse/internal/config"
	"gatehouse/internal/exchange"
	"gatehouse/internal/keyring"
	"gatehouse/internal/logs"
	"gatehouse/internal/metrics"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/redisx"
	"gatehouse/internal/revoke"
	"gatehouse/proxy"
	"gatehouse/tokenep"
)

// Options say what a configuration does not.
type Options struct {
	// Load reads the configuration, at start and for each reload. Its error is config.Errors where a file is wrong.
	Load func() (*config.Config, error)
	// Version and Mode ("run" or "dev") stand in the metrics and the log.
	Version, Mode string
	// Log is where the process logs; New sets its level and format from the configuration unless KeepLog is set.
	Log     *logs.Output
	KeepLog bool
	// Public and Admin are listeners that are open already; nil: New opens what the configuration names.
	Public, Admin net.Listener
	// Sinks consume finished exchanges besides the metrics and the access log.
	Sinks []exchange.Sink
	// Watch is the time between two looks at the content of the files; 0: one second; negative: no looks.
	Watch time.Duration
}

// App is one running gatehouse. Make it with New, run it with Run, then Close it.
type App struct {
	opts    Options
	log     *slog.Logger
	metrics *metrics.Metrics

	db          *bbolt.DB
	redis       *redisx.Client // nil: embedded
	revocations *revoke.Store
	limiter     *ratelimit.Limiter
	ring        *keyring.Ring // generated keys; nil with key_dir

	current  atomic.Pointer[snapshot]
	reload   sync.Mutex // one reload at a time
	draining atomic.Bool

	public, admin           net.Listener
	publicServer, adminHTTP *http.Server
}

// New loads the configuration, opens the state and both listeners, and is ready to Run. On an error nothing stays open.
func New(ctx context.Context, o Options) (_ *App, err error) {
	a := &App{opts: o, log: o.Log.Logger()}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	cfg, err := o.Load()
	if err != nil {
		return nil, err
	}
	a.setLog(cfg)
	if err := a.openState(ctx, cfg); err != nil {
		return nil, err
	}
	a.metrics = metrics.New(metrics.Options{Version: o.Version, Mode: o.Mode, Reasons: reasonNames(), Errors: tokenep.Errors()})
	a.metrics.Register(collectors(a)...)
	snap, err := a.build(cfg, nil)
	if err != nil {
		return nil, err
	}
	if err := a.listen(cfg); err != nil {
		return nil, err
	}
	a.install(snap, "start")
	return a, nil
}

// ServeHTTP serves one request by the configuration in force when it came. It keeps that one to its end.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.current.Load().gateway.ServeHTTP(w, r)
}

// Run serves until ctx is done, then drains: readiness fails first, then no new connections are taken, and what is in
// flight gets server.drain to finish. It returns nil after a complete drain.
func (a *App) Run(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go a.watch(watching)
	failed := make(chan error, 2)
	go func() { failed <- a.publicServer.Serve(a.public) }()
	go func() { failed <- a.adminHTTP.Serve(a.admin) }()
	cfg := a.current.Load().cfg
	a.log.Info("ready", "mode", a.opts.Mode, "version", a.opts.Version, "listen", a.public.Addr().String(), "admin", a.admin.Addr().String(),
		"routes", countRoutes(cfg), "clients", len(cfg.Clients), "state", engine(cfg), "config", short(cfg.Hash))
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return a.drain()
	}
}

func (a *App) drain() error {
	a.draining.Store(true)
	limit := a.current.Load().cfg.Server.Drain
	a.log.Info("draining", "limit", limit.String())
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := a.publicServer.Shutdown(ctx)
	if err != nil {
		a.publicServer.Close()
		err = fmt.Errorf("requests were still in flight after server.drain (%s)", limit)
	}
	a.adminHTTP.Close()
	a.log.Info("stopped")
	return err
}

// Ready reports whether this node serves what it is asked for, and if not, why. Probes read it.
func (a *App) Ready() (bool, string) {
	switch {
	case a.draining.Load():
		return false, "draining"
	case !a.revocations.Ready():
		return false, "the revocations were never read from Redis"
	}
	return true, ""
}

// Config is the configuration in force.
func (a *App) Config() *config.Config { return a.current.Load().cfg }

// Addr is the address of the public listener, AdminAddr that of the admin listener.
func (a *App) Addr() net.Addr      { return a.public.Addr() }
func (a *App) AdminAddr() net.Addr { return a.admin.Addr() }

// Close releases what New opened. It is for after Run, and safe to call twice.
func (a *App) Close() error {
	var errs []error
	for _, l := range []net.Listener{a.public, a.admin} {
		if l != nil {
			l.Close() // already closed after Run
		}
	}
	if snap := a.current.Load(); snap != nil {
		snap.gateway.Retire()
	}
	if a.revocations != nil {
		errs = append(errs, a.revocations.Close())
	}
	if a.redis != nil {
		errs = append(errs, a.redis.Close())
	}
	if a.db != nil {
		errs = append(errs, a.db.Close())
	}
	return errors.Join(errs...)
}

func (a *App) listen(cfg *config.Config) (err error) {
	if a.public = a.opts.Public; a.public == nil {
		if a.public, err = listen(cfg.Server.Listen, "server.listen", cfg.Server.ListenPos); err != nil {
			return err
		}
	}
	if a.admin = a.opts.Admin; a.admin == nil {
		if a.admin, err = listen(cfg.Admin.Listen, "admin.listen", cfg.Admin.ListenPos); err != nil {
			return err
		}
	}
	a.publicServer = proxy.Server(a, proxy.ServerOptions{IdleTimeout: cfg.Server.IdleTimeout, MaxHeaderBytes: int(cfg.Server.MaxHeaderBytes), Log: a.log})
	a.adminHTTP = a.adminServer(cfg)
	return nil
}

// listen opens host:port or unix:/path, and says which key to change where it can't.
func listen(address, key string, pos config.Pos) (net.Listener, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			if c, err := net.Dial("unix", path); err == nil {
				c.Close()
				return nil, fmt.Errorf("listen %s: another process answers there (%s, %s:%d:%d)", address, key, pos.File, pos.Line, pos.Col)
			}
			os.Remove(path) // left behind by a process that was killed
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		var call *os.SyscallError
		if errors.As(err, &call) {
			err = call.Err
		}
		return nil, fmt.Errorf("listen %s: %w (%s, %s:%d:%d)", address, err, key, pos.File, pos.Line, pos.Col)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o600); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

func reasonNames() []string {
	var names []string
	for _, r := range authz.Reasons() {
		names = append(names, string(r))
	}
	return names
}
