package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/config"
	"gatehouse/internal/exchange"
)

// welcome prints what dev serves and what to paste.
func (d *dev) welcome(w io.Writer, a *app.App) {
	cfg := a.Config()
	base := "http://" + a.Addr().String()
	admin := "http://" + a.AdminAddr().String()
	token := base + endpointPath(cfg, "/oauth/token")
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

	p("")
	state := "embedded state in a temporary folder"
	if d.redis != "" {
		state = "limits and revocations in Redis"
	}
	p("Gatehouse dev  %s  — %s, on this machine only. Not for production.", version, state)
	p("")
	p("  gateway    %s", base)
	p("  token      %s", token)
	p("  keys       %s%s", base, endpointPath(cfg, "/.well-known/jwks.json"))
	p("  status     %s/", admin)
	switch {
	case d.config != "":
		p("  API        %s", d.config)
	case d.upstream != "":
		p("  API        %s (every path needs app:access)", d.upstream)
	default:
		p("  demo API   built in: GET /demo/hello (demo:read)   POST /demo/echo (demo:write)")
	}
	if port := cfg.Server.PublicURL.Port(); d.config != "" && port != "" && !strings.HasSuffix(base, ":"+port) {
		p("")
		p("  note: public_url is %s, as the file has it: what reads the metadata goes there, not here", cfg.Server.Issuer)
	}
	p("")
	p("Get a token, then call the API:")
	p("")
	call := firstCall(cfg)
	p(`  TOKEN=$(curl -s -u %s -d grant_type=client_credentials %s\`, shellQuote(d.clientID+":"+d.secret), hostHeader(issuerHost(cfg), base, cfg)+audience(cfg, call))
	p(`          %s | sed 's/.*"access_token":"\([^"]*\)".*/\1/')`, token)
	p(`  curl %s-H "Authorization: Bearer $TOKEN" %s`, hostHeader(call.host, base, cfg)+call.flags(), base+call.path)
	p("")
	if d.config == "" && d.upstream == "" {
		p("See a refusal explained (this client lacks demo:write):")
		p("")
		p(`  curl -i -X POST -H "Authorization: Bearer $TOKEN" -d hi %s/demo/echo`, base)
		p("")
		p("Put it in front of your own API:")
		p("")
		p("  %s dev --upstream http://localhost:9000      # to look at it; or: dev -c config.yaml", programName())
		p("  %s init --upstream http://localhost:9000     # for keeps; or: --openapi openapi.yaml", programName())
		p("")
	}
	ready := time.Now().Format(time.TimeOnly) + " INF ready "
	for i, facts := 0, a.Facts(); i < len(facts); i += 2 {
		ready += fmt.Sprintf(" %v=%v", facts[i], facts[i+1])
	}
	p("%s", ready)
}

// call is the request that dev proposes.
type call struct{ method, host, path, audience string }

func (c call) flags() string {
	if c.method == "" || c.method == "GET" {
		return ""
	}
	return "-X " + c.method + " "
}

// firstCall is the first route that needs a token, a GET and one without wildcards where there is any.
func firstCall(cfg *config.Config) (best call) {
	score := -1
	for _, api := range cfg.APIs {
		for _, r := range api.Routes {
			s := 0
			if r.Auth != "public" {
				s += 4
			}
			if r.Method == "GET" || r.Method == "" {
				s += 2
			}
			if !strings.Contains(r.Pattern, "{") {
				s++
			}
			if s > score {
				score, best = s, call{method: r.Method, path: example(r.Pattern), audience: api.Audience}
				if len(api.Hosts) > 0 {
					best.host = api.Hosts[0]
				}
			}
		}
	}
	return best
}

// example fills the wildcards of a pattern.
func example(pattern string) string {
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		switch {
		case s == "{$}" || strings.HasSuffix(s, "...}"):
			segments[i] = ""
		case strings.HasPrefix(s, "{"):
			segments[i] = "1"
		}
	}
	return strings.Join(segments, "/")
}

func audience(cfg *config.Config, c call) string {
	if len(cfg.APIs) < 2 {
		return ""
	}
	return "-d audience=" + shellQuote(c.audience) + " "
}

// hostHeader is needed where APIs name hosts, since dev listens on an address.
func hostHeader(host, base string, cfg *config.Config) string {
	named := false
	for _, api := range cfg.APIs {
		named = named || len(api.Hosts) > 0
	}
	if !named || host == "" || "http://"+host == base {
		return ""
	}
	return "-H " + shellQuote("Host: "+host) + " "
}

func issuerHost(cfg *config.Config) string { return cfg.Server.PublicURL.Host }

// endpointPath is the path of one of our endpoints under a public_url that may have a path itself.
func endpointPath(cfg *config.Config, path string) string {
	return strings.TrimSuffix(cfg.Server.PublicURL.Path, "/") + path
}

// terminal prints one line for each finished exchange. It implements exchange.Sink.
type terminal struct {
	mu   sync.Mutex
	out  io.Writer
	find string // what follows the request id in the command that explains a refusal
}

// Finish implements exchange.Sink.
func (t *terminal) Finish(r *exchange.Record) {
	line := fmt.Sprintf("%s %-4s %d", r.Start.Format(time.TimeOnly), verdictWord(r), r.Status)
	for _, part := range []string{r.Reason, r.OAuthError, clean(r.Method + " " + r.Path)} {
		if part != "" && part != "ok" {
			line += "  " + part
		}
	}
	if r.Client != "" {
		line += "  client=" + clean(r.Client)
	}
	if r.Detail != "" {
		line += "  " + clean(r.Detail)
	}
	line += fmt.Sprintf("  %s", r.Duration.Round(10*time.Microsecond))
	if r.Verdict == exchange.Allow {
		line += "  " + r.ID
	} else {
		line += "  explain: " + programName() + " explain " + r.ID + t.find
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.out, line)
}

func verdictWord(r *exchange.Record) string {
	switch r.Verdict {
	case exchange.Allow:
		return "OK"
	case exchange.WouldDeny:
		return "WOULD DENY"
	}
	return "DENY"
}

// clean keeps control characters that a caller sent away from the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f {
			return '?'
		}
		return r
	}, s[:min(len(s), 200)])
}
