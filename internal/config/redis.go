package config

import (
	"slices"
	"time"

	"gatehouse/internal/secret"
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

type rawRedisTLS struct{ caFile, certFile, keyFile, serverName val[string] }

var redisForm = object(
	is("mode", word([]string{"standalone", "sentinel", "cluster"}), func(s *rawRedis) *val[string] { return &s.mode }).
		says("How Redis runs.").otherwise("standalone"),
	is("addrs", some(aHostPort), func(s *rawRedis) *val[[]val[string]] { return &s.addrs }).
		says("The server; with mode sentinel some of the Sentinels, with mode cluster some of the servers. The default is for standalone alone.").otherwise("[127.0.0.1:6379]"),
	is("master_name", aText, func(s *rawRedis) *val[string] { return &s.masterName }).
		says("What the Sentinels call the master; required with mode sentinel, and for it alone.").such("gatehouse"),
	is("username", aText, func(s *rawRedis) *val[string] { return &s.user.name }).
		says("The ACL user. None by default.").such("gatehouse"),
	is("password", aPassword, func(s *rawRedis) *val[string] { return &s.user.password }).
		says("One ${NAME}: the variable that holds the password, which never stands in the file.").such("${REDIS_PASSWORD}"),
	is("password_file", aFile, func(s *rawRedis) *val[string] { return &s.user.passwordFile }).
		says("A file that holds the password.").such("redis.password"),
	is("sentinel_username", aText, func(s *rawRedis) *val[string] { return &s.sentinel.name }).
		says("The ACL user of the Sentinels, which have users of their own. None by default.").such("gatehouse"),
	is("sentinel_password", aPassword, func(s *rawRedis) *val[string] { return &s.sentinel.password }).
		says("One ${NAME}: the variable that holds the password of the Sentinels.").such("${SENTINEL_PASSWORD}"),
	is("sentinel_password_file", aFile, func(s *rawRedis) *val[string] { return &s.sentinel.passwordFile }).
		says("A file that holds the password of the Sentinels.").such("sentinel.password"),
	is("tls", object(
		is("ca_file", aFile, func(t *rawRedisTLS) *val[string] { return &t.caFile }).
			says("The certificates that Redis's must be signed by, in PEM. The system's roots by default.").such("redis-ca.pem"),
		is("cert_file", aFile, func(t *rawRedisTLS) *val[string] { return &t.certFile }).
			says("The certificate that Redis is shown, in PEM, which it asks for unless tls-auth-clients is no. Read for each connection. None by default.").such("redis.crt"),
		is("key_file", aFile, func(t *rawRedisTLS) *val[string] { return &t.keyFile }).
			says("Its key, in PEM.").such("redis.key"),
		is("server_name", aHost, func(t *rawRedisTLS) *val[string] { return &t.serverName }).
			says("The name that the certificates of all servers and Sentinels must have. The host that is dialled by default.").such("redis.internal"),
	), func(s *rawRedis) *val[*rawRedisTLS] { return &s.tls }).
		says("TLS to Redis, and to the Sentinels; {} takes the system's roots. No TLS by default.").such("{ca_file: redis-ca.pem}"),
	is("prefix", aPrefixName, func(s *rawRedis) *val[string] { return &s.prefix }).
		says("What its keys in Redis start with.").otherwise("gh"),
	is("budget", durationOf(time.Millisecond, 10*time.Second), func(s *rawRedis) *val[time.Duration] { return &s.budget }).
		says("The longest that a request may wait for Redis.").otherwise("25ms"),
).atMost("password", "password_file").atMost("sentinel_password", "sentinel_password_file")

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
