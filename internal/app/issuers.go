package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/authz"
	"gatehouse/internal/config"
	"gatehouse/internal/jwks"
	"gatehouse/internal/token"
	"gatehouse/tokenep"
)

// issuers are those of one configuration besides our own, as the verifier knows them, with their keys.
type issuers struct {
	cache *jwks.Cache
	list  []authz.Issuer
	keys  map[string]*jwks.Keys // by the issuer's name
}

// holdIssuers takes the issuers' keys. It does not wait for them: an issuer that does not answer stops nothing but its own
// tokens.
func (a *authentication) holdIssuers(cfg *config.Config) *issuers {
	out := &issuers{cache: a.issuers, keys: map[string]*jwks.Keys{}}
	for _, c := range cfg.Issuers {
		iss := authz.Issuer{Name: c.Name, URL: c.Issuer, MaxLifetime: c.MaxLifetime,
			Profile: &authz.Profile{Types: c.Types, ScopeClaims: c.ScopeClaims, ClientClaims: c.ClientClaims}}
		for _, alg := range c.Algorithms {
			iss.Algorithms = append(iss.Algorithms, token.Algorithm(alg))
		}
		iss.Keys = awayKeys{}
		if !a.offline {
			keys := a.issuers.HoldIssuer(jwks.Source{URL: c.JWKSURI, Issuer: c.Issuer, Insecure: c.Insecure, MaxStale: c.MaxStale})
			iss.Keys, iss.Fetch, iss.Ready = keys, keys.Fetch, keys.Ready
			out.keys[c.Name] = keys
		}
		out.list = append(out.list, iss)
	}
	return out
}

// release gives the keys back. Call it once; metrics may still read.
func (i *issuers) release() {
	for _, k := range i.keys {
		i.cache.Release(k.Set())
	}
}

// awayKeys stand in for keys that a mere check does not fetch.
type awayKeys struct{}

func (awayKeys) Key(string, token.Algorithm) *token.PublicKey { return nil }
func (awayKeys) Generation() uint64                           { return 0 }

// clientStates tells the gateway of clients. Those of other issuers are theirs to disable; ours are in the registry.
type clientStates struct{ *tokenep.Registry }

// Status implements authz.Clients.
func (c clientStates) Status(issuer, id string) authz.ClientStatus {
	if issuer != authz.Local && issuer != "" && id != "" {
		return authz.Enabled
	}
	return c.Registry.Status(issuer, id)
}

var (
	issuerAge     = describe("issuer_keys_age_seconds", "Time since an issuer's key set was fetched; absent where it never was.", "issuer")
	issuerReady   = describe("issuer_keys_usable", "1 while an issuer's keys verify tokens, 0 where they were never fetched or too long ago.", "issuer")
	issuerFetches = describe("issuer_key_fetches_total", "Fetches of an issuer's keys.", "issuer", "result")
)

// collectIssuers is what is to be said of the issuers besides our own.
func (s stats) collectIssuers(gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, int64, ...string)) {
	snap := s.a.current.Load()
	if snap == nil {
		return
	}
	for name, keys := range snap.issuers.keys {
		k := keys.Stats()
		if k.Empty == 0 {
			gauge(issuerAge, k.Oldest.Seconds(), name)
		}
		gauge(issuerReady, truth(keys.Ready()), name)
		counter(issuerFetches, k.Fetched, name, "ok")
		counter(issuerFetches, k.Failed, name, "failed")
	}
}
