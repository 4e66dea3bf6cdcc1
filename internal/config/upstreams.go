package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/secret"
)

// The defaults of health, breaker and retry.
const (
	defaultHealthPath     = "/healthz"
	defaultHealthInterval = 5 * time.Second
	defaultHealthTimeout  = 2 * time.Second
	defaultHealthyAfter   = 2
	defaultUnhealthyAfter = 3
	defaultBreakAfter     = 5
	defaultOpenFor        = 10 * time.Second
	defaultAttempts       = 2
)

type rawUpstream struct {
	url    val[*url.URL]
	weight val[int64]
}

var upstreamForm = object(
	is("url", anUpstream, func(u *rawUpstream) *val[*url.URL] { return &u.url }).must().
		says("Where it is. A path here is put in front of the request's.").such("http://127.0.0.1:9001"),
	is("weight", whole(1, 1000), func(u *rawUpstream) *val[int64] { return &u.weight }).
		says("Its share.").otherwise("1"),
)

type rawUpstreamTLS struct {
	caFile     val[string]
	certFile   val[string]
	keyFile    val[string]
	serverName val[string]
}

var upstreamTLSForm = object(
	is("ca_file", aFile, func(t *rawUpstreamTLS) *val[string] { return &t.caFile }).
		says("The certificates that upstreams' must be signed by, in PEM. The system's roots by default.").such("up-ca.pem"),
	is("cert_file", aFile, func(t *rawUpstreamTLS) *val[string] { return &t.certFile }).
		says("The certificate that upstreams are shown, in PEM. None by default.").such("up.crt"),
	is("key_file", aFile, func(t *rawUpstreamTLS) *val[string] { return &t.keyFile }).
		says("Its key, in PEM.").such("up.key"),
	is("server_name", aHost, func(t *rawUpstreamTLS) *val[string] { return &t.serverName }).
		says("The name that their certificate must have. The URL's host by default.").such("orders.internal"),
)

type rawHealth struct {
	path           val[string]
	interval       val[time.Duration]
	timeout        val[time.Duration]
	healthyAfter   val[int64]
	unhealthyAfter val[int64]
}

var healthForm = object(
	is("path", textIs("path", checkHealthPath).like("^/"), func(h *rawHealth) *val[string] { return &h.path }).
		says("What is asked for; it may have a query.").otherwise("/healthz"),
	is("interval", durationOf(100*time.Millisecond, time.Hour), func(h *rawHealth) *val[time.Duration] { return &h.interval }).
		says("The time between two checks.").otherwise("5s"),
	is("timeout", durationOf(10*time.Millisecond, time.Minute), func(h *rawHealth) *val[time.Duration] { return &h.timeout }).
		says("How long one may take.").otherwise("2s"),
	is("healthy_after", whole(1, 100), func(h *rawHealth) *val[int64] { return &h.healthyAfter }).
		says("How many good ones in a row change the verdict.").otherwise("2"),
	is("unhealthy_after", whole(1, 100), func(h *rawHealth) *val[int64] { return &h.unhealthyAfter }).
		says("How many bad ones in a row change the verdict.").otherwise("3"),
)

// checkHealthPath judges what a health check asks for: an origin-form target, which may have a query.
func checkHealthPath(s string) error {
	u, err := url.Parse(s)
	if err != nil || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.Contains(s, "#") ||
		strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) || !canonical(u.Path) {
		return fmt.Errorf("%q is not a path to ask for — such as /healthz, or /healthz?full=1", clipText(s))
	}
	return nil
}

type rawBreaker struct {
	failures val[int64]
	openFor  val[time.Duration]
}

var breakerForm = object(
	is("failures", whole(1, 1_000_000), func(b *rawBreaker) *val[int64] { return &b.failures }).
		says("How many in a row.").otherwise("5"),
	is("open_for", durationOf(100*time.Millisecond, time.Hour), func(b *rawBreaker) *val[time.Duration] { return &b.openFor }).
		says("For how long requests stop.").otherwise("10s"),
)

type rawRetry struct {
	attempts val[int64]
	on       val[[]val[string]]
}

var retryForm = object(
	is("attempts", whole(1, 10), func(t *rawRetry) *val[int64] { return &t.attempts }).
		says("How often a request is sent in all, to another upstream where there is one.").otherwise("2"),
	is("on", some(aFailure), func(t *rawRetry) *val[[]val[string]] { return &t.on }).
		says("After which failures. After connect nothing was sent; after the others (reset: the connection broke before an answer) only GET, HEAD, OPTIONS, PUT and DELETE without a body are sent again.").otherwise("[connect]"),
)

var failures = []string{"connect", "reset", "502", "503", "504"}

// aFailure is a word or a status code, which needs no quotes.
var aFailure = form[string]{shape{kind: "word", words: failures}, func(r *reader, n node) (string, bool) {
	s, _, ok := r.scalar(n, "a word")
	if ok && !slices.Contains(failures, s) {
		r.fail(n, "%q is no failure after which a request is sent again — write connect, reset, 502, 503 or 504", clipText(n.Value))
		ok = false
	}
	return s, ok
}}

// buildUpstreams turns what an API says of its upstreams into their final form.
func (r *reader) buildUpstreams(e entry[*rawAPI], out *API, defaults *rawDefaults) {
	a := e.v
	switch {
	case a.upstream.present() && a.upstreams.present():
		r.fail(a.upstreams.at, "upstream and upstreams exclude each other — remove one")
	case !a.upstream.present() && !a.upstreams.present():
		r.fail(e.at, "missing required key %q, or %q for several", "upstream", "upstreams")
	}
	if a.upstream.set {
		out.Upstreams = []Upstream{{URL: a.upstream.v, Weight: 1}}
	}
	first := make(map[string]node)
	for _, u := range a.upstreams.v {
		if !u.v.url.set {
			continue
		}
		name := strings.TrimSuffix(u.v.url.v.String(), "/")
		if other, twice := first[name]; twice {
			r.fail(u.v.url.at, "stands there already, at %s — give that one a weight", other.ref())
		}
		first[name] = u.v.url.at
		out.Upstreams = append(out.Upstreams, Upstream{URL: u.v.url.v, Weight: int(u.v.weight.or(1))})
	}
	out.Balance = a.balance.or("round_robin")
	out.UpstreamProtocol = a.upstreamProtocol.or("http1")
	r.checkProtocol(a, out)
	out.UpstreamTLS = r.upstreamTLS(a, out)
	out.Health = healthOf(inherited(a.health, defaults.health).v)
	out.Retry = retryOf(inherited(a.retry, defaults.retry).v)
	if b := a.breaker.v; b != nil {
		out.Breaker = &Breaker{Failures: int(b.failures.or(defaultBreakAfter)), OpenFor: b.openFor.or(defaultOpenFor)}
	}
}

// checkProtocol reports a protocol that an upstream's scheme excludes.
func (r *reader) checkProtocol(a *rawAPI, out *API) {
	for _, u := range out.Upstreams {
		switch {
		case out.UpstreamProtocol == "http2" && u.URL.Scheme != "https":
			r.fail(a.upstreamProtocol.at, "http2 needs https, and %s is http — write h2c, which is HTTP/2 without TLS", u.URL)
			return
		case out.UpstreamProtocol == "h2c" && u.URL.Scheme != "http":
			r.fail(a.upstreamProtocol.at, "h2c is HTTP/2 without TLS, and %s is https — write http2", u.URL)
			return
		}
	}
}

// upstreamTLS reads the files of upstream_tls; nil where the API has none.
func (r *reader) upstreamTLS(a *rawAPI, api *API) *UpstreamTLS {
	raw := a.upstreamTLS.v
	if raw == nil {
		return nil
	}
	if i := slices.IndexFunc(api.Upstreams, func(u Upstream) bool { return u.URL.Scheme != "https" }); i >= 0 {
		r.fail(a.upstreamTLS.at, "is for https, and %s is http — write https there, or remove upstream_tls", api.Upstreams[i].URL)
	}
	out := &UpstreamTLS{ServerName: raw.serverName.v}
	if raw.caFile.set {
		path := near(raw.caFile.at, raw.caFile.v)
		content, err := r.files.file(path, maxSmall)
		switch {
		case err != nil:
			r.fail(raw.caFile.at, "%v", err)
		case !x509.NewCertPool().AppendCertsFromPEM(content):
			r.fail(raw.caFile.at, "%s holds no PEM certificate", path)
		}
		out.CA = content
	}
	out.Certificate, out.Key = r.shownPair(raw.certFile, raw.keyFile)
	return out
}

// shownPair reads a certificate that is shown to others, and its key; neither of which is set where the other is missing.
func (r *reader) shownPair(certAt, keyAt val[string]) (cert []byte, key secret.Text) {
	switch {
	case certAt.present() && !keyAt.present():
		r.fail(certAt.at, "a certificate needs its key — add key_file")
	case keyAt.present() && !certAt.present():
		r.fail(keyAt.at, "a key needs its certificate — add cert_file")
	}
	if !certAt.set || !keyAt.set {
		return nil, key
	}
	certFile, keyFile := near(certAt.at, certAt.v), near(keyAt.at, keyAt.v)
	cert, certErr := r.files.file(certFile, maxSmall)
	text, keyErr := r.files.file(keyFile, maxSmall)
	if certErr != nil {
		r.fail(certAt.at, "%v", certErr)
	}
	if keyErr != nil {
		r.fail(keyAt.at, "%v", keyErr)
	}
	if errors.Join(certErr, keyErr) != nil {
		return nil, key
	}
	r.warnOpenFile(keyAt.at, keyFile)
	pair, err := tls.X509KeyPair(cert, text)
	if err != nil {
		r.fail(certAt.at, "%s and %s are no certificate and its key, both in PEM: %s", certFile, keyFile, strings.TrimPrefix(err.Error(), "tls: "))
		return nil, key
	}
	if pair.Leaf != nil && time.Now().After(pair.Leaf.NotAfter) {
		r.warn(certAt.at, "the certificate in %s has expired on %s", certFile, pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	return cert, secret.Hide(string(text))
}

func healthOf(raw *rawHealth) *Health {
	if raw == nil {
		return nil
	}
	return &Health{Path: raw.path.or(defaultHealthPath), Interval: raw.interval.or(defaultHealthInterval), Timeout: raw.timeout.or(defaultHealthTimeout),
		HealthyAfter: int(raw.healthyAfter.or(defaultHealthyAfter)), UnhealthyAfter: int(raw.unhealthyAfter.or(defaultUnhealthyAfter))}
}

func retryOf(raw *rawRetry) *Retry {
	if raw == nil {
		return nil
	}
	out := &Retry{Attempts: int(raw.attempts.or(defaultAttempts)), On: []string{"connect"}}
	if raw.on.set {
		out.On = plainList(raw.on)
	}
	return out
}

// checkUpstreams reports upstreams that are this gateway itself, and warns of those that are reached in the clear.
func (r *reader) checkUpstreams(a *rawAPI, raw *rawConfig, c *Config, ours func() []netip.Addr) {
	r.checkUpstream(a.upstream, raw, c, ours)
	for _, u := range a.upstreams.v {
		r.checkUpstream(u.v.url, raw, c, ours)
	}
}
