package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/config"
	"gatehouse/internal/exchange"
	"gatehouse/internal/hook"
	"gatehouse/internal/keyring"
	"gatehouse/internal/lastuse"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/revoke"
	"gatehouse/internal/statedb"
	"gatehouse/internal/statuspage"
	"gatehouse/internal/token"
	"gatehouse/proxy"
	"gatehouse/tokenep"
)

// maxLifetime is the longest that any token of ours may live.
const maxLifetime = 24 * time.Hour

// The verified-token cache: entries, and bytes of the tokens in them.
const (
	cacheEntries = 100_000
	cacheBytes   = 128 << 20
)

// snapshot is one configuration as the running parts see it. It is never changed, only replaced as a whole.
type snapshot struct {
	cfg      *config.Config
	ring     *keyring.Ring
	verifier *authz.Verifier
	endpoint *tokenep.Server
	gateway  *proxy.Gateway
	tls      *tls.Config // of the public listener; nil: plain HTTP
	loaded   time.Time
	keys     *clientKeys
	issuers  *issuers
}

// retire ends what a snapshot that is no longer in force keeps going. Requests in flight end as they began.
func (s *snapshot) retire() {
	s.gateway.Retire()
	s.keys.release()
	s.issuers.release()
}

// openState opens what lives as long as the process: the journal, Redis, the revoked set, the limiter.
func (a *App) openState(ctx context.Context, cfg *config.Config) (err error) {
	if a.db, err = statedb.Open(cfg.State.Dir); err != nil {
		return err
	}
	if err := a.openAudit(cfg); err != nil {
		return err
	}
	if cfg.State.Redis != nil {
		if a.redis, err = openRedis(cfg.State.Redis, a.log); err != nil {
			return err
		}
	}
	a.revocations, err = revoke.Open(ctx, revoke.Options{DB: a.db, Redis: a.redis, Log: a.log, MaxStaleness: longestStaleness(cfg),
		Name: a.nodeName(cfg), Version: a.opts.Version})
	if err != nil {
		return err
	}
	a.limiter = ratelimit.New(ratelimit.Options{Redis: a.redis, Nodes: a.revocations.Nodes})
	if a.lastUse, err = lastuse.Open(lastuse.Options{DB: a.db, Redis: a.redis, Log: a.log}); err != nil {
		return err
	}
	a.auth, err = a.openAuthentication(a.redis, a.revocations.Now)
	return err
}

// longestStaleness is how old the last sync may be for a node that starts while Redis is away: what some API still takes.
func longestStaleness(cfg *config.Config) time.Duration {
	longest := time.Duration(0)
	for _, api := range cfg.APIs {
		longest = max(longest, api.Revocation.MaxStaleness)
	}
	return longest
}

// build turns a configuration into a snapshot. It touches nothing that serves, so that a configuration that can't be built
// changes nothing. prev is the snapshot to be replaced; nil at start.
func (a *App) build(ctx context.Context, cfg *config.Config, prev *snapshot) (_ *snapshot, err error) {
	ring, err := a.keys(ctx, cfg)
	if err != nil {
		return nil, err
	}
	keys, err := a.auth.hold(cfg)
	if err != nil {
		return nil, err
	}
	issuers := a.auth.holdIssuers(cfg)
	defer func() {
		if err != nil {
			keys.release()
			issuers.release()
		}
	}()
	var authorities *x509.CertPool
	if cfg.Server.TLS != nil {
		authorities = cfg.Server.TLS.ClientCAs
	}
	registry := tokenep.NewRegistry(clients(cfg, keys))
	verifier, err := authz.NewVerifier(authz.Options{CacheEntries: cacheEntries, CacheBytes: cacheBytes, Issuers: append(issuers.list, local(cfg, ring)), Claims: limitedClaims(cfg)})
	if err != nil {
		return nil, err
	}
	endpoint, err := tokenep.New(tokenep.Options{
		Issuer: cfg.Server.Issuer, PublicURL: cfg.Server.PublicURL, APIs: apis(cfg, a.auth.hooks), Clients: registry,
		Signer: a.signer(ring), JWKS: ring.JWKS, JWKSMaxAge: ring.MaxAge, Verifier: verifier, Revocations: revocations{a.revocations},
		ClientCAs: authorities, Quotas: a.limiter, Now: a.revocations.Now,
		Lockout: a.auth.lockout(cfg), SlowHashes: a.auth.pool, Replays: a.auth.replays,
	})
	if err != nil {
		return nil, err
	}
	documents, urls := resources(cfg)
	routes, err := routes(cfg, urls)
	if err != nil {
		return nil, err
	}
	o := proxy.Options{
		Routes: routes, Documents: documents, Own: endpoint.Endpoints(), PublicURL: cfg.Server.PublicURL,
		Verifier: verifier, Revocations: revocations{a.revocations}, Clients: clientStates{registry}, Limiter: a.limiter, ClientLimits: clientLimits(cfg),
		Sinks:          append([]exchange.Sink{a.metrics, exchange.AccessLog{Log: a.log}, a.quotas, a.audit, a.lastUse, &a.limited, &a.denials, a.pulse}, a.opts.Sinks...),
		PrivateCookie:  statuspage.Cookie,
		TrustedProxies: cfg.Server.TrustedProxies, IdleTimeout: cfg.Server.IdleTimeout, Draining: a.ending.Load, Log: a.log,
	}
	if prev != nil {
		o.Previous = prev.gateway
	}
	gateway, err := proxy.New(o)
	if err != nil {
		return nil, err
	}
	return &snapshot{cfg: cfg, ring: ring, verifier: verifier, endpoint: endpoint, gateway: gateway, tls: tlsConfig(cfg, prev), loaded: time.Now(), keys: keys, issuers: issuers}, nil
}

// signer finds the key that signs. Where a revocation has ended what that key signed, the ring is asked whether it still does.
func (a *App) signer(ring *keyring.Ring) func(token.Algorithm) *token.PrivateKey {
	return func(alg token.Algorithm) *token.PrivateKey {
		key := ring.Signer(alg)
		if key == nil {
			return nil
		}
		return ring.SignerSince(alg, time.Unix(a.revocations.NotBefore(authz.Local, "", key.Public().ID()), 0))
	}
}

func apis(cfg *config.Config, hooks *hook.Clients) []tokenep.API {
	var list []tokenep.API
	for _, api := range cfg.APIs {
		var scopes []string
		for scope := range api.Scopes {
			scopes = append(scopes, scope)
		}
		out := tokenep.API{Name: api.Name, Audience: api.Audience, Scopes: token.NewScopes(scopes...), TTL: api.TTL,
			Algorithm: token.Algorithm(api.Algorithm), Dialect: token.Dialect(api.Dialect), Narrow: api.NarrowScopes,
			MaxStaleness: api.Revocation.MaxStaleness, AllowStale: api.Revocation.AllowStale}
		for _, c := range api.Claims {
			out.Claims = append(out.Claims, tokenep.Claim(c))
		}
		if c := api.Hook; c != nil {
			out.Hook = hook.New(hook.Options{URL: c.URL, Secret: c.Secret, Timeout: c.Timeout, Clients: hooks})
		}
		list = append(list, out)
	}
	return list
}

func clients(cfg *config.Config, keys *clientKeys) []tokenep.Client {
	var list []tokenep.Client
	for _, c := range cfg.Clients {
		client := tokenep.Client{ID: c.ID, Grants: map[string]token.Scopes{}, GrantTypes: c.GrantTypes, Auth: c.Auth, TTL: c.TTL, Introspect: c.Introspect, Disabled: c.Disabled, Subject: tokenep.Subject(c.TLSSubject)}
		for _, q := range c.Quotas {
			client.Quotas = append(client.Quotas, tokenep.Quota{Observe: q.Observe, Policy: quota(q)})
		}
		for api, scopes := range c.Grants {
			client.Grants[api] = token.NewScopes(scopes...)
		}
		for _, s := range c.Secrets {
			client.Secrets = append(client.Secrets, tokenep.Secret{SHA256: s.SHA256, Argon2id: s.Argon2id, NotBefore: s.NotBefore, NotAfter: s.NotAfter})
		}
		client.Keys = keys.of(c.ID)
		for _, alg := range c.Keys.Algorithms {
			client.Algorithms = append(client.Algorithms, token.Algorithm(alg))
		}
		list = append(list, client)
	}
	return list
}

// routes are those of all APIs. Metadata are the URLs of the APIs' documents, by the API's name.
func routes(cfg *config.Config, metadata map[string]string) ([]*proxy.Route, error) {
	var list []*proxy.Route
	for _, c := range cfg.APIs {
		api, err := api(c)
		if err != nil {
			return nil, err
		}
		api.Metadata = metadata[c.Name]
		of := encoded(withoutRoutes(c))
		for _, r := range c.Routes {
			rt := route(api, c, r)
			rt.Revision = revision(of, r)
			list = append(list, rt)
		}
	}
	return list, nil
}

func route(api *proxy.API, c config.API, r config.Route) *proxy.Route {
	out := &proxy.Route{
		API: api, Method: r.Method, Pattern: r.Pattern, Match: r.Match, Where: where(r.Pos), Public: r.Auth == "public",
		Policy: authz.Policy{Audience: c.Audience, Issuers: c.Issuers, MaxStaleness: c.Revocation.MaxStaleness, AllowStale: c.Revocation.AllowStale},
		Cost:   r.Cost, Observe: r.Observe, Timeout: r.Timeout, MaxBody: r.MaxBody, Streaming: r.Streaming, KeepAuthorization: r.KeepAuthorization,
		WebSocket: r.WebSocket, CloseOnExpiry: r.CloseOnExpiry,
	}
	switch r.Auth {
	case "token":
		out.Policy.Scopes = token.AnyToken()
	case "scopes":
		out.Policy.Scopes = token.Require(r.All, r.Any)
	}
	for _, class := range r.AllowPath {
		out.Allow |= proxy.ParseAllow(class)
	}
	for _, l := range c.RateLimits {
		limit := limit(l)
		limit.OfAPI = true
		out.Limits = append(out.Limits, limit)
	}
	for _, l := range r.RateLimits {
		out.Limits = append(out.Limits, limit(l))
	}
	return out
}

// where is a place for people: the file as they named it, and the line.
func where(p config.Pos) string {
	if p.File == "" || p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// revision stands for all that is said of a route and its API, which is encoded, other routes, what tokens will hold and the
// places in the file excepted.
func revision(api []byte, r config.Route) string {
	r.Pos = config.Pos{}
	h := sha256.New()
	h.Write(api) // a whole JSON value: no other pair makes the same text
	h.Write(encoded(r))
	return hex.EncodeToString(h.Sum(nil))
}

func withoutRoutes(api config.API) config.API {
	api.Pos, api.Routes = config.Pos{}, nil
	api.Claims, api.Hook = nil, nil // of tokens that are yet to be issued
	return api
}

func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain data always marshals
	}
	return text
}

// revocations shows the revoked set to the gateway in its words.
type revocations struct{ *revoke.Store }

// Revoked implements authz.Revocations.
func (r revocations) Revoked(p *authz.Principal) bool {
	return r.Store.Revoked(&revoke.Target{Issuer: p.Issuer, TokenID: p.TokenID, Client: p.Client, Key: p.KeyID, IssuedAt: p.IssuedAt})
}

// Revoke implements tokenep.Revocations.
func (r revocations) Revoke(ctx context.Context, e revoke.Entry) error {
	_, err := r.Store.Revoke(ctx, e)
	return err
}
