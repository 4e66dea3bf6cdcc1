// Package admin is the second listener: health, readiness, metrics, reload, keys, revocations, refusals, and the status page. It is for operators and probes, never for the
// callers of the APIs, and what it serves never appears on the public listener.
//
// Health, readiness and metrics ask for nothing, since probes and scrapers have nothing. Everything else takes only a
// Host that is an IP address, localhost or configured (so that no web page reaches it by rebinding its name), no request
// that a browser sent for another origin, and the admin token where one is configured: as a Bearer token, or for the page by
// its own login.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/secret"
	"gatehouse/internal/trace"
)

// Access says who may use what is not open; a reload may change it.
type Access struct {
	Token secret.Text // zero: none is asked, which the configuration allows on loopback alone
	Hosts []string    // names that Host may have besides IP addresses and localhost
}

// Options are the views that the listener shows. All funcs are called concurrently.
type Options struct {
	Access func() Access
	Ready  func() (ok bool, why string)
	Reload func() adminapi.Reloaded
	// Clients are those of the configuration in force, with the day of each one's last token.
	Clients func(context.Context) (adminapi.Clients, error)
	Status  func() adminapi.Status
	Keys    func() []adminapi.Key
	Rotate  func(context.Context, adminapi.RotateRequest) ([]adminapi.Rotation, error)
	Revoke  func(context.Context, adminapi.RevokeRequest) (adminapi.Revoked, error)
	// Denials are at most n refusals, the newest first, without their traces; Denial is one by the id of its request.
	Denials func(n int) []adminapi.Denial
	Denial  func(id string) (adminapi.Denial, bool)
	Explain func(context.Context, adminapi.ExplainRequest) (*trace.Trace, error)
	Routes  func() []adminapi.Route
	Metrics http.Handler
	// Page takes what is nothing of the above; it asks for the token itself. Login makes a link that logs a browser in there.
	Page  http.Handler
	Login func(context.Context, adminapi.LoginRequest) (adminapi.Login, error)
	Pprof bool
}

// New returns the handler of the admin listener.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "healthy") })
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if ok, why := o.Ready(); !ok {
			text(w, http.StatusServiceUnavailable, "not ready: "+why)
			return
		}
		text(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", o.Metrics)

	guarded := http.NewServeMux()
	guarded.HandleFunc("POST /api/v1/reload", o.reload)
	guarded.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, o.Status()) })
	guarded.HandleFunc("GET /api/v1/keys", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, o.Keys()) })
	guarded.HandleFunc("GET /api/v1/clients", view(o.Clients))
	guarded.HandleFunc("POST /api/v1/keys/rotate", answer(o.Rotate))
	guarded.HandleFunc("POST /api/v1/revocations", answer(o.Revoke))
	guarded.HandleFunc("GET /api/v1/denials", o.denials)
	guarded.HandleFunc("GET /api/v1/denials/{id}", o.denial)
	guarded.HandleFunc("POST /api/v1/explain", answer(o.Explain))
	guarded.HandleFunc("GET /api/v1/routes", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, o.Routes()) })
	guarded.HandleFunc("POST /api/v1/login", answer(o.Login))
	if o.Pprof {
		guarded.HandleFunc("GET /debug/pprof/", pprof.Index)
		guarded.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		guarded.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		guarded.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	}
	for _, prefix := range []string{"/api/", "/debug/", "/-/"} {
		mux.Handle(prefix, o.door(o.guard(guarded)))
	}
	mux.Handle("/", o.door(o.Page))
	return headers(mux)
}

func (o Options) reload(w http.ResponseWriter, _ *http.Request) {
	done := o.Reload()
	status := http.StatusOK
	if len(done.Errors) > 0 {
		status = http.StatusUnprocessableEntity
	}
	writeJSON(w, status, done)
}

// door keeps out what another page in the operator's browser sent.
func (o Options) door(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !knownHost(r.Host, o.Access().Hosts) {
			text(w, http.StatusForbidden, "this Host is not known here; add it to admin.hosts")
			return
		}
		if err := origin.Check(r); err != nil {
			text(w, http.StatusForbidden, "requests from other origins are refused")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// guard lets through who sends the admin token, and everybody where there is none.
func (o Options) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !authorized(r, o.Access().Token) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="gatehouse admin"`)
			text(w, http.StatusUnauthorized, "send Authorization: Bearer and the content of admin.token_file")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func authorized(r *http.Request, want secret.Text) bool {
	if want.Empty() {
		return true
	}
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return false
	}
	scheme, got, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func knownHost(host string, known []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return true
	}
	return slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, host) })
}

// policy lets a browser load the page's own style, script, picture and stream, and nothing else: nothing inline, nothing of others.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", policy)
		next.ServeHTTP(w, r)
	})
}

func text(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(line + "\n"))
}
