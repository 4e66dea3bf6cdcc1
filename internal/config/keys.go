package config

import (
	"math"
	"net/netip"
	"time"
)

// The table below, with those of its parts, is the whole language of config.yaml: a key that is not there is an error. Defaults are filled in
// where the raw values become a Config.

type rawConfig struct {
	version     val[int64]
	server      val[*rawServer]
	admin       val[*rawAdmin]
	state       val[*rawState]
	tokens      val[*rawTokens]
	revocation  val[*rawRevocation]
	clientsFile val[string]
	apisDir     val[string]
	defaults    val[*rawDefaults]
	issuers     val[[]entry[*rawIssuer]]
	apis        val[[]entry[*rawAPI]]
	audit       val[*rawAudit]
	log         val[*rawLog]
}

var configForm = object(
	is("version", aVersion, func(c *rawConfig) *val[int64] { return &c.version }).must().
		says("The version of the language that this file is written in.").such("1"),
	is("server", serverForm, func(c *rawConfig) *val[*rawServer] { return &c.server }).must().
		says("The public side: the APIs, and the token endpoint at /oauth/token."),
	is("admin", adminForm, func(c *rawConfig) *val[*rawAdmin] { return &c.admin }).
		says("Health, readiness, metrics and reload, on a listener of their own. Keep it from the public.").otherwise("{}"),
	is("state", stateForm, func(c *rawConfig) *val[*rawState] { return &c.state }).
		says("Where a node keeps its revocations and its signing keys.").otherwise("{}"),
	is("tokens", tokensForm, func(c *rawConfig) *val[*rawTokens] { return &c.tokens }).
		says("How tokens are signed, and how long they live.").otherwise("{}"),
	is("revocation", revocationForm, func(c *rawConfig) *val[*rawRevocation] { return &c.revocation }).
		says("What happens when a node has not heard of revocations for too long, with state.redis.").otherwise("{}"),
	is("clients_file", aFile, func(c *rawConfig) *val[string] { return &c.clientsFile }).must().
		says("The file that says who may ask for tokens.").such("clients.yaml"),
	is("apis_dir", aFile, func(c *rawConfig) *val[string] { return &c.apisDir }).
		says("A directory of more files, *.yaml and *.yml, each with apis alone.").such("apis.d"),
	is("defaults", defaultsForm, func(c *rawConfig) *val[*rawDefaults] { return &c.defaults }).
		says("What each API takes that does not say itself. An API's own value takes the place of the whole value here, and null there switches it off."),
	is("issuers", mapOf(issuerForm, checkName).named(aName), func(c *rawConfig) *val[[]entry[*rawIssuer]] { return &c.issuers }).
		says("Whose tokens an API may accept besides our own: authorization servers, by a name that APIs use in their issuers."),
	is("apis", apisForm, func(c *rawConfig) *val[[]entry[*rawAPI]] { return &c.apis }).
		says("The APIs, by name. An API is an audience with its scopes, its routes and its upstream."),
	is("audit", auditForm, func(c *rawConfig) *val[*rawAudit] { return &c.audit }).
		says("The trail of who got which token, was refused one, revoked or looked into one, and of what administrators did: one line of JSON each, in files that are only appended to.").otherwise("{}"),
	is("log", logForm, func(c *rawConfig) *val[*rawLog] { return &c.log }).
		says("How the process logs.").otherwise("{}"),
)

type rawServer struct {
	listen         val[string]
	publicURL      val[publicURL]
	insecureHTTP   val[bool]
	trustedProxies val[[]val[netip.Prefix]]
	idleTimeout    val[time.Duration]
	maxHeaderBytes val[int64]
	drain          val[time.Duration]
	drainDelay     val[time.Duration]
	tls            val[*rawServerTLS]
	h2c            val[bool]
}

type rawServerTLS struct {
	certFile     val[string]
	keyFile      val[string]
	clientCAFile val[string]
}

var serverForm = object(
	is("listen", aListen, func(s *rawServer) *val[string] { return &s.listen }).must().
		says("Where to listen: host:port. An empty host is every address.").such("127.0.0.1:8080"),
	is("public_url", aPublicURL, func(s *rawServer) *val[publicURL] { return &s.publicURL }).must().
		says("How callers reach it, and the issuer (iss) of tokens, exactly as written.").such("https://gate.example.com"),
	is("insecure_http", aBool, func(s *rawServer) *val[bool] { return &s.insecureHTTP }).
		says("Allows an http public_url that is not loopback: secrets cross the network unencrypted.").otherwise("false"),
	is("trusted_proxies", list(aPrefix), func(s *rawServer) *val[[]val[netip.Prefix]] { return &s.trustedProxies }).
		says("Whose X-Forwarded-* headers to believe: addresses and blocks of them.").otherwise("[]").such("[10.0.0.0/8]"),
	is("idle_timeout", aDuration, func(s *rawServer) *val[time.Duration] { return &s.idleTimeout }).
		says("How long a quiet connection, or a quiet body, is kept.").otherwise("60s"),
	is("max_header_bytes", size(4<<10, 16<<20), func(s *rawServer) *val[int64] { return &s.maxHeaderBytes }).
		says("The most that the header of one request may take.").otherwise("64KiB"),
	is("drain", aDuration, func(s *rawServer) *val[time.Duration] { return &s.drain }).
		says("How long requests in flight may take when the process ends.").otherwise("30s"),
	is("drain_delay", aDuration, func(s *rawServer) *val[time.Duration] { return &s.drainDelay }).
		says("The part of drain for which it still listens once readiness fails. It stops at once by default.").such("5s"),
	is("tls", object(
		is("cert_file", aFile, func(t *rawServerTLS) *val[string] { return &t.certFile }).must().
			says("The server's certificate and its chain, in PEM.").such("tls.crt"),
		is("key_file", aFile, func(t *rawServerTLS) *val[string] { return &t.keyFile }).must().
			says("The certificate's key, in PEM, unencrypted.").such("tls.key"),
		is("client_ca_file", aFile, func(t *rawServerTLS) *val[string] { return &t.clientCAFile }).
			says("Who signs the certificates of clients with auth: tls_client_auth, which all are asked for and nobody must have. By default none is asked for, but where a client has auth: self_signed_tls_client_auth.").such("clients-ca.pem"),
	), func(s *rawServer) *val[*rawServerTLS] { return &s.tls }).
		says("TLS on the public listener, which is plain HTTP by default. The files are read anew when they change.").such("{cert_file: tls.crt, key_file: tls.key}"),
	is("h2c", aBool, func(s *rawServer) *val[bool] { return &s.h2c }).
		says("HTTP/2 without TLS, by prior knowledge, for gRPC inside a mesh.").otherwise("false"),
)

type rawAdmin struct {
	listen    val[string]
	tokenFile val[string]
	hosts     val[[]val[string]]
	pprof     val[bool]
}

var adminForm = object(
	is("listen", anAdminListen, func(a *rawAdmin) *val[string] { return &a.listen }).
		says("Where to listen: host:port, or unix:/path.").otherwise("127.0.0.1:8081"),
	is("token_file", aFile, func(a *rawAdmin) *val[string] { return &a.tokenFile }).
		says("The bearer token for all but health and metrics. Required where the address is not loopback.").such("admin.token"),
	is("hosts", list(aHost), func(a *rawAdmin) *val[[]val[string]] { return &a.hosts }).
		says("The Hosts of all but health and metrics, besides addresses and localhost.").otherwise("[]").such("[gatehouse-admin.internal]"),
	is("pprof", aBool, func(a *rawAdmin) *val[bool] { return &a.pprof }).
		says("Go's profiles under /debug/pprof.").otherwise("false"),
)

type rawState struct {
	dir   val[string]
	redis val[*rawRedis]
}

var stateForm = object(
	is("dir", aFile, func(s *rawState) *val[string] { return &s.dir }).
		says("The directory of the journal: revocations and generated keys. It is made when it is not there, for this user alone.").otherwise("state"),
	is("redis", redisForm, func(s *rawState) *val[*rawRedis] { return &s.redis }).
		says("With it, nodes share revocations, limits and keys; it needs tokens.ring_key_file or tokens.key_dir. Without, a node is on its own."),
)

type rawRevocation struct {
	maxStaleness val[time.Duration]
	onStale      val[string]
}

var revocationForm = object(
	is("max_staleness", aDuration, func(v *rawRevocation) *val[time.Duration] { return &v.maxStaleness }).
		says("How old the last news of revocations may be.").from("revocation.max_staleness").otherwise("10m"),
	is("on_stale", word([]string{"deny", "allow"}), func(v *rawRevocation) *val[string] { return &v.onStale }).
		says("Once it is older: deny answers 503, allow goes on without.").from("revocation.on_stale").otherwise("deny"),
)

// rawDefaults are what an API takes that does not say: the same keys, of the same forms.
type rawDefaults struct {
	timeout   val[time.Duration]
	maxBody   val[int64]
	rateLimit val[[]*rawLimit]
	forward   val[*rawForward]
	health    val[*rawHealth]
	retry     val[*rawRetry]
	cors      val[*rawCORS]
}

var defaultsForm = object(
	is("timeout", aDuration, func(d *rawDefaults) *val[time.Duration] { return &d.timeout }).
		says("How long until the upstream's response headers; then 504.").such("30s"),
	is("max_body", aBodySize, func(d *rawDefaults) *val[int64] { return &d.maxBody }).
		says("The most that the body of a request may take; then 413.").such("10MiB"),
	is("rate_limit", limitsForm, func(d *rawDefaults) *val[[]*rawLimit] { return &d.rateLimit }).
		says("How many requests pass: one limit, or a list of them that all count.").such("{requests: 100, per: 1s}"),
	is("forward", forwardForm, func(d *rawDefaults) *val[*rawForward] { return &d.forward }).
		says("What of a request the upstream gets.").such("{authorization: strip, host: upstream}"),
	is("health", healthForm, func(d *rawDefaults) *val[*rawHealth] { return &d.health }).
		says("A GET to each upstream, without its base path; 2xx is well. Where none is well, all are tried.").such("{path: /healthz, interval: 5s}"),
	is("retry", retryForm, func(d *rawDefaults) *val[*rawRetry] { return &d.retry }).
		says("How often a request is sent, and after which failures. Retries are at most a fifth of the requests, and 10 a second besides.").such("{attempts: 2, on: [connect]}"),
	is("cors", corsForm, func(d *rawDefaults) *val[*rawCORS] { return &d.cors }).
		says("What pages of other origins may do. With it, preflights are answered here; without, OPTIONS is a method like others.").such(`{origins: ["https://app.example.com"], headers: [Authorization]}`),
)

var aBodySize = size(1, math.MaxInt64)

type rawAudit struct {
	enabled val[bool]
	file    val[string]
	maxSize val[int64]
	keep    val[int64]
}

var auditForm = object(
	is("enabled", aBool, func(a *rawAudit) *val[bool] { return &a.enabled }).
		says("Whether the trail is written.").otherwise("true"),
	is("file", aFile, func(a *rawAudit) *val[string] { return &a.file }).
		says("Where. audit.log in state.dir by default; full files get a number. Each process has files of its own.").such("audit.log"),
	is("max_size", size(64<<10, 1<<40), func(a *rawAudit) *val[int64] { return &a.maxSize }).
		says("The size of one file.").otherwise("64MiB"),
	is("keep", whole(1, 10_000), func(a *rawAudit) *val[int64] { return &a.keep }).
		says("How many full files stay.").otherwise("8"),
)

type rawLog struct {
	level  val[string]
	format val[string]
}

var logForm = object(
	is("level", word([]string{"debug", "info", "warn", "error"}), func(l *rawLog) *val[string] { return &l.level }).
		says("The least that is logged.").otherwise("info"),
	is("format", word([]string{"json", "text"}), func(l *rawLog) *val[string] { return &l.format }).
		says("How a line looks.").otherwise("json"),
)

// extraForm is a file of apis_dir.
var extraForm = object(
	is("apis", apisForm, func(c *rawConfig) *val[[]entry[*rawAPI]] { return &c.apis }).must().
		says("The APIs of this file, by name."),
)
