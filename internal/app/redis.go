package app

import (
	"context"
	"log/slog"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/redisx"
)

func openRedis(r *config.Redis, log *slog.Logger) (*redisx.Client, error) {
	o := redisx.Options{
		Addrs: r.Addrs, MasterName: r.MasterName, Username: r.Username, Password: r.Password,
		SentinelUsername: r.SentinelUsername, SentinelPassword: r.SentinelPassword, Prefix: r.Prefix, Budget: r.Budget, Log: log,
	}
	switch r.Mode {
	case config.Sentinel:
		o.Mode = redisx.Sentinel
	case config.Cluster:
		o.Mode = redisx.Cluster
	}
	if r.TLS {
		var err error
		if o.TLS, err = redisTLS(r); err != nil {
			return nil, err
		}
	}
	return redisx.Open(o), nil
}

// judgeRedis logs once what is wrong with the Redis that answers, when one does: a version or a setting can lose what is
// kept there. It returns when every master was asked, or with ctx.
func (a *App) judgeRedis(ctx context.Context) {
	if a.redis == nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := map[string]bool{}
	for {
		warnings, err := a.redis.Warnings(ctx)
		for _, w := range warnings {
			if !told[w] {
				told[w] = true
				a.log.Warn("redis", "warning", w)
			}
		}
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
