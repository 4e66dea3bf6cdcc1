package app

import (
	"context"
	"fmt"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/config"
	"gatehouse/internal/keyring"
	"gatehouse/internal/token"
)

// keys are the signing keys: those of key_dir, read anew for each snapshot, or the generated ones that outlive it.
func (a *App) keys(ctx context.Context, cfg *config.Config) (*keyring.Ring, error) {
	if cfg.Tokens.KeyDir != "" {
		return a.fileKeys(cfg)
	}
	if a.ring != nil {
		if err := a.ring.Ensure(ctx, use(cfg)); err != nil {
			return nil, fmt.Errorf("signing keys: %w", err)
		}
		return a.ring, nil
	}
	o := keyring.Options{DB: a.db, Redis: a.redis, Seal: cfg.Tokens.RingKey, Issuer: cfg.Server.Issuer, Now: a.revocations.Now, Log: a.log}
	ring, err := keyring.Open(ctx, o, use(cfg))
	a.ring = ring
	return ring, err
}

func (a *App) fileKeys(cfg *config.Config) (*keyring.Ring, error) {
	signing := map[token.Algorithm]string{}
	for alg, file := range cfg.Tokens.Signing {
		signing[token.Algorithm(alg)] = file
	}
	withdrawn, err := keyring.Withdrawn(a.db)
	if err != nil {
		return nil, err
	}
	ring, err := keyring.Load(cfg.Tokens.KeyDir, signing, algorithms(cfg), withdrawn)
	if err != nil {
		return nil, config.Errors{{Pos: cfg.Tokens.KeyDirPos, Message: "tokens.key_dir: " + err.Error()}}
	}
	return ring, nil
}

// use is what a configuration asks of generated keys.
func use(cfg *config.Config) keyring.Use {
	u := keyring.Use{Algorithms: algorithms(cfg), Every: cfg.Tokens.Every, PublishBefore: cfg.Tokens.PublishBefore, Lifetime: time.Second}
	for _, api := range cfg.APIs {
		u.Lifetime = max(u.Lifetime, api.TTL)
	}
	return u
}

func algorithms(cfg *config.Config) []token.Algorithm {
	seen := map[token.Algorithm]bool{}
	var list []token.Algorithm
	for _, api := range cfg.APIs {
		if alg := token.Algorithm(api.Algorithm); !seen[alg] {
			seen[alg] = true
			list = append(list, alg)
		}
	}
	return list
}

// ringKeys shows the ring to the verifier. A kid of ours is a thumbprint, and so names one key.
type ringKeys struct{ *keyring.Ring }

// Key implements authz.Keys.
func (r ringKeys) Key(kid string, _ token.Algorithm) *token.PublicKey { return r.Ring.Key(kid) }

// local is the issuer that we are. Tokens of an algorithm that no API names any more verify until they expire.
func local(cfg *config.Config, ring *keyring.Ring) authz.Issuer {
	dialects := map[string]token.Dialect{}
	for _, api := range cfg.APIs {
		dialects[api.Audience] = token.Dialect(api.Dialect)
	}
	return authz.Issuer{
		Name: authz.Local, URL: cfg.Server.Issuer, Keys: ringKeys{ring}, MaxLifetime: maxLifetime,
		Algorithms: []token.Algorithm{token.ES256, token.RS256, token.PS256, token.EdDSA},
		Dialect:    func(audience string) (token.Dialect, bool) { d, ok := dialects[audience]; return d, ok },
		Fetch:      func(kid string, _ token.Algorithm) *token.PublicKey { return ring.Fetch(kid) },
		Ready:      func() bool { return len(ring.Missing()) == 0 },
	}
}
