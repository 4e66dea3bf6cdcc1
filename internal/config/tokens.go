package config

import (
	"encoding/base64"
	"slices"
	"strings"

	"gatehouse/internal/secret"
)

func (r *reader) buildTokens(c *Config, raw *rawConfig) {
	t := raw.tokens.v
	if t == nil {
		t = new(rawTokens)
	}
	dir, names := r.keyFiles(t.keyDir)
	c.Tokens = Tokens{TTL: t.ttl.or(defaultTTL), Algorithm: t.algorithm.or(defaultAlgorithm), KeyDir: dir,
		Lockout: Lockout{Failures: defaultFailures, Per: defaultLockout}}
	if l := t.lockout.v; l != nil {
		c.Tokens.Lockout = Lockout{Failures: l.failures.or(defaultFailures), Per: l.per.or(defaultLockout)}
	}
	r.buildRing(c, raw, t)
	r.buildRotation(c, t)
	if t.keyDir.set {
		c.Tokens.KeyDirPos = t.keyDir.at.pos()
	}
	if t.signing.present() && !t.keyDir.present() {
		r.fail(t.signing.at, "signing chooses among the files of key_dir, which is not set — set it, or remove signing")
		return
	}
	for _, e := range t.signing.v {
		if !e.set || !t.keyDir.set {
			continue
		}
		if !slices.Contains(names, e.v) {
			r.fail(e.at, "%q is no file of key_dir %s%s", clipText(e.at.Value), dir, didYouMean(e.v, slices.Values(names)))
			continue
		}
		if c.Tokens.Signing == nil {
			c.Tokens.Signing = make(map[string]string)
		}
		c.Tokens.Signing[e.name] = e.v
	}
}

// ringKeySize is the length of the key that seals the ring, in bytes.
const ringKeySize = 32

// buildRing reads the key that seals generated keys in Redis. A fleet signs with the same keys: files, or a ring it shares.
func (r *reader) buildRing(c *Config, raw *rawConfig, t *rawTokens) {
	var redis val[*rawRedis]
	if raw.state.v != nil {
		redis = raw.state.v.redis
	}
	switch {
	case t.keyDir.present() && t.ringKey.present():
		r.fail(t.ringKey.at, "key_dir and ring_key_file exclude each other — remove one")
	case t.ringKey.present() && !redis.present():
		r.fail(t.ringKey.at, "seals generated keys in Redis, and there is no state.redis — remove it, or add state.redis")
	case redis.present() && !t.keyDir.present() && !t.ringKey.present():
		r.fail(redis.at, "nodes that share Redis sign with the same keys — name tokens.ring_key_file, made with: "+
			"openssl rand -base64 32, or tokens.key_dir")
	}
	if !t.ringKey.set {
		return
	}
	c.Tokens.RingKeyFile = near(t.ringKey.at, t.ringKey.v)
	text := r.secretFile(t.ringKey)
	if text == "" { // reported
		return
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != ringKeySize || strings.ContainsAny(text, "\r\n") {
		r.fail(t.ringKey.at, "%s does not hold %d bytes in standard base64 on one line — make it with: openssl rand -base64 32",
			c.Tokens.RingKeyFile, ringKeySize)
		return
	}
	c.Tokens.RingKey = secret.Hide(string(key))
}

// buildRotation says how generated keys take turns.
func (r *reader) buildRotation(c *Config, t *rawTokens) {
	x := t.rotation.v
	if x == nil {
		x = new(rawRotation)
	}
	c.Tokens.Every, c.Tokens.PublishBefore = x.every.or(defaultEvery), x.publishBefore.or(defaultPublishBefore)
	if t.rotation.present() && t.keyDir.present() {
		r.fail(t.rotation.at, "rotates generated keys, and key_dir names files — remove one of them")
	}
	if c.Tokens.PublishBefore < c.Tokens.Every || !x.every.set && !x.publishBefore.set {
		return
	}
	at, fix := x.publishBefore.at, "lower it, or raise every"
	if !x.publishBefore.set {
		at, fix = x.every.at, "raise it, or set publish_before"
	}
	r.fail(at, "a key is published for publish_before (%s) before it signs for every (%s), which must be longer — %s",
		short(c.Tokens.PublishBefore), short(c.Tokens.Every), fix)
}
