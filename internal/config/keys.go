package config

import (
	"math"
	"net/netip"
	"strings"
	"time"
)

// The tables below are the whole language of config.yaml: a key that is not here is an error. Defaults are filled in
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

type rawRedis struct {
	mode       val[string]
	addrs      val[[]val[string]]
	masterName val[string]
	user       rawRedisUser
	sentinel   rawRedisUser
	tls        val[*rawRedisTLS]
	prefix     val[string]
	budget     val[time.Duration]
}

// rawRedisUser is who logs in, at the servers or at the Sentinels.
type rawRedisUser struct{ name, password, passwordFile val[string] }

type rawRedisTLS struct{ caFile, certFile, keyFile, serverName val[string] }

var redisForm = object(
	is("mode", word([]string{"standalone", "sentinel", "cluster"}), func(s *rawRedis) *val[string] { return &s.mode }).
		says("How Redis runs.").otherwise("standalone"),
	is("addrs", some(aHostPort), func(s *rawRedis) *val[[]val[string]] { return &s.addrs }).
		says("The server; with mode sentinel some of the Sentinels, with mode cluster some of the servers. The default is for standalone alone.").otherwise("[127.0.0.1:6379]"),
	is("master_name", aText, func(s *rawRedis) *val[string] { return &s.masterName }).
		says("What the Sentinels call the master; required with mode sentinel, and for it alone.").such("gatehouse"),
	is("username", aText, func(s *rawRedis) *val[string] { return &s.user.name }).
		says("The ACL user. None by default.").such("gatehouse"),
	is("password", aPassword, func(s *rawRedis) *val[string] { return &s.user.password }).
		says("One ${NAME}: the variable that holds the password, which never stands in the file.").such("${REDIS_PASSWORD}"),
	is("password_file", aFile, func(s *rawRedis) *val[string] { return &s.user.passwordFile }).
		says("A file that holds the password.").such("redis.password"),
	is("sentinel_username", aText, func(s *rawRedis) *val[string] { return &s.sentinel.name }).
		says("The ACL user of the Sentinels, which have users of their own. None by default.").such("gatehouse"),
	is("sentinel_password", aPassword, func(s *rawRedis) *val[string] { return &s.sentinel.password }).
		says("One ${NAME}: the variable that holds the password of the Sentinels.").such("${SENTINEL_PASSWORD}"),
	is("sentinel_password_file", aFile, func(s *rawRedis) *val[string] { return &s.sentinel.passwordFile }).
		says("A file that holds the password of the Sentinels.").such("sentinel.password"),
	is("tls", object(
		is("ca_file", aFile, func(t *rawRedisTLS) *val[string] { return &t.caFile }).
			says("The certificates that Redis's must be signed by, in PEM. The system's roots by default.").such("redis-ca.pem"),
		is("cert_file", aFile, func(t *rawRedisTLS) *val[string] { return &t.certFile }).
			says("The certificate that Redis is shown, in PEM, which it asks for unless tls-auth-clients is no. Read for each connection. None by default.").such("redis.crt"),
		is("key_file", aFile, func(t *rawRedisTLS) *val[string] { return &t.keyFile }).
			says("Its key, in PEM.").such("redis.key"),
		is("server_name", aHost, func(t *rawRedisTLS) *val[string] { return &t.serverName }).
			says("The name that the certificates of all servers and Sentinels must have. The host that is dialled by default.").such("redis.internal"),
	), func(s *rawRedis) *val[*rawRedisTLS] { return &s.tls }).
		says("TLS to Redis, and to the Sentinels; {} takes the system's roots. No TLS by default.").such("{ca_file: redis-ca.pem}"),
	is("prefix", aPrefixName, func(s *rawRedis) *val[string] { return &s.prefix }).
		says("What its keys in Redis start with.").otherwise("gh"),
	is("budget", durationOf(time.Millisecond, 10*time.Second), func(s *rawRedis) *val[time.Duration] { return &s.budget }).
		says("The longest that a request may wait for Redis.").otherwise("25ms"),
).atMost("password", "password_file").atMost("sentinel_password", "sentinel_password_file")

type rawTokens struct {
	ttl       val[time.Duration]
	algorithm val[string]
	keyDir    val[string]
	signing   val[[]entry[string]]
	ringKey   val[string]
	rotation  val[*rawRotation]
	lockout   val[*rawLockout]
}

type rawLockout struct {
	failures val[int64]
	per      val[time.Duration]
}

type rawRotation struct {
	every         val[time.Duration]
	publishBefore val[time.Duration]
}

var rotationForm = object(
	is("every", durationOf(time.Second, 10*366*24*time.Hour), func(r *rawRotation) *val[time.Duration] { return &r.every }).
		says("How long a generated key signs.").otherwise("720h"),
	is("publish_before", durationOf(time.Second, 30*24*time.Hour), func(r *rawRotation) *val[time.Duration] { return &r.publishBefore }).
		says("How long it is published before it signs.").otherwise("15m"),
)

var (
	algorithms = []string{"ES256", "RS256", "PS256", "EdDSA"}
	aTTL       = durationOf(time.Second, 24*time.Hour)
	tokensForm = object(
		is("ttl", aTTL, func(t *rawTokens) *val[time.Duration] { return &t.ttl }).
			says("How long a token is good.").otherwise("10m"),
		is("algorithm", word(algorithms), func(t *rawTokens) *val[string] { return &t.algorithm }).
			says("What tokens are signed with.").otherwise("ES256"),
		is("key_dir", aFile, func(t *rawTokens) *val[string] { return &t.keyDir }).
			says("A directory of PEM or JWK files, one key each. Keys are generated by default, and kept in state.dir or, sealed, in Redis.").such("keys"),
		is("signing", mapOf(aFile, checkAlgorithm).named("^("+strings.Join(algorithms, "|")+")$"), func(t *rawTokens) *val[[]entry[string]] { return &t.signing }).
			says("Which file of key_dir signs, by algorithm. The last one in byte order by default.").such("{ES256: orders-2026.pem}"),
		is("ring_key_file", aFile, func(t *rawTokens) *val[string] { return &t.ringKey }).
			says("Seals generated keys in Redis: 32 bytes in standard base64. Make it with: openssl rand -base64 32.").such("ring.key"),
		is("rotation", rotationForm, func(t *rawTokens) *val[*rawRotation] { return &t.rotation }).
			says("How generated keys take turns.").otherwise("{}"),
		is("lockout", lockoutForm, func(t *rawTokens) *val[*rawLockout] { return &t.lockout }).
			says("How many wrong credentials by one client id at one address (IPv6: /64) lock it out there.").otherwise("{}"),
	).atMost("key_dir", "ring_key_file").atMost("key_dir", "rotation")
)

var lockoutForm = object(
	is("failures", whole(1, 1_000_000), func(l *rawLockout) *val[int64] { return &l.failures }).
		says("How many, within per.").otherwise("10"),
	is("per", durationOf(time.Second, 24*time.Hour), func(l *rawLockout) *val[time.Duration] { return &l.per }).
		says("Within how long, and for how long it is locked out.").otherwise("1m"),
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
