// Package app builds the running gatehouse from a configuration: the token endpoint, the gateway, their shared state, two
// listeners, reload and drain. The command and the whole-program tests start the same App.
package app

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/audit"
	"gatehouse/internal/config"
	"gatehouse/internal/exchange"
	"gatehouse/internal/keyring"
	"gatehouse/internal/lastuse"
	"gatehouse/internal/logs"
	"gatehouse/internal/metrics"
	"gatehouse/internal/pulse"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/redisx"
	"gatehouse/internal/revoke"
	"gatehouse/proxy"
	"gatehouse/tokenep"
)

// Options say what a configuration does not.
type Options struct {
	// Load reads the configuration, at start and for each reload. Its error is config.Errors where a file is wrong; what it
	// returns beside one holds Hash and Watched, where anything could be read.
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
	// Reloaded is called at the end of each reload, whatever asked for it, with its error; nil: nobody asks.
	Reloaded func(error)
	// Watch is the time between two looks at the content of the files; 0: one second; negative: no looks.
	Watch time.Duration
}

// App is one running gatehouse. Make it with New, run it with Run, then Close it.
type App struct {
	opts    Options
	started time.Time
	log     *slog.Logger
	metrics *metrics.Metrics

	db          *bbolt.DB
	redis       *redisx.Client // nil: embedded
	audit       *audit.Log     // nil: switched off
	quotas      *quotaLog
	limited     tally
	denials     exchange.Ring
	pulse       *pulse.Pulse
	revocations *revoke.Store
	limiter     *ratelimit.Limiter
	auth        *authentication
	ring        *keyring.Ring // generated keys; nil with key_dir
	lastUse     *lastuse.Store

	current  atomic.Pointer[snapshot]
	read     atomic.Pointer[reading] // the last that was read of the files, also where it was refused
	lastLoad atomic.Pointer[adminapi.ReloadInfo]
	reload   sync.Mutex  // one reload at a time
	draining atomic.Bool // readiness fails
	ending   atomic.Bool // nothing is accepted, and connections end with their next response

	public, admin           net.Listener
	publicServer, adminHTTP *http.Server
	door                    *lastCall // the public listener as it is served
	conns                   conns     // of the public listener
}

// New loads the configuration, opens the state and both listeners, and is ready to Run. On an error nothing stays open.
func New(ctx context.Context, o Options) (_ *App, err error) {
	a := &App{opts: o, log: o.Log.Logger(), started: time.Now()}
	a.pulse = pulse.New(slices.Concat(reasonNames(), tokenep.Errors()))
	a.quotas = &quotaLog{log: a.log, at: map[string]time.Time{}}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	cfg, err := a.load()
	if err != nil {
		return nil, err
	}
	a.setLog(cfg)
	if err := a.openState(ctx, cfg); err != nil {
		return nil, err
	}
	a.metrics = metrics.New(metrics.Options{Version: o.Version, Mode: o.Mode, Reasons: reasonNames(), Errors: tokenep.Errors(), Auth: tokenep.AuthFailures(),
		Endings: proxy.Endings(), Faults: proxy.Faults()})
	a.metrics.Register(collectors(a)...)
	snap, err := a.build(ctx, cfg, nil)
	if err != nil {
		return nil, err
	}
	if err := a.listen(cfg); err != nil {
		return nil, err
	}
	a.install(snap, "start")
	a.lastLoad.Store(&adminapi.ReloadInfo{Result: "ok", Trigger: "start", At: snap.loaded.UTC()})
	a.record(audit.Event{Action: "start", Outcome: "ok", Detail: "version " + o.Version + ", config " + short(cfg.Hash)})
	return a, nil
}

// ServeHTTP serves one request by the configuration in force when it came. It keeps that one to its end.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.conns.requests.Add(1)
	defer a.requestDone()
	a.current.Load().gateway.ServeHTTP(w, r)
}

// Run serves until ctx is done, then drains: readiness fails first, then no new connections are taken, and what is in
// flight gets server.drain to finish. It returns nil after a drain, also where that cut something off.
func (a *App) Run(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go a.watch(watching)
	go a.judgeRedis(watching)
	sweeping, stopSweep := context.WithCancel(context.Background()) // to the end of the drain
	defer stopSweep()
	go a.sweep(sweeping)
	noted := make(chan struct{})
	go func() { defer close(noted); a.lastUse.Run(sweeping) }()
	defer func() { stopSweep(); <-noted }() // before the database closes
	failed := make(chan error, 2)
	go func() { failed <- a.publicServer.Serve(a.secured()) }()
	go func() { failed <- a.adminHTTP.Serve(a.admin) }()
	go debug.FreeOSMemory() // what it took to read the configuration goes back now, and not over the next minutes
	a.announce(watching)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return a.drain()
	}
}

// Config is the configuration in force.
func (a *App) Config() *config.Config { return a.current.Load().cfg }
