package config

import (
	"math"
	"net/netip"
	"net/url"
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
	is("version", aVersion, func(c *rawConfig) *val[int64] { return &c.version }).must(),
	is("server", serverForm, func(c *rawConfig) *val[*rawServer] { return &c.server }).must(),
	is("admin", adminForm, func(c *rawConfig) *val[*rawAdmin] { return &c.admin }),
	is("state", stateForm, func(c *rawConfig) *val[*rawState] { return &c.state }),
	is("tokens", tokensForm, func(c *rawConfig) *val[*rawTokens] { return &c.tokens }),
	is("revocation", revocationForm, func(c *rawConfig) *val[*rawRevocation] { return &c.revocation }),
	is("clients_file", aFile, func(c *rawConfig) *val[string] { return &c.clientsFile }).must(),
	is("apis_dir", aFile, func(c *rawConfig) *val[string] { return &c.apisDir }),
	is("defaults", defaultsForm, func(c *rawConfig) *val[*rawDefaults] { return &c.defaults }),
	is("issuers", mapOf(issuerForm, checkName), func(c *rawConfig) *val[[]entry[*rawIssuer]] { return &c.issuers }),
	is("apis", apisForm, func(c *rawConfig) *val[[]entry[*rawAPI]] { return &c.apis }),
	is("audit", auditForm, func(c *rawConfig) *val[*rawAudit] { return &c.audit }),
	is("log", logForm, func(c *rawConfig) *val[*rawLog] { return &c.log }),
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
	is("listen", aListen, func(s *rawServer) *val[string] { return &s.listen }).must(),
	is("public_url", aPublicURL, func(s *rawServer) *val[publicURL] { return &s.publicURL }).must(),
	is("insecure_http", aBool, func(s *rawServer) *val[bool] { return &s.insecureHTTP }),
	is("trusted_proxies", list(aPrefix), func(s *rawServer) *val[[]val[netip.Prefix]] { return &s.trustedProxies }),
	is("idle_timeout", aDuration, func(s *rawServer) *val[time.Duration] { return &s.idleTimeout }),
	is("max_header_bytes", size(4<<10, 16<<20), func(s *rawServer) *val[int64] { return &s.maxHeaderBytes }),
	is("drain", aDuration, func(s *rawServer) *val[time.Duration] { return &s.drain }),
	is("drain_delay", aDuration, func(s *rawServer) *val[time.Duration] { return &s.drainDelay }),
	is("tls", object(
		is("cert_file", aFile, func(t *rawServerTLS) *val[string] { return &t.certFile }).must(),
		is("key_file", aFile, func(t *rawServerTLS) *val[string] { return &t.keyFile }).must(),
		is("client_ca_file", aFile, func(t *rawServerTLS) *val[string] { return &t.clientCAFile }),
	), func(s *rawServer) *val[*rawServerTLS] { return &s.tls }),
	is("h2c", aBool, func(s *rawServer) *val[bool] { return &s.h2c }),
)

type rawAdmin struct {
	listen    val[string]
	tokenFile val[string]
	hosts     val[[]val[string]]
	pprof     val[bool]
}

var adminForm = object(
	is("listen", anAdminListen, func(a *rawAdmin) *val[string] { return &a.listen }),
	is("token_file", aFile, func(a *rawAdmin) *val[string] { return &a.tokenFile }),
	is("hosts", list(aHost), func(a *rawAdmin) *val[[]val[string]] { return &a.hosts }),
	is("pprof", aBool, func(a *rawAdmin) *val[bool] { return &a.pprof }),
)

type rawState struct {
	dir   val[string]
	redis val[*rawRedis]
}

var stateForm = object(
	is("dir", aFile, func(s *rawState) *val[string] { return &s.dir }),
	is("redis", redisForm, func(s *rawState) *val[*rawRedis] { return &s.redis }),
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

type rawRedisTLS struct{ caFile val[string] }

var redisForm = object(
	is("mode", word([]string{"standalone", "sentinel", "cluster"}), func(s *rawRedis) *val[string] { return &s.mode }),
	is("addrs", some(aHostPort), func(s *rawRedis) *val[[]val[string]] { return &s.addrs }),
	is("master_name", aText, func(s *rawRedis) *val[string] { return &s.masterName }),
	is("username", aText, func(s *rawRedis) *val[string] { return &s.user.name }),
	is("password", aPassword, func(s *rawRedis) *val[string] { return &s.user.password }),
	is("password_file", aFile, func(s *rawRedis) *val[string] { return &s.user.passwordFile }),
	is("sentinel_username", aText, func(s *rawRedis) *val[string] { return &s.sentinel.name }),
	is("sentinel_password", aPassword, func(s *rawRedis) *val[string] { return &s.sentinel.password }),
	is("sentinel_password_file", aFile, func(s *rawRedis) *val[string] { return &s.sentinel.passwordFile }),
	is("tls", object(
		is("ca_file", aFile, func(t *rawRedisTLS) *val[string] { return &t.caFile }),
	), func(s *rawRedis) *val[*rawRedisTLS] { return &s.tls }),
	is("prefix", aPrefixName, func(s *rawRedis) *val[string] { return &s.prefix }),
	is("budget", durationOf(time.Millisecond, 10*time.Second), func(s *rawRedis) *val[time.Duration] { return &s.budget }),
)

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
	is("every", durationOf(time.Second, 10*366*24*time.Hour), func(r *rawRotation) *val[time.Duration] { return &r.every }),
	is("publish_before", durationOf(time.Second, 30*24*time.Hour), func(r *rawRotation) *val[time.Duration] { return &r.publishBefore }),
)

var (
	algorithms = []string{"ES256", "RS256", "PS256", "EdDSA"}
	aTTL       = durationOf(time.Second, 24*time.Hour)
	tokensForm = object(
		is("ttl", aTTL, func(t *rawTokens) *val[time.Duration] { return &t.ttl }),
		is("algorithm", word(algorithms), func(t *rawTokens) *val[string] { return &t.algorithm }),
		is("key_dir", aFile, func(t *rawTokens) *val[string] { return &t.keyDir }),
		is("signing", mapOf(aFile, checkAlgorithm), func(t *rawTokens) *val[[]entry[string]] { return &t.signing }),
		is("ring_key_file", aFile, func(t *rawTokens) *val[string] { return &t.ringKey }),
		is("rotation", rotationForm, func(t *rawTokens) *val[*rawRotation] { return &t.rotation }),
		is("lockout", lockoutForm, func(t *rawTokens) *val[*rawLockout] { return &t.lockout }),
	)
)

var lockoutForm = object(
	is("failures", whole(1, 1_000_000), func(l *rawLockout) *val[int64] { return &l.failures }),
	is("per", durationOf(time.Second, 24*time.Hour), func(l *rawLockout) *val[time.Duration] { return &l.per }),
)

type rawRevocation struct {
	maxStaleness val[time.Duration]
	onStale      val[string]
}

var revocationForm = object(
	is("max_staleness", aDuration, func(v *rawRevocation) *val[time.Duration] { return &v.maxStaleness }),
	is("on_stale", word([]string{"deny", "allow"}), func(v *rawRevocation) *val[string] { return &v.onStale }),
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
	is("timeout", aDuration, func(d *rawDefaults) *val[time.Duration] { return &d.timeout }),
	is("max_body", aBodySize, func(d *rawDefaults) *val[int64] { return &d.maxBody }),
	is("rate_limit", limitsForm, func(d *rawDefaults) *val[[]*rawLimit] { return &d.rateLimit }),
	is("forward", forwardForm, func(d *rawDefaults) *val[*rawForward] { return &d.forward }),
	is("health", healthForm, func(d *rawDefaults) *val[*rawHealth] { return &d.health }),
	is("retry", retryForm, func(d *rawDefaults) *val[*rawRetry] { return &d.retry }),
	is("cors", corsForm, func(d *rawDefaults) *val[*rawCORS] { return &d.cors }),
)

var aBodySize = size(1, math.MaxInt64)

type rawForward struct {
	authorization val[string]
	host          val[string]
}

var forwardForm = object(
	is("authorization", word([]string{"strip", "keep"}, "mint"), func(f *rawForward) *val[string] { return &f.authorization }),
	is("host", word([]string{"upstream", "keep"}), func(f *rawForward) *val[string] { return &f.host }),
)

type rawAPI struct {
	rawDefaults
	audience         val[string]
	upstream         val[*url.URL]
	upstreams        val[[]val[*rawUpstream]]
	balance          val[string]
	upstreamTLS      val[*rawUpstreamTLS]
	upstreamProtocol val[string]
	breaker          val[*rawBreaker]
	scopes           val[[]entry[string]]
	algorithm        val[string]
	ttl              val[time.Duration]
	dialect          val[string]
	scopePolicy      val[string]
	issuers          val[[]val[string]]
	mode             val[string]
	revocation       val[*rawRevocation]
	hosts            val[[]val[string]]
	stripPrefix      val[string]
	openapi          val[string]
	routes           val[[]val[*rawRoute]]
}

var (
	apisForm = mapOf(apiForm, checkName)
	apiForm  = object(
		is("audience", anAudience, func(a *rawAPI) *val[string] { return &a.audience }).must(),
		is("upstream", anUpstream, func(a *rawAPI) *val[*url.URL] { return &a.upstream }),
		is("upstreams", some(upstreamForm), func(a *rawAPI) *val[[]val[*rawUpstream]] { return &a.upstreams }),
		is("balance", word([]string{"round_robin", "least_requests"}), func(a *rawAPI) *val[string] { return &a.balance }),
		is("upstream_tls", upstreamTLSForm, func(a *rawAPI) *val[*rawUpstreamTLS] { return &a.upstreamTLS }),
		is("upstream_protocol", word([]string{"http1", "http2", "h2c"}), func(a *rawAPI) *val[string] { return &a.upstreamProtocol }),
		orNull("health", healthForm, func(a *rawAPI) *val[*rawHealth] { return &a.health }),
		is("breaker", breakerForm, func(a *rawAPI) *val[*rawBreaker] { return &a.breaker }),
		orNull("retry", retryForm, func(a *rawAPI) *val[*rawRetry] { return &a.retry }),
		is("scopes", mapOf(anyText, checkScope), func(a *rawAPI) *val[[]entry[string]] { return &a.scopes }),
		is("algorithm", word(algorithms), func(a *rawAPI) *val[string] { return &a.algorithm }),
		is("ttl", aTTL, func(a *rawAPI) *val[time.Duration] { return &a.ttl }),
		is("dialect", word([]string{"rfc9068", "auth0"}), func(a *rawAPI) *val[string] { return &a.dialect }),
		is("scope_policy", word([]string{"refuse", "narrow"}), func(a *rawAPI) *val[string] { return &a.scopePolicy }),
		is("issuers", some(anIssuerName), func(a *rawAPI) *val[[]val[string]] { return &a.issuers }),
		is("mode", aMode, func(a *rawAPI) *val[string] { return &a.mode }),
		is("revocation", revocationForm, func(a *rawAPI) *val[*rawRevocation] { return &a.revocation }),
		is("hosts", some(aHost), func(a *rawAPI) *val[[]val[string]] { return &a.hosts }),
		is("strip_prefix", textIs("path", checkStripPrefix), func(a *rawAPI) *val[string] { return &a.stripPrefix }),
		orNull("rate_limit", limitsForm, func(a *rawAPI) *val[[]*rawLimit] { return &a.rateLimit }),
		orNull("timeout", aDuration, func(a *rawAPI) *val[time.Duration] { return &a.timeout }),
		orNull("max_body", aBodySize, func(a *rawAPI) *val[int64] { return &a.maxBody }),
		orNull("forward", forwardForm, func(a *rawAPI) *val[*rawForward] { return &a.forward }),
		orNull("cors", corsForm, func(a *rawAPI) *val[*rawCORS] { return &a.cors }),
		is("openapi", aFile, func(a *rawAPI) *val[string] { return &a.openapi }),
		is("routes", some(routeForm), func(a *rawAPI) *val[[]val[*rawRoute]] { return &a.routes }).must(),
		later[rawAPI]("claims"),
		later[rawAPI]("hook"),
	)
	aMode = word([]string{"enforce", "observe"})
)

type rawRoute struct {
	match         val[pattern]
	scopes        val[scopeRule]
	auth          val[string]
	mode          val[string]
	timeout       val[time.Duration]
	maxBody       val[int64]
	cost          val[int64]
	streaming     val[bool]
	upgrade       val[[]val[string]]
	closeOnExpiry val[bool]
	allowPath     val[[]val[string]]
	rateLimit     val[[]*rawLimit]
}

var routeForm = object(
	is("match", aMatch, func(t *rawRoute) *val[pattern] { return &t.match }).must(),
	is("scopes", aScopeRule, func(t *rawRoute) *val[scopeRule] { return &t.scopes }),
	is("auth", word([]string{"token", "public"}), func(t *rawRoute) *val[string] { return &t.auth }),
	is("mode", aMode, func(t *rawRoute) *val[string] { return &t.mode }),
	is("timeout", aDuration, func(t *rawRoute) *val[time.Duration] { return &t.timeout }),
	is("max_body", aBodySize, func(t *rawRoute) *val[int64] { return &t.maxBody }),
	is("cost", whole(0, maxRequests), func(t *rawRoute) *val[int64] { return &t.cost }),
	is("streaming", aBool, func(t *rawRoute) *val[bool] { return &t.streaming }),
	is("allow_path", list(word([]string{"slash", "percent", "semicolon", "double_slash"})),
		func(t *rawRoute) *val[[]val[string]] { return &t.allowPath }),
	is("rate_limit", limitsForm, func(t *rawRoute) *val[[]*rawLimit] { return &t.rateLimit }),
	is("upgrade", list(word([]string{"websocket"})), func(t *rawRoute) *val[[]val[string]] { return &t.upgrade }),
	is("close_on_expiry", aBool, func(t *rawRoute) *val[bool] { return &t.closeOnExpiry }),
)

type rawAudit struct {
	enabled val[bool]
	file    val[string]
	maxSize val[int64]
	keep    val[int64]
}

var auditForm = object(
	is("enabled", aBool, func(a *rawAudit) *val[bool] { return &a.enabled }),
	is("file", aFile, func(a *rawAudit) *val[string] { return &a.file }),
	is("max_size", size(64<<10, 1<<40), func(a *rawAudit) *val[int64] { return &a.maxSize }),
	is("keep", whole(1, 10_000), func(a *rawAudit) *val[int64] { return &a.keep }),
)

type rawLog struct {
	level  val[string]
	format val[string]
}

var logForm = object(
	is("level", word([]string{"debug", "info", "warn", "error"}), func(l *rawLog) *val[string] { return &l.level }),
	is("format", word([]string{"json", "text"}), func(l *rawLog) *val[string] { return &l.format }),
)

// extraForm is a file of apis_dir.
var extraForm = object(
	is("apis", apisForm, func(c *rawConfig) *val[[]entry[*rawAPI]] { return &c.apis }).must(),
)
