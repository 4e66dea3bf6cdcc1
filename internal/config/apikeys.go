package config

import (
	"net/url"
	"time"
)

// The keys of APIs and their routes.

type rawForward struct {
	authorization val[string]
	host          val[string]
}

var forwardForm = object(
	is("authorization", word([]string{"strip", "keep"}), func(f *rawForward) *val[string] { return &f.authorization }).
		says("The Authorization header. By default strip, and keep where mode is observe; public routes always keep it.").such("strip"),
	is("host", word([]string{"upstream", "keep"}), func(f *rawForward) *val[string] { return &f.host }).
		says("Whose Host header the upstream gets: its own, or the caller's.").otherwise("upstream"),
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
	claims           val[[]entry[[]claimPart]]
	hook             val[*rawHook]
	routes           val[[]val[*rawRoute]]
}

var (
	apisForm = mapOf(apiForm, checkName).named(aName)
	apiForm  = object(
		is("audience", anAudience, func(a *rawAPI) *val[string] { return &a.audience }).must().
			says("What clients ask a token for, and the aud of tokens; best a URL. See hosts.").such("https://api.example.com/orders"),
		is("upstream", anUpstream, func(a *rawAPI) *val[*url.URL] { return &a.upstream }).
			says("Where requests go. A path here is put in front of theirs.").such("http://127.0.0.1:9001"),
		is("upstreams", some(upstreamForm), func(a *rawAPI) *val[[]val[*rawUpstream]] { return &a.upstreams }).
			says("Several, in place of upstream.").such(`[{url: "http://127.0.0.1:9001", weight: 2}, {url: "http://127.0.0.1:9002"}]`),
		is("balance", word([]string{"round_robin", "least_requests"}), func(a *rawAPI) *val[string] { return &a.balance }).
			says("How one of several is chosen: in turn by weight, or the less busy of two that are drawn by weight.").otherwise("round_robin"),
		is("upstream_tls", upstreamTLSForm, func(a *rawAPI) *val[*rawUpstreamTLS] { return &a.upstreamTLS }).
			says("How https upstreams are verified, and what they are shown. They are always verified.").such("{ca_file: up-ca.pem, cert_file: up.crt, key_file: up.key, server_name: orders.internal}"),
		is("upstream_protocol", word([]string{"http1", "http2", "h2c"}), func(a *rawAPI) *val[string] { return &a.upstreamProtocol }).
			says("What upstreams speak: http2 needs https, h2c (HTTP/2 without TLS) http.").otherwise("http1"),
		orNull("health", healthForm, func(a *rawAPI) *val[*rawHealth] { return &a.health }).
			says("A GET to each upstream, without its base path; 2xx is well. Where none is well, all are tried.").from("defaults.health").such("{path: /healthz, interval: 5s, timeout: 2s, healthy_after: 2, unhealthy_after: 3}"),
		is("breaker", breakerForm, func(a *rawAPI) *val[*rawBreaker] { return &a.breaker }).
			says("So many failures of an upstream in a row (no answer, or 502, 503, 504) stop requests to it for so long; then one finds out.").such("{failures: 5, open_for: 10s}"),
		orNull("retry", retryForm, func(a *rawAPI) *val[*rawRetry] { return &a.retry }).
			says("How often a request is sent, and after which failures. Retries are at most a fifth of the requests, and 10 a second besides.").from("defaults.retry").such("{attempts: 2, on: [connect]}"),
		is("scopes", mapOf(anyText, checkScope).named(scopeText.String()), func(a *rawAPI) *val[[]entry[string]] { return &a.scopes }).
			says("Every scope that a route or a grant may name, with a line for people.").such("{orders:read: List and read orders}"),
		is("algorithm", word(algorithms), func(a *rawAPI) *val[string] { return &a.algorithm }).
			says("What this API's tokens are signed with.").from("tokens.algorithm"),
		is("ttl", aTTL, func(a *rawAPI) *val[time.Duration] { return &a.ttl }).
			says("How long this API's tokens are good.").from("tokens.ttl"),
		is("dialect", word([]string{"rfc9068", "auth0"}), func(a *rawAPI) *val[string] { return &a.dialect }).
			says("Which claims a token has: those of RFC 9068, or Auth0's.").otherwise("rfc9068"),
		is("scope_policy", word([]string{"refuse", "narrow"}), func(a *rawAPI) *val[string] { return &a.scopePolicy }).
			says("What a scope does that was asked for and is not granted: the request is refused, or the scope left out.").otherwise("refuse"),
		is("issuers", some(anIssuerName), func(a *rawAPI) *val[[]val[string]] { return &a.issuers }).
			says("Whose tokens count: local is our own, the rest stand under issuers.").otherwise("[local]"),
		is("mode", aMode, func(a *rawAPI) *val[string] { return &a.mode }).
			says("observe lets through and counts what it would have refused.").otherwise("enforce"),
		is("revocation", revocationForm, func(a *rawAPI) *val[*rawRevocation] { return &a.revocation }).
			says("This API's own revocation.").from("revocation"),
		is("hosts", some(aHost), func(a *rawAPI) *val[[]val[string]] { return &a.hosts }).
			says("The hosts on which this API is. By default every host that no API names. Where the audience is a URL on one of them, or on the host of public_url, its metadata is at /.well-known/oauth-protected-resource and its path (RFC 9728).").such("[api.example.com]"),
		is("strip_prefix", textIs("path", checkStripPrefix).like("^/.*[^/]$"), func(a *rawAPI) *val[string] { return &a.stripPrefix }).
			says("Taken off the path before the upstream sees it; match is the path outside.").such("/orders"),
		orNull("rate_limit", limitsForm, func(a *rawAPI) *val[[]*rawLimit] { return &a.rateLimit }).
			says("How many requests pass: one limit, or a list of them that all count.").from("defaults.rate_limit").such("{requests: 100, per: 1s, burst: 200, by: client}"),
		orNull("timeout", aDuration, func(a *rawAPI) *val[time.Duration] { return &a.timeout }).
			says("How long until the upstream's response headers; then 504.").from("defaults.timeout").otherwise("30s"),
		orNull("max_body", aBodySize, func(a *rawAPI) *val[int64] { return &a.maxBody }).
			says("The most that the body of a request may take; then 413.").from("defaults.max_body").otherwise("10MiB"),
		orNull("forward", forwardForm, func(a *rawAPI) *val[*rawForward] { return &a.forward }).
			says("What of a request the upstream gets.").from("defaults.forward").otherwise("{}").such("{authorization: strip, host: upstream}"),
		orNull("cors", corsForm, func(a *rawAPI) *val[*rawCORS] { return &a.cors }).
			says("What pages of other origins may do. With it, preflights are answered here; without, OPTIONS is a method like others.").from("defaults.cors").such(`{origins: ["https://app.example.com"], headers: [Authorization]}`),
		is("openapi", aFile, func(a *rawAPI) *val[string] { return &a.openapi }).
			says("The OpenAPI document that describes this API. check fails where its operations and the routes have come apart; run warns and serves by the routes.").such("orders.openapi.yaml"),
		is("routes", some(routeForm), func(a *rawAPI) *val[[]val[*rawRoute]] { return &a.routes }).must().
			says("Which requests pass, and what they need. A path that no route has is 404, another method on a path is 405."),
		is("claims", claimsForm, func(a *rawAPI) *val[[]entry[[]claimPart]] { return &a.claims }).
			says("Further claims of this API's tokens, by absolute URI. A value may hold {client.id}, {api.name} and {api.audience}; {{ is a brace.").such(`{"https://example.com/team": "{client.id}"}`),
		is("hook", hookForm, func(a *rawAPI) *val[*rawHook] { return &a.hook }).
			says("Who is asked before a token of this API is issued: it may narrow its scopes, add claims, or deny. Without an answer there is no token.").such("{url: https://hooks.example.com/token, secret_file: hook.key, timeout: 2s}"),
	).oneOf("upstream", "upstreams")
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
	is("match", aMatch, func(t *rawRoute) *val[pattern] { return &t.match }).must().
		says("[METHOD] PATTERN, in the words of Go's http.ServeMux: {name} is a segment, {name...} the rest, {$} the end, a trailing / everything below. The most specific path wins, then its methods.").such("GET /orders/{id}"),
	is("scopes", aScopeRule, func(t *rawRoute) *val[scopeRule] { return &t.scopes }).
		says("What a token must have: all of a list; or all of all, and one member of any, in which a list is needed as a whole.").such("[orders:read]"),
	is("auth", word([]string{"token", "public"}), func(t *rawRoute) *val[string] { return &t.auth }).
		says("In place of scopes: token is any token for this API; public reads no token.").such("token"),
	is("mode", aMode, func(t *rawRoute) *val[string] { return &t.mode }).
		says("observe lets through and counts what it would have refused.").from("apis.*.mode"),
	is("timeout", aDuration, func(t *rawRoute) *val[time.Duration] { return &t.timeout }).
		says("How long until the upstream's response headers; then 504.").from("apis.*.timeout"),
	is("max_body", aBodySize, func(t *rawRoute) *val[int64] { return &t.maxBody }).
		says("The most that the body of a request may take; then 413.").from("apis.*.max_body"),
	is("cost", whole(0, maxRequests), func(t *rawRoute) *val[int64] { return &t.cost }).
		says("What one request takes from each limit.").otherwise("1"),
	is("streaming", aBool, func(t *rawRoute) *val[bool] { return &t.streaming }).
		says("No limit on the time between two parts of a body.").otherwise("false"),
	is("allow_path", list(word([]string{"slash", "percent", "semicolon", "double_slash"})),
		func(t *rawRoute) *val[[]val[string]] { return &t.allowPath }).
		says("What a path may hold that is refused otherwise.").otherwise("[]").such("[percent, semicolon]"),
	is("rate_limit", limitsForm, func(t *rawRoute) *val[[]*rawLimit] { return &t.rateLimit }).
		says("Limits of this route, besides the API's: one, or a list of them.").such("{requests: 20, per: 1s}"),
	is("upgrade", list(word([]string{"websocket"})), func(t *rawRoute) *val[[]val[string]] { return &t.upgrade }).
		says("What a connection may become; anything else is 403.").otherwise("[]").such("[websocket]"),
	is("close_on_expiry", aBool, func(t *rawRoute) *val[bool] { return &t.closeOnExpiry }).
		says("A WebSocket ends with its token; else it ends when that is revoked.").otherwise("false"),
).oneOf("scopes", "auth")
