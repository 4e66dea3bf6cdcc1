package config

import (
	"reflect"
)

// remember keeps the nodes of the keys that a reload can't change, for RestartNeeded. A key that the file does not
// have stands where its section does, or at the file's start.
func (c *Config) remember(root node, raw *rawConfig) {
	place := func(key string, at ...node) {
		for _, n := range append(at, root) {
			if n.Node != nil {
				n.path = key
				c.places[key] = n
				return
			}
		}
	}
	s, a, st, t, au := raw.server.v, raw.admin.v, raw.state.v, raw.tokens.v, raw.audit.v
	if s == nil {
		s = new(rawServer)
	}
	if a == nil {
		a = new(rawAdmin)
	}
	if st == nil {
		st = new(rawState)
	}
	if t == nil {
		t = new(rawTokens)
	}
	if au == nil {
		au = new(rawAudit)
	}
	place("server.listen", s.listen.at, raw.server.at)
	place("server.public_url", s.publicURL.at, raw.server.at)
	place("server.idle_timeout", s.idleTimeout.at, raw.server.at)
	place("server.max_header_bytes", s.maxHeaderBytes.at, raw.server.at)
	place("server.tls", s.tls.at, raw.server.at)
	place("server.h2c", s.h2c.at, raw.server.at)
	place("admin.listen", a.listen.at, raw.admin.at)
	place("admin.pprof", a.pprof.at, raw.admin.at)
	place("state.dir", st.dir.at, raw.state.at)
	place("state.redis", st.redis.at, raw.state.at)
	place("tokens.key_dir", t.keyDir.at, raw.tokens.at)
	place("audit.enabled", au.enabled.at, raw.audit.at)
	place("audit.file", au.file.at, raw.audit.at)
	place("tokens.ring_key_file", t.ringKey.at, raw.tokens.at)
}

// RestartNeeded names the keys that differ between old and new and that a reload can't change, with their places in
// new's file. Both come from Load. Nil means that a reload may go on.
func RestartNeeded(old, new *Config) []Problem {
	var out findings
	differ := func(key string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			at := new.places[key]
			out.add(at.doc, at.Line, at.Column, at.message("changed, and takes a restart — restart, or put the old value back"))
		}
	}
	differ("server.listen", old.Server.Listen, new.Server.Listen)
	differ("server.public_url", old.Server.Issuer, new.Server.Issuer)
	differ("server.idle_timeout", old.Server.IdleTimeout, new.Server.IdleTimeout)
	differ("server.max_header_bytes", old.Server.MaxHeaderBytes, new.Server.MaxHeaderBytes)
	differ("server.tls", old.Server.TLS != nil, new.Server.TLS != nil)
	differ("server.h2c", old.Server.H2C, new.Server.H2C)
	differ("admin.listen", old.Admin.Listen, new.Admin.Listen)
	differ("admin.pprof", old.Admin.Pprof, new.Admin.Pprof)
	differ("state.dir", old.State.Dir, new.State.Dir)
	differ("state.redis", withoutPlace(old.State.Redis), withoutPlace(new.State.Redis))
	differ("tokens.key_dir", old.Tokens.KeyDir, new.Tokens.KeyDir)
	differ("audit.enabled", old.Audit.Enabled, new.Audit.Enabled)
	differ("audit.file", old.Audit.File, new.Audit.File)
	// Its content, too: under another key the ring in Redis would not unseal.
	differ("tokens.ring_key_file", [2]string{old.Tokens.RingKeyFile, old.Tokens.RingKey.Reveal()}, [2]string{new.Tokens.RingKeyFile, new.Tokens.RingKey.Reveal()})
	return out.sorted()
}

// withoutPlace is the section's content: moving it within the file changes nothing.
func withoutPlace(r *Redis) *Redis {
	if r == nil {
		return nil
	}
	out := *r
	out.Pos = Pos{}
	return &out
}
