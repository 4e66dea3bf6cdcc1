package app

import (
	"log/slog"
	"net/http"
	"time"

	"gatehouse/internal/admin"
	"gatehouse/internal/adminapi"
	"gatehouse/internal/config"
	"gatehouse/internal/pulse"
	"gatehouse/internal/secret"
	"gatehouse/internal/statuspage"
)

// adminServer serves the admin API and the status page, which show the same and do the same.
func (a *App) adminServer(cfg *config.Config) *http.Server {
	reload := func() adminapi.Reloaded {
		summary, err := a.Reload("api")
		return adminapi.Reloaded{Result: summary, Errors: problems(err), Loaded: a.current.Load().loaded}
	}
	page := statuspage.New(statuspage.Options{
		Token:           func() secret.Text { return a.current.Load().cfg.Admin.Token },
		Status:          a.status,
		Pulse:           func() pulse.View { return a.pulse.View(time.Now()) },
		Routes:          a.listRoutes,
		Clients:         a.clientViews,
		LastTokens:      a.listClients,
		LimitUse:        a.limitUse,
		Keys:            a.listKeys,
		CertificateEnds: a.certificateEnds,
		Denials:         a.denialsNow,
		Denial:          a.denialOf,
		Explain:         a.explain,
		Reload:          reload,
		Rotate:          a.rotateKeys,
		Revoke:          a.revoke,
		Draining:        a.draining.Load,
	})
	return &http.Server{
		Handler: admin.New(admin.Options{
			Access: func() admin.Access {
				c := a.current.Load().cfg.Admin
				return admin.Access{Token: c.Token, Hosts: c.Hosts}
			},
			Ready:   a.Ready,
			Status:  a.status,
			Keys:    a.listKeys,
			Rotate:  a.rotateKeys,
			Revoke:  a.revoke,
			Denials: a.denialsNow,
			Denial:  a.denialOf,
			Explain: a.explain,
			Routes:  a.listRoutes,
			Clients: a.listClients,
			Metrics: a.metrics.Handler(),
			Page:    page,
			Login:   page.Login,
			Pprof:   cfg.Admin.Pprof,
			Reload:  reload,
		}),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
}

// listRoutes is GET /api/v1/routes.
func (a *App) listRoutes() []adminapi.Route {
	now := time.Now()
	list := []adminapi.Route{}
	for _, row := range Routes(a.current.Load().cfg) {
		p := a.pulse.Route(pulse.Key{API: row.API, Match: row.Match}, now)
		r := adminapi.Route{API: row.API, Match: row.Match, Method: row.Method, Pattern: row.Pattern, Auth: row.Auth, Needs: row.Needs(), Limits: row.Limits,
			Upstreams: row.Upstreams, Observe: row.Observe, Where: row.Where, Requests: p.Requests, Denied: p.Denied, Failed: p.Failed, P95: p.P95.Seconds()}
		if !p.Last.IsZero() {
			r.Last = p.Last.UTC()
		}
		list = append(list, r)
	}
	return list
}

func routeKeys(cfg *config.Config) (keys []pulse.Key) {
	for _, api := range cfg.APIs {
		for _, r := range api.Routes {
			keys = append(keys, pulse.Key{API: api.Name, Match: r.Match})
		}
	}
	return keys
}

// certificateEnds is when the certificate of the public listener does; zero without TLS.
func (a *App) certificateEnds() time.Time {
	t := a.current.Load().cfg.Server.TLS
	if t == nil || t.Certificate.Leaf == nil {
		return time.Time{}
	}
	return t.Certificate.Leaf.NotAfter
}
