package config

import (
	"slices"

	"gatehouse/internal/secret"
)

func (r *reader) buildRedis(x val[*rawRedis]) *Redis {
	raw := x.v
	out := &Redis{
		Mode:       raw.mode.or(Standalone),
		Addrs:      []string{defaultRedisAddr},
		MasterName: raw.masterName.v,
		Username:   raw.user.name.v,
		TLS:        raw.tls.v != nil,
		Prefix:     raw.prefix.or(defaultRedisPrefix),
		Budget:     raw.budget.or(defaultRedisBudget),
		Pos:        x.at.pos(),
	}
	if raw.addrs.set {
		out.Addrs = plainList(raw.addrs)
	}
	out.Password = r.redisPassword(raw.user, "")
	out.SentinelUsername, out.SentinelPassword = raw.sentinel.name.v, r.redisPassword(raw.sentinel, "sentinel_")
	r.checkRedisMode(x, out)
	if out.TLS {
		r.buildRedisTLS(raw.tls.v, out)
	}
	remote := slices.ContainsFunc(out.Addrs, func(a string) bool { return !listenEndpoint(a).loopback() })
	if remote && !raw.tls.present() {
		r.warn(x.at, "Redis is reached over the network without TLS — add tls: {}")
	}
	return out
}

func (r *reader) buildRedisTLS(raw *rawRedisTLS, out *Redis) {
	out.ServerName = raw.serverName.v
	if raw.caFile.set {
		out.CAFile = r.certificates(raw.caFile)
	}
	if cert, _ := r.shownPair(raw.certFile, raw.keyFile); cert != nil {
		out.CertFile, out.KeyFile = near(raw.certFile.at, raw.certFile.v), near(raw.keyFile.at, raw.keyFile.v)
	}
}

// checkRedisMode finds what is missing for the mode, and what another mode needs. Nothing is guessed from the rest.
func (r *reader) checkRedisMode(x val[*rawRedis], c *Redis) {
	raw := x.v
	if raw.mode.present() && !raw.mode.set {
		return // which of them is not known
	}
	if c.Mode != Standalone && !raw.addrs.present() {
		r.fail(raw.mode.at, "mode %s needs addrs — list the %s", c.Mode, map[string]string{
			Sentinel: "Sentinels", Cluster: "cluster's nodes, all or several of them"}[c.Mode])
	}
	if c.Mode == Standalone && len(c.Addrs) > 1 {
		r.fail(raw.addrs.at, "mode standalone takes one address — write mode: sentinel where these are Sentinels, mode: cluster where they are nodes of a cluster")
	}
	if c.Mode == Sentinel {
		if !raw.masterName.present() {
			r.fail(raw.mode.at, "mode sentinel needs master_name — write the name that stands in the sentinel monitor line of the Sentinels")
		}
		return
	}
	for _, k := range []val[string]{raw.masterName, raw.sentinel.name, raw.sentinel.password, raw.sentinel.passwordFile} {
		if k.present() {
			r.fail(k.at, "is for mode sentinel alone, and the mode is %s — remove it, or write mode: sentinel", c.Mode)
		}
	}
}

// redisPassword reads the password of a user, whose keys begin with prefix.
func (r *reader) redisPassword(u rawRedisUser, prefix string) secret.Text {
	switch {
	case u.password.present() && u.passwordFile.present():
		r.fail(u.passwordFile.at, "%spassword and %spassword_file exclude each other — remove one", prefix, prefix)
	case u.name.present() && !u.password.present() && !u.passwordFile.present():
		r.fail(u.name.at, "a username needs a password — add %spassword_file, or %spassword: ${NAME}", prefix, prefix)
	}
	return secret.Hide(u.password.or(r.secretFile(u.passwordFile)))
}
