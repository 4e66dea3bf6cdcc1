package app

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gatehouse/internal/exchange"
)

// quotaPause is how long a warning of one quota's level is not given again.
const quotaPause = time.Hour

// quotaLog warns when a client's use of a quota reaches 60, 80 and 100 per cent: each at most once an hour, since a client
// at its limit reaches it with every token that comes free.
type quotaLog struct {
	log *slog.Logger
	mu  sync.Mutex
	at  map[string]time.Time // by client, quota and level: as many as the configuration has quotas, three times
}

// Finish implements exchange.Sink.
func (l *quotaLog) Finish(r *exchange.Record) {
	for _, q := range r.Own.Quotas {
		for _, percent := range q.Reached {
			if l.due(fmt.Sprintf("%d %s %s", percent, q.Name, r.Client), r.Start) {
				l.log.Warn("quota", "client", r.Client, "quota", q.Name, "mode", q.Mode, "percent", percent)
			}
		}
	}
}

func (l *quotaLog) due(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, told := l.at[key]; told && now.Sub(last) < quotaPause {
		return false
	}
	l.at[key] = now
	return true
}
