package main

import (
	"encoding/base64"
	"net/http"
)

// scenario is a proxy under a load. Either shape or start says what the proxy is.
type scenario struct {
	name  string
	about string // what it is and what it checks, for the table
	shape *shape // a Gatehouse
	start starter
	peer  string // the name of the program, of a peer
	// checks is what a peer claims to look at of a token. Gatehouse looks at all of it.
	checks verifying
	load   func(r *rig) load
	// beside is a second load that is there at the same time; nil is none. Latencies are those of the first.
	beside func(r *rig) load
	want   int  // the status that everything gets; what is beside, too, where it is of the same kind
	flood  int  // the status that beside gets; 0 is want
	fresh  bool // each token is used once
}

// The paths. "/big/" makes the upstream answer 10 KB.
const (
	pathRSA   = "/rsa/things/1"
	pathEC    = "/ec/things/1"
	pathBig   = "/rsa/big/1"
	pathAdmin = "/rsa/admin/1"
	pathTight = "/tight/things/1"
	pathOpen  = "/open/things/1"
)

// with is a load of GETs with tokens of a set; "" is none.
func with(path, set string) func(*rig) load {
	return func(r *rig) load {
		l := load{path: path}
		if set != "" {
			l.tokens = r.tokenFile(set)
		}
		return l
	}
}

// askToken is a load of token requests by a client with its secret.
func askToken(r *rig) load {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("client-0:"+r.secret))
	return load{method: http.MethodPost, path: "/oauth/token", basic: basic, form: "grant_type=client_credentials&audience=" + audEC}
}

// full is what G1 is about, and what the scenarios of growth change one thing of.
var full = shape{redis: true, limit: true, revoked: true, routes: 10, clients: rigClients}

func (s shape) but(change func(*shape)) *shape {
	change(&s)
	return &s
}

// scenarios is the whole list. A ratio is only one between members of it that ran in turn.
func scenarios() []*scenario {
	list := append(peerScenarios(), gatehouseScenarios()...)
	for _, s := range list {
		if s.want == 0 {
			s.want = http.StatusOK
		}
		if s.shape != nil {
			s.checks = scopes
		}
		if s.flood == 0 {
			s.flood = s.want
		}
	}
	return list
}

func peerScenarios() []*scenario {
	rs, es, open, big := with(pathRSA, "RS256-warm"), with(pathEC, "ES256-warm"), with(pathOpen, ""), with(pathBig, "RS256-warm")
	return []*scenario{
		{name: "nginx-plain", peer: "nginx", about: "nginx, no checks", start: nginx(), load: open},
		{name: "haproxy-plain", peer: "haproxy", about: "HAProxy, no checks", checks: nothing, start: haproxy(nothing, "", ""), load: open},
		{name: "haproxy-rs256", peer: "haproxy", about: "HAProxy: alg, signature, aud, exp, scope", checks: scopes, start: haproxy(scopes, "RS256", audRSA), load: rs},
		{name: "haproxy-es256", peer: "haproxy", about: "HAProxy: alg, signature, aud, exp, scope", checks: scopes, start: haproxy(scopes, "ES256", audEC), load: es},
		{name: "haproxy-rs256-bare", peer: "haproxy", about: "HAProxy: the signature alone", checks: signature, start: haproxy(signature, "RS256", audRSA), load: rs},
		{name: "haproxy-es256-bare", peer: "haproxy", about: "HAProxy: the signature alone", checks: signature, start: haproxy(signature, "ES256", audEC), load: es},
		{name: "haproxy-rs256-10k", peer: "haproxy", about: "HAProxy: alg, signature, aud, exp, scope; 10 KB replies", checks: scopes, start: haproxy(scopes, "RS256", audRSA), load: big},
		{name: "reverseproxy", peer: "revproxy", about: "httputil.ReverseProxy as it comes, no checks", start: revproxy(), load: open},
		{name: "reverseproxy-tuned", peer: "revproxy", about: "… with Rewrite, BufferPool, 1024 idle connections, no compression", start: revproxy("-tuned"), load: open},
		{name: "caddy-plain", peer: "caddy", about: "Caddy, no checks", start: caddy("", ""), load: open},
		{name: "caddy-rs256", peer: "caddy", about: "Caddy with jwx on every request: alg, signature, iss, aud, exp, nbf", checks: claims, start: caddy("RS256", audRSA), load: rs},
		{name: "caddy-es256", peer: "caddy", about: "Caddy with jwx on every request: alg, signature, iss, aud, exp, nbf", checks: claims, start: caddy("ES256", audEC), load: es},
	}
}

func gatehouseScenarios() []*scenario {
	rs, es := with(pathRSA, "RS256-warm"), with(pathEC, "ES256-warm")
	bare, single := &shape{}, full.but(func(s *shape) { s.redis = false })
	return []*scenario{
		{name: "G1-rs256", about: "warm, 1M revocations, limit through Redis", shape: &full, load: rs},
		{name: "G1-es256", about: "warm, 1M revocations, limit through Redis", shape: &full, load: es},
		{name: "G1-bare-rs256", about: "warm, no revocations, no limit", shape: bare, load: rs},
		{name: "G1-logged", about: "G1-rs256 with a line of log for each request, as by default", shape: full.but(func(s *shape) { s.logged = true }), load: rs},
		{name: "G2-public", about: "a public route", shape: bare, load: with(pathOpen, "")},
		{name: "G3-rs256", about: "each token for the first time", shape: &full, load: with(pathRSA, "RS256-fresh"), fresh: true},
		{name: "G3-es256", about: "each token for the first time", shape: &full, load: with(pathEC, "ES256-fresh"), fresh: true},
		{name: "G4-token", about: "POST /oauth/token, ES256, SHA-256 secret", shape: bare, load: askToken},
		{name: "G5-memory", about: "G1-rs256 with the limit in memory", shape: single, load: rs},
		{name: "G6-10k", about: "G1-rs256 with 10 KB replies", shape: &full, load: with(pathBig, "RS256-warm")},
		{name: "G7-forged", about: "bad signatures, RS256: 401", shape: &full, load: with(pathRSA, "RS256-forged"), want: http.StatusUnauthorized},
		{name: "G7-scope", about: "a scope that the token lacks: 403", shape: &full, load: with(pathAdmin, "RS256-warm"), want: http.StatusForbidden},
		{name: "G7-limit", about: "over the limit: 429", shape: &full, load: with(pathTight, "RS256-tight"), want: http.StatusTooManyRequests},
		{name: "G7-flood", about: "G1-rs256 beside 64 connections of bad signatures", shape: &full, load: rs, beside: with(pathRSA, "RS256-forged"), flood: http.StatusUnauthorized},
		{name: "G7-crowd", about: "G1-rs256 beside 64 connections of the same", shape: &full, load: rs, beside: rs},
		{name: "G9-routes", about: "G1-rs256 with 2000 routes in place of 10", shape: full.but(func(s *shape) { s.routes = 2000 }), load: rs},
		{name: "G9-clients", about: "G1-rs256 with 10 000 clients in place of 10", shape: full.but(func(s *shape) { s.clients = 10_000 }), load: rs},
		{name: "G9-unrevoked", about: "G1-rs256 without revocations", shape: full.but(func(s *shape) { s.revoked = false }), load: rs},
		{name: "G9-procs", about: "G1-rs256 with GOMAXPROCS=2, on both cores with the load", shape: full.but(func(s *shape) { s.procs = 2 }), load: rs},
	}
}
