package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/config"
	"gatehouse/internal/suggest"
	"gatehouse/internal/trace"
)

// hint adds to a trace what this configuration says about it: places, the state of the key, why, what may have been meant, and
// what to do. It judges nothing.
func (s *snapshot) hint(t *trace.Trace) {
	s.places(t)
	if t.Allowed() {
		return
	}
	if t.Endpoint != "" || t.Asked != nil {
		s.hintOwn(t)
		return
	}
	hints := map[authz.Reason]func(*trace.Trace){
		authz.NoRoute: s.hintPath, authz.MethodNotAllowed: s.hintPath, authz.MalformedRequest: s.hintPath,
		authz.MissingToken: s.hintMissing, authz.UnknownKey: s.hintKey, authz.WrongIssuer: s.hintIssuer,
		authz.Expired: s.hintNewToken, authz.Revoked: s.hintNewToken, authz.ClientDisabled: s.hintClient,
		authz.WrongAudience: s.hintAudience, authz.InsufficientScope: s.hintScope,
		authz.RateLimited: s.hintLimit, authz.UpstreamUnavailable: s.hintUpstream, authz.UpstreamTimeout: s.hintUpstream,
	}
	if h := hints[authz.Reason(t.Reason)]; h != nil {
		h(t)
	} else if fix := plainFixes[authz.Reason(t.Reason)]; fix != "" {
		t.Fix = append(t.Fix, fix)
	}
}

// plainFixes are what to do for reasons about which the configuration has nothing to add.
var plainFixes = map[authz.Reason]string{
	authz.URITooLong:        "send a target of at most 16 KiB; what is long belongs into a body",
	authz.MultipleTokens:    "send one Authorization header",
	authz.Misdirected:       "open a TLS connection for this host; do not reuse one of another host",
	authz.MalformedToken:    "send the access_token of the token endpoint's answer as it is: gatehouse token inspect says what is wrong with one",
	authz.UnsupportedAlg:    "get a new token: gatehouse token get",
	authz.BadSignature:      "get a new token: gatehouse token get; this one was changed, or signed by somebody else",
	authz.NotYetValid:       "compare the clocks of the issuer and of this gateway",
	authz.UpgradeNotAllowed: "add upgrade: [websocket] to the route",
	authz.BodyTooLarge:      "send less, or raise max_body on the route",
	authz.StateUnavailable:  "look at gatehouse_redis_up, gatehouse_revocation_staleness_seconds and gatehouse_issuer_keys_usable; then send the request again",
	authz.InternalError:     "the log of this moment has the stack: please report it",
}

// places fills in where the steps stand in the configuration, and what is known of the key.
func (s *snapshot) places(t *trace.Trace) {
	if c := s.client(t.Client); c != nil && t.Issuer == authz.Local {
		if step := t.Step(trace.Client); step != nil && step.Outcome != trace.NotReached {
			step.Where = where(c.Pos)
		}
	}
	if api := s.api(t.API); api != nil {
		if step := t.Step(trace.Audience); step != nil && step.Outcome != trace.NotReached {
			step.Where = where(api.Pos)
		}
	}
	step := t.Step(trace.Key)
	if step == nil || step.Outcome != trace.Passed || t.Claims == nil || t.Issuer != authz.Local {
		return
	}
	for _, k := range s.ring.Keys() {
		if k.ID == t.Claims.KeyID {
			step.Fact += " (" + k.State + ")"
		}
	}
}

func (s *snapshot) hintPath(t *trace.Trace) {
	s.gateway.Near(t)
	switch authz.Reason(t.Reason) {
	case authz.NoRoute:
		t.Why = append(t.Why, trace.Line{Text: "no route for " + t.Method + " " + t.Path})
		t.Fix = append(t.Fix, s.command("routes list")+" shows what is open; a route under apis.NAME.routes opens more")
	case authz.MethodNotAllowed:
		t.Why = append(t.Why, trace.Line{Text: t.Detail})
	case authz.MalformedRequest:
		if meant := strings.ToUpper(t.Method); meant != t.Method && t.Method != "" {
			t.Near = append(t.Near, trace.Line{Text: fmt.Sprintf("method %q — did you mean %q? Methods have a case (RFC 9110, section 9.1)", t.Method, meant)})
		}
		if strings.Contains(t.Detail, "allow_path") {
			t.Fix = append(t.Fix, "send the path without it, or name the class in allow_path on the route")
		}
	}
}

func (s *snapshot) hintMissing(t *trace.Trace) {
	if api := s.api(t.API); api != nil {
		t.Why = append(t.Why, trace.Line{Text: "the route asks for a token of API " + api.Name, Where: t.Where})
		t.Fix = append(t.Fix, s.command("token get", "--audience", api.Audience))
	}
}

func (s *snapshot) hintNewToken(t *trace.Trace) {
	var args []string
	if api := s.api(t.API); api != nil {
		args = []string{"--audience", api.Audience}
	}
	t.Fix = append(t.Fix, s.command("token get", args...))
}

func (s *snapshot) hintKey(t *trace.Trace) {
	if t.Claims == nil {
		return
	}
	kid := t.Claims.KeyID
	text := "kid " + trace.ShortKey(kid) + " is none of the keys of the issuer " + t.Issuer
	if t.Issuer == authz.Local {
		text = "kid " + trace.ShortKey(kid) + " is not one of ours: another gateway's, or retired too long ago to be remembered"
		switch what, until := s.ring.Past(kid); what {
		case "withdrawn":
			text = "kid " + trace.ShortKey(kid) + " was withdrawn: every token that it signed is refused"
		case "retired":
			text = "kid " + trace.ShortKey(kid) + " is one of ours, retired " + ago(time.Since(until))
		}
	}
	t.Why = append(t.Why, trace.Line{Text: text})
	s.hintNewToken(t)
}

// ago is a time that has passed, in its largest unit.
func ago(d time.Duration) string {
	n, unit := int64(d/time.Second), "second"
	switch {
	case d >= 48*time.Hour:
		n, unit = int64(d/(24*time.Hour)), "day"
	case d >= 2*time.Hour:
		n, unit = int64(d/time.Hour), "hour"
	case d >= 2*time.Minute:
		n, unit = int64(d/time.Minute), "minute"
	}
	return fmt.Sprintf("%d %s ago", n, plural(unit, int(n)))
}

func (s *snapshot) hintIssuer(t *trace.Trace) {
	api := s.api(t.API)
	if api == nil || t.Claims == nil {
		return
	}
	t.Why = append(t.Why, trace.Line{Text: "API " + api.Name + " takes tokens of: " + strings.Join(api.Issuers, ", "), Where: where(api.Pos)})
	urls := map[string]string{s.cfg.Server.Issuer: authz.Local}
	for _, i := range s.cfg.Issuers {
		urls[i.Issuer] = i.Name
	}
	if name, known := urls[t.Claims.Issuer]; known {
		t.Fix = append(t.Fix, "add "+name+" to the issuers of API "+api.Name+", or get a token of another issuer")
		return
	}
	if near := suggest.Nearest(t.Claims.Issuer, maps.Keys(urls)); near != "" {
		t.Near = append(t.Near, trace.Line{Text: fmt.Sprintf("iss %q — did you mean %q (%s)? It is compared byte for byte", t.Claims.Issuer, near, urls[near])})
	}
	t.Fix = append(t.Fix, "get a token of an issuer that the API takes, or declare this one under issuers")
}

func (s *snapshot) hintClient(t *trace.Trace) {
	if t.Issuer != authz.Local {
		return
	}
	if c := s.client(t.Client); c != nil {
		if !c.Disabled {
			t.Why = append(t.Why, trace.Line{Text: "client " + t.Client + " is enabled by now", Where: where(c.Pos)})
			return
		}
		t.Why = append(t.Why, trace.Line{Text: "client " + t.Client + " is disabled", Where: where(c.Pos)})
		t.Fix = append(t.Fix, s.command("client enable", c.ID))
		return
	}
	t.Why = append(t.Why, trace.Line{Text: "no client has the id " + t.Client + ": to remove a client is to revoke its tokens"})
	s.nearClient(t, t.Client)
	if len(t.Near) == 0 {
		t.Fix = append(t.Fix, s.command("client create", t.Client))
	}
}

// nearClient proposes a client whose id is much like another text, which it does not repeat.
func (s *snapshot) nearClient(t *trace.Trace, id string) {
	near := suggest.Nearest(id, func(yield func(string) bool) {
		for _, c := range s.cfg.Clients {
			if !yield(c.ID) {
				return
			}
		}
	})
	if c := s.client(near); c != nil {
		t.Near = append(t.Near, trace.Line{Text: "the client " + near, Where: where(c.Pos)})
	}
}

func (s *snapshot) hintAudience(t *trace.Trace) {
	api := s.api(t.API)
	if api == nil || t.Claims == nil {
		return
	}
	audiences := map[string]config.API{}
	for _, a := range s.cfg.APIs {
		audiences[a.Audience] = a
	}
	for _, aud := range t.Claims.Audience {
		if of, ok := audiences[aud]; ok {
			t.Why = append(t.Why, trace.Line{Text: "the token is for API " + of.Name + ", and the route is of API " + api.Name, Where: where(of.Pos)})
		} else if near := suggest.Nearest(aud, maps.Keys(audiences)); near != "" {
			t.Near = append(t.Near, trace.Line{Text: fmt.Sprintf("audience %q — did you mean %q?", aud, near), Where: where(audiences[near].Pos)})
		}
	}
	if c := s.client(t.Client); c != nil && t.Issuer == authz.Local {
		if _, granted := c.Grants[api.Name]; !granted {
			t.Why = append(t.Why, trace.Line{Text: "client " + c.ID + " is granted " + grants(c), Where: where(c.Pos)})
			t.Fix = append(t.Fix, s.grantCommand(c, api, s.missing(t)))
		}
	}
	s.hintNewToken(t)
}

func (s *snapshot) hintLimit(t *trace.Trace) {
	t.Why = append(t.Why, trace.Line{Text: t.Detail, Where: t.Where})
	t.Fix = append(t.Fix, "wait for as long as Retry-After says; or raise the rate_limit of the route, its API or the client")
}

func (s *snapshot) hintUpstream(t *trace.Trace) {
	api := s.api(t.API)
	if api == nil {
		return
	}
	var urls []string
	for _, u := range api.Upstreams {
		urls = append(urls, u.URL.Redacted())
	}
	t.Why = append(t.Why, trace.Line{Text: "API " + api.Name + " is behind " + strings.Join(urls, ", "), Where: where(api.Pos)})
	t.Fix = append(t.Fix, "see that the API runs and can be reached from here; the log line of this request says how it failed (upstream_detail)")
}

// api is the API of that name; nil where there is none.
func (s *snapshot) api(name string) *config.API {
	i, ok := slices.BinarySearchFunc(s.cfg.APIs, name, func(a config.API, name string) int { return strings.Compare(a.Name, name) })
	if !ok {
		return nil
	}
	return &s.cfg.APIs[i]
}

// client is our client of that id; nil where there is none.
func (s *snapshot) client(id string) *config.Client {
	i, ok := slices.BinarySearchFunc(s.cfg.Clients, id, func(c config.Client, id string) int { return strings.Compare(c.ID, id) })
	if !ok {
		return nil
	}
	return &s.cfg.Clients[i]
}
