// Package statuspage is the page for people on the admin listener: is it up, what is loaded, who was refused and why. The server
// renders all of it, so that it works without JavaScript; with JavaScript one stream of events replaces what has changed.
//
// It shows what the admin API answers and does what the admin API does. Where an admin token is configured, a browser logs in
// with it. It never shows a token, a secret or a signature.
package statuspage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"sync/atomic"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/pulse"
	"gatehouse/internal/secret"
	"gatehouse/internal/trace"
)

//go:embed templates assets
var files embed.FS

// Options are the views that the page shows and the acts that it offers. All funcs are called concurrently; none may be nil.
type Options struct {
	// Token is the admin token in force. Empty: the page asks for none, which the configuration allows on loopback alone.
	Token   func() secret.Text
	Status  func() adminapi.Status
	Pulse   func() pulse.View
	Routes  func() []adminapi.Route
	Clients func() []Client
	// LastTokens are the days on which clients were last issued a token. It may ask Redis.
	LastTokens func(context.Context) (adminapi.Clients, error)
	// LimitUse is what is left of the limits that count a client. It may ask Redis.
	LimitUse func(ctx context.Context, client string) []Use
	Keys     func() []adminapi.Key
	// CertificateEnds is when the certificate of the public listener does; zero without one.
	CertificateEnds func() time.Time
	Denials         func(n int) []adminapi.Denial
	Denial          func(id string) (adminapi.Denial, bool)
	Explain         func(context.Context, adminapi.ExplainRequest) (*trace.Trace, error)
	Reload          func() adminapi.Reloaded
	Rotate          func(context.Context, adminapi.RotateRequest) ([]adminapi.Rotation, error)
	Revoke          func(context.Context, adminapi.RevokeRequest) (adminapi.Revoked, error)
	// Draining reports that the process is about to end: streams end, and none begins.
	Draining func() bool
}

// Client is one client of ours as it is shown.
type Client struct {
	ID       string
	Where    string // file:line
	Disabled bool
	Auth     string // how it authenticates; "": by secret
	Grants   []Grant
	Secrets  []Secret
	Keys     string // where the keys of its assertions, or of its certificates, come from; "": it has none
	Subject  string // what its certificate must name; "": nothing
	Limits   []string
	TokenURL string // of the token endpoint
}

// Grant is what a client may ask for at one API.
type Grant struct {
	API, Audience string
	Scopes        []string
}

// Use is how much of a limit a client has used.
type Use struct {
	What, Limit string // what is counted, and how much of it may be
	Left, Of    int64  // how many could be at this moment, of how many after a pause
	Share       bool   // Redis is away: Left is of this node's share
	Unknown     bool   // Redis is away, and nobody counts
}

// Secret is one secret of a client, without any part of it.
type Secret struct {
	Created, Note       string // as the file has them
	NotBefore, NotAfter time.Time
}

// Page is the status page. Make it with New.
type Page struct {
	o        Options
	handler  http.Handler
	sessions sessions
	notices  notices
	open     string // the token of forms where nobody logs in
	assets   map[string]asset
	streams  atomic.Int64
	patience time.Duration // for whoever reads a stream
}

type asset struct {
	content     []byte
	kind, label string // content type; a name that changes with the content
}

// New returns the page. It expects to be called only for requests whose Host and origin are known to be good.
func New(o Options) *Page {
	p := &Page{o: o, open: rand.Text(), assets: map[string]asset{}, patience: streamWrite}
	p.sessions.init(o.Token)
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		content, err := files.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // embedded
		}
		sum := sha256.Sum256(content)
		p.assets[name] = asset{content, kind, name + "?" + hex.EncodeToString(sum[:4])}
	}
	p.handler = p.routes()
	return p
}

func (p *Page) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", p.asset)
	mux.HandleFunc("GET /login", p.loginForm)
	mux.HandleFunc("POST /login", p.login)
	for path, name := range map[string]string{"/{$}": "overview", "/routes": "routes", "/denials": "denials", "/denials/{id}": "denial",
		"/clients": "clients", "/clients/one": "client", "/keys": "keys"} {
		mux.HandleFunc("GET "+path, p.known(func(w http.ResponseWriter, r *http.Request, v visitor) { p.show(w, r, v, name) }))
	}
	mux.HandleFunc("GET /events", p.known(p.stream))
	mux.HandleFunc("POST /logout", p.act(p.logout))
	mux.HandleFunc("POST /routes/try", p.act(p.try))
	mux.HandleFunc("POST /reload", p.act(p.reload))
	mux.HandleFunc("POST /clients/revoke", p.act(p.revoke))
	mux.HandleFunc("POST /keys/rotate", p.act(p.rotate))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.problem(w, http.StatusNotFound, "There is no such page", "The overview is where everything begins.")
	})
	return mux
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Referrer-Policy", "same-origin") // stricter ones have browsers hide the origin of forms from us
	p.handler.ServeHTTP(w, r)
}

func (p *Page) asset(w http.ResponseWriter, r *http.Request) {
	a, ok := p.assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}

// known lets through who is logged in, or need not be. Others are sent to the login, and come back from there.
func (p *Page) known(next func(http.ResponseWriter, *http.Request, visitor)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, ok := p.visitor(r)
		switch {
		case ok:
			next(w, r, v)
		case r.URL.Path == "/events":
			http.Error(w, "log in first", http.StatusUnauthorized)
		default:
			http.Redirect(w, r, "/login?next="+escapeQuery(r.URL.RequestURI()), http.StatusSeeOther)
		}
	}
}
