package exchange

import (
	"context"
	"log/slog"
	"time"

	"gatehouse/internal/trace"
)

// maxField bounds what a caller can make us write in one field of a log line, in bytes.
const maxField = 256

// AccessLog writes one line for each finished exchange: at level info, and at warn where we ourselves failed (5xx). The
// query, headers and bodies are never part of it, and of the path that part is not which looks like a secret or a token.
type AccessLog struct{ Log *slog.Logger }

// Finish implements Sink.
func (a AccessLog) Finish(r *Record) {
	level := slog.LevelInfo
	if r.Status >= 500 {
		level = slog.LevelWarn
	}
	ctx := context.Background()
	if !a.Log.Enabled(ctx, level) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 24),
		slog.String("request_id", r.ID),
		slog.String("method", short(trace.Logged(r.Method))),
		slog.String("host", short(trace.Logged(r.Host))),
		slog.String("path", short(trace.Logged(r.Path))),
		slog.Int("status", r.Status),
		slog.String("decision", r.Verdict.String()),
		slog.Float64("ms", millis(r.Duration)),
		slog.Int64("bytes_in", r.BytesIn),
		slog.Int64("bytes_out", r.BytesOut),
		slog.String("remote", r.Remote))
	for _, f := range [...]struct{ name, value string }{
		{"reason", r.Reason}, {"detail", r.Detail}, {"api", r.API}, {"route", r.Route}, {"endpoint", r.Endpoint},
		{"client", r.Client}, {"issuer", r.Issuer}, {"token_id", r.TokenID}, {"scopes", r.Scopes},
		{"required", r.Required}, {"oauth_error", r.OAuthError}, {"auth_failure", r.AuthFailure}, {"limit", r.Limit}, {"limit_source", r.LimitSource},
		{"closed", r.Closed}, {"upstream", r.Server}, {"upstream_error", r.UpstreamError}, {"upstream_detail", r.UpstreamDetail},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.name, short(f.value)))
		}
	}
	if r.Attempts > 1 {
		attrs = append(attrs, slog.Int("attempts", r.Attempts))
	}
	if r.Upstream > 0 {
		attrs = append(attrs, slog.Float64("upstream_ms", millis(r.Upstream)))
	}
	a.Log.LogAttrs(ctx, level, "exchange", attrs...)
}

func short(s string) string {
	if len(s) > maxField {
		return s[:maxField] + "…"
	}
	return s
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
