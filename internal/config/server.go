package config

import (
	"crypto/x509"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gatehouse/internal/secret"
)

// DefaultAdminListen is admin.listen where the file has none.
const DefaultAdminListen = "127.0.0.1:8081"

// The defaults of the other configuration keys, in one place.
const (
	defaultIdleTimeout    = time.Minute
	defaultMaxHeaderBytes = 64 << 10
	defaultDrain          = 30 * time.Second
	defaultStateDir       = "state"
	defaultRedisAddr      = "127.0.0.1:6379"
	defaultRedisPrefix    = "gh"
	defaultRedisBudget    = 25 * time.Millisecond
	defaultTTL            = 10 * time.Minute
	defaultAlgorithm      = "ES256"
	defaultEvery          = 720 * time.Hour
	defaultPublishBefore  = 15 * time.Minute
	defaultStaleness      = 10 * time.Minute
	defaultFailures       = 10
	defaultLockout        = time.Minute
	defaultTimeout        = 30 * time.Second
	defaultMaxBody        = 10 << 20
	defaultAuditSize      = 64 << 20
	defaultAuditKeep      = 8
)

func (r *reader) buildServer(c *Config, raw *rawConfig) {
	s := raw.server.v
	if s == nil {
		return
	}
	c.Server = Server{
		Listen:         s.listen.v,
		PublicURL:      s.publicURL.v.url,
		Issuer:         s.publicURL.v.issuer,
		IdleTimeout:    s.idleTimeout.or(defaultIdleTimeout),
		MaxHeaderBytes: s.maxHeaderBytes.or(defaultMaxHeaderBytes),
		Drain:          s.drain.or(defaultDrain),
		DrainDelay:     s.drainDelay.v,
		H2C:            s.h2c.v,
	}
	r.buildServerTLS(c, s)
	if c.Server.DrainDelay >= c.Server.Drain {
		r.fail(s.drainDelay.at, "leaves nothing of server.drain (%s), which it is part of — make it shorter", short(c.Server.Drain))
	}
	if s.listen.set {
		c.Server.ListenPos = s.listen.at.pos()
	}
	for _, p := range s.trustedProxies.v {
		c.Server.TrustedProxies = append(c.Server.TrustedProxies, p.v)
		if p.v.Bits() == 0 {
			r.warn(p.at, "every caller is trusted to say who it is, so that addresses in limits and logs can be forged — name your proxies alone")
		}
	}
	if u := s.publicURL.v.url; s.publicURL.set && u.Scheme == "http" && !urlEndpoint(u).loopback() {
		if s.insecureHTTP.v {
			r.warn(s.publicURL.at, "tokens and secrets cross the network unencrypted — use https")
		} else if !s.insecureHTTP.present() || s.insecureHTTP.set {
			r.fail(s.publicURL.at, "an http URL that is not loopback sends tokens and secrets unencrypted — use https, or set insecure_http: true")
		}
	}
}

// bearerText is what an Authorization header can carry after "Bearer ".
var bearerText = regexp.MustCompile(`^[\x21-\x7E]*$`)

// minAdminToken is the length under which a token is warned of as easy to guess.
const minAdminToken = 16

func (r *reader) buildAdmin(c *Config, raw *rawConfig) {
	c.Admin = Admin{Listen: DefaultAdminListen}
	a := raw.admin.v
	if a == nil {
		a = new(rawAdmin)
	}
	c.Admin.Listen = a.listen.or(DefaultAdminListen)
	c.Admin.Hosts = plainList(a.hosts)
	c.Admin.Pprof = a.pprof.v
	token := r.secretFile(a.tokenFile)
	c.Admin.Token = secret.Hide(token)
	switch {
	case !a.tokenFile.set:
	case !bearerText.MatchString(token):
		r.fail(a.tokenFile.at, "the token holds spaces, line breaks or characters that a header can't carry — write printable ASCII")
	case token != "" && len(token) < minAdminToken:
		r.warn(a.tokenFile.at, "the token has fewer than %d characters — make one with: openssl rand -base64 32", minAdminToken)
	}
	if a.listen.set {
		c.Admin.ListenPos = a.listen.at.pos()
		local := unixSocket(c.Admin.Listen) || listenEndpoint(c.Admin.Listen).loopback()
		if !local && !a.tokenFile.present() {
			r.fail(a.listen.at, "an address that is not loopback needs admin.token_file — name one, or listen on 127.0.0.1")
		}
	}
	r.adminApart(c, raw, a)
}

func unixSocket(listen string) bool { return strings.HasPrefix(listen, "unix:") }

// adminApart reports an admin listener on the server's own address.
func (r *reader) adminApart(c *Config, raw *rawConfig, a *rawAdmin) {
	if raw.server.v == nil || !raw.server.v.listen.set || unixSocket(c.Admin.Listen) {
		return
	}
	server, admin := listenEndpoint(c.Server.Listen), listenEndpoint(c.Admin.Listen)
	if server.port == 0 || server.port != admin.port || server.host != admin.host && !server.any() && !admin.any() {
		return
	}
	at := a.listen.at
	if !a.listen.set {
		at = raw.server.v.listen.at
	}
	r.fail(at, "server.listen and admin.listen share port %d — give them different ports", server.port)
}

func (r *reader) buildState(c *Config, raw *rawConfig) {
	s := raw.state.v
	if s == nil {
		s = new(rawState)
	}
	c.State.Dir = filepath.Join(filepath.Dir(c.File), defaultStateDir)
	if s.dir.set {
		c.State.Dir = near(s.dir.at, s.dir.v)
	}
	if s.redis.v == nil {
		return
	}
	c.State.Redis = r.buildRedis(s.redis)
}

// certificates checks that a file holds certificates, and returns its path.
func (r *reader) certificates(x val[string]) string {
	path := near(x.at, x.v)
	content, err := r.files.file(path, maxSmall)
	if err != nil {
		r.fail(x.at, "%v", err)
	} else if !x509.NewCertPool().AppendCertsFromPEM(content) {
		r.fail(x.at, "%s holds no PEM certificate", path)
	}
	return path
}

func (r *reader) buildAudit(c *Config, raw *rawConfig) {
	a := raw.audit.v
	if a == nil {
		a = new(rawAudit)
	}
	c.Audit = Audit{Enabled: a.enabled.or(true), MaxSize: a.maxSize.or(defaultAuditSize), Keep: int(a.keep.or(defaultAuditKeep))}
	if a.file.set {
		c.Audit.File = near(a.file.at, a.file.v)
	}
	if !c.Audit.Enabled {
		r.warn(a.enabled.at, "nothing is kept of who got which token, and of what administrators did")
	}
}

// revocationOf is what a revocation section says, and for what it does not say its parent's.
func revocationOf(x val[*rawRevocation], parent Revocation) Revocation {
	if x.v == nil {
		return parent
	}
	out := Revocation{MaxStaleness: x.v.maxStaleness.or(parent.MaxStaleness), AllowStale: parent.AllowStale}
	if x.v.onStale.set {
		out.AllowStale = x.v.onStale.v == "allow"
	}
	return out
}
