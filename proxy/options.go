package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/ratelimit"
)

// Options are what a Gateway needs. Verifier, Revocations, Clients and Limiter are required wherever a route is not
// public or has a limit; New says what is missing.
type Options struct {
	Routes []*Route
	// Own are our own endpoints by exact path. They live on the host of PublicURL, or on every host when no API names
	// one, and answer every method themselves.
	Own map[string]http.Handler
	// Documents are further endpoints of our own, by host and by exact path. A host is lower case, without port.
	Documents map[string]map[string]http.Handler
	PublicURL *url.URL

	Verifier    *authz.Verifier
	Revocations authz.Revocations
	Clients     authz.Clients
	Limiter     *ratelimit.Limiter
	// ClientLimits are the limits that clients of ours have of their own, by client: one bucket for all routes. They take the
	// place of the APIs' limits by client; those of routes stay.
	ClientLimits map[string][]*ratelimit.Policy

	// Sinks get the record of every request once its response has ended.
	Sinks []exchange.Sink
	// TrustedProxies are the peers whose X-Forwarded-* are believed. Empty: nobody's.
	TrustedProxies []netip.Prefix
	// IdleTimeout is the longest wait between bytes of a body, in either direction. Zero means a minute.
	IdleTimeout time.Duration
	// PrivateCookie is the name of a cookie that no upstream gets: cookies know hosts and not ports, so that a browser sends
	// those of the admin listener to a gateway on the same host. "": all pass.
	PrivateCookie string
	// Draining reports whether the process is about to stop, so that connections end with their next response. Nil: it never is.
	Draining func() bool
	Log      *slog.Logger     // nil: nothing is logged
	Now      func() time.Time // what tokens are judged by; nil: when the request came
	// Previous is the Gateway that this one replaces: its upstream connections are kept, and its tunnels. Nil at start.
	Previous *Gateway
}

// API is what the routes of one API share.
type API struct {
	Name string
	// Hosts are lower case, without port. Empty: the API serves the hosts that no API names.
	Hosts []string
	// StripPrefix is cut from the path before it goes to the upstream; "" cuts nothing.
	StripPrefix string
	// Upstream is the one server of the API, or Upstreams are several.
	Upstream  *url.URL
	Upstreams []Endpoint
	Balance   Balance
	Protocol  Protocol
	TLS       *UpstreamTLS // nil: the system's roots, no client certificate
	Health    *Health      // nil: no active checks
	Breaker   *Breaker     // nil: none
	Retry     *Retry       // nil: every request is sent once
	// KeepHost forwards the client's Host instead of the upstream's.
	KeepHost bool
	// Metadata is the URL of the API's metadata (RFC 9728), which challenges name; "": there is none.
	Metadata string
	// CORS is for browsers; nil: they are told nothing, and OPTIONS is a method like the others.
	CORS *CORS
}

// Route is a method and a path pattern with what they require. The zero values deny: a Policy without scopes is met by no
// token, a MaxBody of 0 takes no body.
type Route struct {
	API *API
	// Method is one method; "" serves what the path's other routes do not name. GET serves HEAD too.
	Method string
	// Pattern is a path in the words of http.ServeMux; Match is the route as the configuration writes it, for people.
	Pattern, Match string
	// Where is the place of the route in the configuration, as file:line, for traces. "": not known.
	Where string
	// Public routes read no token, and leave Authorization as it is.
	Public bool
	Policy authz.Policy
	Limits []Limit
	Cost   int64 // what one request charges to each limit
	// Observe records what would have been refused, and lets it through.
	Observe bool
	// Timeout runs until the upstream's response headers. Zero means 30 s.
	Timeout time.Duration
	// MaxBody is the longest request body, in bytes.
	MaxBody int64
	// Streaming lifts the limit on the wait between bytes of a body.
	Streaming bool
	// WebSocket routes let a client upgrade its connection. The tunnel ends when its token is revoked, and with CloseOnExpiry
	// when it expires.
	WebSocket, CloseOnExpiry bool
	// Revision stands for everything that the configuration says of the route and its API. Tunnels outlive a reload where
	// their route is there again with the same Revision. "": they never do.
	Revision string
	// Allow are the classes of unusual paths that this route takes.
	Allow Allow
	// KeepAuthorization forwards Authorization on a route that is not public.
	KeepAuthorization bool
}

// Limit is one rate limit of a route, and whom it counts.
type Limit struct {
	Policy ratelimit.Policy
	By     ratelimit.Kind
	Claim  string // the claim whose values are counted, with ratelimit.ByClaim; the Verifier must read it
	OfAPI  bool   // it is the API's, not the route's own
}

// Allow is a set of classes of paths that a route takes although they are often read in two ways. Zero: none.
type Allow uint8

// The classes.
const (
	AllowSlash       Allow = 1 << iota // %2f and %5c
	AllowPercent                       // %25
	AllowSemicolon                     // ; and %3b
	AllowDoubleSlash                   // //
)

var allowNames = [...]string{"slash", "percent", "semicolon", "double_slash"}

// ParseAllow returns the class with that name in the configuration, and 0 for any other name.
func ParseAllow(name string) Allow {
	for i, n := range allowNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// String lists the classes as the configuration writes them.
func (a Allow) String() string {
	var names []string
	for i, n := range allowNames {
		if a&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", ")
}

// check refuses options that could not serve.
func (o *Options) check() error {
	if len(o.ClientLimits) > 0 && o.Limiter == nil {
		return errors.New("clients have limits, which need a limiter")
	}
	if o.PublicURL == nil || o.PublicURL.Host == "" {
		return errors.New("the gateway needs a public URL with a host")
	}
	for _, rt := range o.Routes {
		if err := o.checkRoute(rt); err != nil {
			return fmt.Errorf("route %q: %w", rt.Match, err)
		}
	}
	return nil
}

func (o *Options) checkRoute(rt *Route) error {
	if rt.API == nil {
		return errors.New("it needs an API with an upstream")
	}
	if err := rt.API.checkUpstream(); err != nil {
		return err
	}
	if !rt.Public && (o.Verifier == nil || o.Revocations == nil || o.Clients == nil) {
		return errors.New("it checks tokens, which needs a verifier, revocations and clients")
	}
	if len(rt.Limits) > 0 && o.Limiter == nil {
		return errors.New("it has a limit, which needs a limiter")
	}
	if rt.Method == http.MethodConnect || rt.Method == http.MethodTrace {
		return fmt.Errorf("method %s is served on no route", rt.Method)
	}
	return nil
}
