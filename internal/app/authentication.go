package app

import (
	"context"
	"crypto"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/hashpool"
	"gatehouse/internal/hook"
	"gatehouse/internal/jwks"
	"gatehouse/internal/lockout"
	"gatehouse/internal/redisx"
	"gatehouse/internal/replay"
	"gatehouse/internal/token"
	"gatehouse/tokenep"
)

// authentication is what the endpoints need to authenticate clients and what outlives reloads.
type authentication struct {
	failures *lockout.Store
	pool     *hashpool.Pool
	replays  *replay.Store
	keySets  *jwks.Cache // of clients
	issuers  *jwks.Cache // of issuers
	hooks    *hook.Clients
	own      atomic.Pointer[[]netip.AddrPort]
	offline  bool // fetch no keys
}

// openAuthentication wants the state to be open. now is the clock that tokens are issued by, and assertions judged by.
func (a *App) openAuthentication(redis *redisx.Client, now func() time.Time) (*authentication, error) {
	replays, err := replay.Open(replay.Options{DB: a.db, Redis: redis, Now: now})
	if err != nil {
		return nil, err
	}
	auth := &authentication{pool: hashpool.New(hashpool.Options{}), replays: replays, failures: lockout.NewStore(nil)}
	if redis != nil {
		auth.failures = lockout.NewStore(a.limiter)
	}
	auth.keySets = jwks.NewCache(jwks.Options{Own: auth.ownAddrs, Log: a.log})
	auth.issuers = jwks.NewCache(jwks.Options{Own: auth.ownAddrs, Log: a.log})
	auth.hooks = hook.NewClients(auth.ownAddrs, nil)
	return auth, nil
}

// serveAt says where our own listeners are, which no keys are fetched from and no hook is at.
func (a *authentication) serveAt(addrs ...net.Addr) {
	var own []netip.AddrPort
	for _, addr := range addrs {
		if ap, err := netip.ParseAddrPort(addr.String()); err == nil { // a Unix socket has none
			own = append(own, ap)
		}
	}
	a.own.Store(&own)
}

func (a *authentication) ownAddrs() []netip.AddrPort {
	if own := a.own.Load(); own != nil {
		return *own
	}
	return nil
}

func (a *authentication) lockout(cfg *config.Config) *lockout.Lockout {
	return lockout.New(a.failures, cfg.Tokens.Lockout.Failures, cfg.Tokens.Lockout.Per)
}

// clientKeys are the key sets of one configuration's clients, by their ids.
type clientKeys struct {
	cache *jwks.Cache
	sets  map[string]tokenep.Keys
	held  []*jwks.Set
}

// hold takes the clients' keys, from files and from URLs. It does not wait for the latter.
func (a *authentication) hold(cfg *config.Config) (*clientKeys, error) {
	k := &clientKeys{cache: a.keySets, sets: map[string]tokenep.Keys{}}
	var problems config.Errors
	for _, c := range cfg.Clients {
		switch {
		case c.Auth != "private_key_jwt" && c.Auth != "self_signed_tls_client_auth": // the keys are of no use
		case c.Keys.URI != "" && a.offline:
			k.sets[c.ID] = noKeys{}
		case c.Keys.URI != "":
			set := a.keySets.Hold(c.Keys.URI)
			k.held = append(k.held, set)
			k.sets[c.ID] = set
		case c.Keys.JWKS != nil:
			set, err := jwks.File(c.Keys.JWKS)
			if err != nil {
				problems = append(problems, config.Problem{Pos: c.Keys.Pos, Message: "clients." + c.ID + ".jwks_file: " + err.Error()})
				continue
			}
			k.sets[c.ID] = set
		}
	}
	if len(problems) > 0 {
		k.release()
		return nil, problems
	}
	return k, nil
}

// of returns the client's keys; nil where it has none.
func (k *clientKeys) of(id string) tokenep.Keys { return k.sets[id] }

func (k *clientKeys) release() {
	for _, s := range k.held {
		k.cache.Release(s)
	}
	k.held = nil
}

// noKeys stands in for keys that a mere check does not fetch.
type noKeys struct{}

func (noKeys) Lookup(context.Context, string, token.Algorithm) ([]*token.PublicKey, error) {
	return nil, jwks.ErrUnavailable
}

func (noKeys) Has(context.Context, crypto.PublicKey) (bool, error) { return false, jwks.ErrUnavailable }
