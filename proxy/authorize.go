package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/trace"
)

// authorize judges the bearer token by the route's policy. On a public route it reads none.
func (c *call) authorize() *denial {
	rt := c.route
	if rt.Public {
		return nil
	}
	now := c.now().Unix()
	p, f := c.verify(now)
	if c.token.principal, c.token.failure = p, f; f != nil {
		return &denial{reason: f.Reason, at: stepOf[f.At], detail: f.Detail}
	}
	c.recordToken(p)
	d := authz.Decide(p, &rt.Policy, authz.Read(c.gw.o.Revocations, c.gw.o.Clients, p), now)
	if c.token.steps = d.Steps; d.Allowed {
		c.principal, c.identity = p, p
		return nil
	}
	// Where observe mode lets this through, the upstream is told who calls only if nothing was wrong with the token itself.
	if d.Reason == authz.InsufficientScope {
		c.identity = p
	}
	return &denial{reason: d.Reason, at: stepOf[d.Failed()], detail: d.Detail}
}

// now is the moment that tokens are judged at: that in which the request came, unless somebody asked about another.
func (c *call) now() time.Time {
	switch {
	case c.what != nil && !c.what.At.IsZero():
		return c.what.At
	case c.what != nil || c.gw.o.Now != nil:
		return c.gw.now()
	}
	return c.rec.Start
}

// verify turns the Authorization header into a Principal.
func (c *call) verify(now int64) (*authz.Principal, *authz.Failure) {
	if c.what != nil && c.what.Principal != nil {
		return c.what.Principal, nil
	}
	raw, f := authz.Bearer(c.r.Header["Authorization"])
	if f != nil {
		return nil, f
	}
	c.token.length = len(raw)
	switch {
	case c.what == nil:
	case c.what.Unverified:
		return c.gw.o.Verifier.Suppose(raw, now)
	default:
		return c.gw.o.Verifier.Explain(raw, now)
	}
	p, hit, f := c.gw.o.Verifier.Verify(raw, now)
	c.rec.Hit = exchange.CacheMiss
	if hit {
		c.rec.Hit = exchange.CacheHit
	}
	return p, f
}

func (c *call) recordToken(p *authz.Principal) {
	c.rec.Client, c.rec.Issuer, c.rec.Scopes = p.Client, p.Issuer, p.Scopes.String()
	c.rec.TokenID = exchange.HashID(p.TokenID)
}

// mayUpgrade refuses to change to WebSocket where the route does not take it. Other upgrades go on as the plain requests that
// they also are (RFC 9110 §7.8).
func (c *call) mayUpgrade() *denial {
	r := c.r
	if !hasToken(r.Header["Connection"], "upgrade") || !hasToken(r.Header["Upgrade"], "websocket") {
		return nil
	}
	if !c.route.WebSocket {
		return &denial{reason: authz.UpgradeNotAllowed, at: trace.Upgrade, detail: "this route takes no WebSocket; allow it with upgrade: [websocket] on the route"}
	}
	if r.Method != http.MethodGet || r.Proto != "HTTP/1.1" || r.ContentLength != 0 || !isWebSocketKey(r.Header["Sec-Websocket-Key"]) {
		return malformed(trace.Upgrade, "a WebSocket is opened by a GET of HTTP/1.1 without a body and with one Sec-WebSocket-Key of 16 bytes")
	}
	c.upgrade = true
	return nil
}

// hasToken reports whether a comma-separated header has a member, without regard to case.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for member := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(member), token) {
				return true
			}
		}
	}
	return false
}

// body refuses a body whose announced length is over the route's limit. One without a length is counted as it streams.
func (c *call) body() *denial {
	if c.r.ContentLength > c.route.MaxBody {
		return tooLarge(c.route.MaxBody)
	}
	return nil
}

func tooLarge(limit int64) *denial {
	return &denial{reason: authz.BodyTooLarge, at: trace.Body, detail: "this route takes bodies of up to " + strconv.FormatInt(limit, 10) + " bytes"}
}

// closes reports whether the connection must end with this response: after Transfer-Encoding, since another reader in
// front may have framed the request otherwise, and under HTTP/1.0, where net/http ignores Transfer-Encoding unseen.
func closes(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 || r.ProtoMajor == 1 && r.ProtoMinor == 0
}
