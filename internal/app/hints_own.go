package app

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/authz"
	"gatehouse/internal/config"
	"gatehouse/internal/suggest"
	"gatehouse/internal/trace"
)

// hintScope says which scopes are missing, and from what: from the token or from the grant.
func (s *snapshot) hintScope(t *trace.Trace) {
	api := s.api(t.API)
	if api == nil || t.Claims == nil {
		return
	}
	has := strings.Fields(t.Claims.Scopes)
	missing := s.missing(t)
	for _, scope := range has {
		_, declared := api.Scopes[scope]
		if near := suggest.Nearest(scope, slices.Values(missing)); near != "" && !declared {
			t.Near = append(t.Near, trace.Line{Text: fmt.Sprintf("scope %q — did you mean %q?", scope, near)})
		}
	}
	c := s.client(t.Client)
	if t.Issuer != authz.Local || c == nil {
		t.Why = append(t.Why, trace.Line{Text: "the issuer " + t.Issuer + " decides which scopes its clients get"})
		t.Fix = append(t.Fix, "have "+t.Issuer+" give the client "+strings.Join(missing, " "))
		return
	}
	t.Why = append(t.Why, trace.Line{Text: "client " + c.ID + " is granted " + grants(c), Where: where(c.Pos)})
	ungranted := slices.DeleteFunc(slices.Clone(missing), func(scope string) bool { return slices.Contains(c.Grants[api.Name], scope) })
	if len(ungranted) > 0 {
		t.Fix = append(t.Fix, s.grantCommand(c, api, ungranted))
		return
	}
	t.Why = append(t.Why, trace.Line{Text: "what the route needs is granted; this token was asked for with fewer scopes, or before it was"})
	t.Fix = append(t.Fix, s.command("token get", "--audience", api.Audience, "--scope", strings.Join(append(has, missing...), " ")))
}

// missing are the scopes that the route of a trace needs and its token has not: of alternatives, those of the nearest.
func (s *snapshot) missing(t *trace.Trace) []string {
	route := s.route(t.API, t.Route)
	if route == nil {
		return nil
	}
	var has []string
	if t.Claims != nil {
		has = strings.Fields(t.Claims.Scopes)
	}
	lacks := func(need []string) []string {
		return slices.DeleteFunc(slices.Clone(need), func(scope string) bool { return slices.Contains(has, scope) })
	}
	out := lacks(route.All)
	for i, best := 0, []string(nil); i < len(route.Any); i++ {
		if l := lacks(route.Any[i]); best == nil || len(l) < len(best) {
			best = l
		}
		if i == len(route.Any)-1 {
			out = append(out, best...)
		}
	}
	return out
}

// route is the route of an API by its match; nil where there is none.
func (s *snapshot) route(api, match string) *config.Route {
	a := s.api(api)
	if a == nil {
		return nil
	}
	i := slices.IndexFunc(a.Routes, func(r config.Route) bool { return r.Match == match })
	if i < 0 {
		return nil
	}
	return &a.Routes[i]
}

// grants are what a client may ask for, in the manner of "orders:[orders:read] users:[]".
func grants(c *config.Client) string {
	if len(c.Grants) == 0 {
		return "nothing"
	}
	var out []string
	for _, api := range slices.Sorted(maps.Keys(c.Grants)) {
		out = append(out, api+":["+strings.Join(c.Grants[api], " ")+"]")
	}
	return strings.Join(out, " ")
}

// grantCommand gives a client scopes of an API.
func (s *snapshot) grantCommand(c *config.Client, api *config.API, scopes []string) string {
	return s.command("client grant", c.ID, strings.TrimSuffix(api.Name+":"+strings.Join(scopes, ","), ":"))
}

// command is one to paste: the words of its name, what it is given, and where the configuration is unless the command finds it.
func (s *snapshot) command(name string, args ...string) string {
	out := "gatehouse " + name
	for _, a := range args {
		out += " " + quote(a)
	}
	if file := filepath.Clean(s.cfg.File); !slices.Contains([]string{"config.yaml", "/etc/gatehouse/config.yaml"}, file) {
		out += " -c " + quote(file)
	}
	return out
}

// hintOwn is about a refusal of the token endpoint, or of those beside it.
func (s *snapshot) hintOwn(t *trace.Trace) {
	if step := t.Step(trace.Hook); step != nil && step.Outcome == trace.Failed {
		s.hintHook(t)
		return
	}
	c := s.client(t.Client)
	switch t.Reason {
	case "invalid_client", "too_many_requests", "temporarily_unavailable":
		if step := t.Step(trace.Quota); step != nil && step.Outcome == trace.Failed && c != nil {
			t.Why = append(t.Why, trace.Line{Text: "client " + c.ID + " has a quota", Where: where(c.Pos)})
			t.Fix = append(t.Fix, "have the client keep each token until shortly before it expires; or raise its quota")
			return
		}
		s.hintAuthentication(t)
	case "invalid_scope":
		s.hintAsked(t, c)
	case "invalid_target", "access_denied":
		s.hintTarget(t, c)
	case "unauthorized_client":
		if c != nil {
			t.Why = append(t.Why, trace.Line{Text: "client " + c.ID + " has grant_types: [" + strings.Join(c.GrantTypes, " ") + "]", Where: where(c.Pos)})
			t.Fix = append(t.Fix, "take grant_types off the client, or add client_credentials")
		}
	case "unsupported_grant_type", "invalid_request":
		t.Fix = append(t.Fix, "gatehouse token get sends a request that is right; or: curl -u ID:SECRET -d grant_type=client_credentials URL")
	}
}

// authFixes are what to do about a client that did not authenticate, by why it did not.
var authFixes = map[string]string{
	"no_credentials":     "send the id and the secret by HTTP Basic: curl -u ID:SECRET; or what the client's auth in clients.yaml asks for",
	"malformed":          "send the id and the secret by HTTP Basic: curl -u ID:SECRET",
	"unknown_client":     "gatehouse client list shows the clients that there are",
	"wrong_secret":       "look for a space or a line end that went along with the secret; gatehouse client rotate ID makes a new one",
	"secret_not_live":    "gatehouse client show ID says when each secret is good; gatehouse client rotate ID makes a new one",
	"wrong_method":       "authenticate as auth in clients.yaml says, or change it",
	"client_disabled":    "gatehouse client enable ID",
	"invalid_assertion":  "the assertion has iss and sub equal to the client's id, aud equal to public_url, exp at most 5 minutes ahead, and a jti",
	"assertion_replayed": "make a new assertion, with a jti of its own, for each request",
	"invalid_certificate": "see what its certificate names: openssl x509 -noout -subject -ext subjectAltName; and that tls_subject, or jwks_file, says the same; " +
		"for tls_client_auth, that server.tls.client_ca_file has who signed it",
	"locked_out": "wait for as long as Retry-After says; the failures before it have the reason",
	"no_keys":    "see that the jwks_uri of the client can be reached from here",
}

// proofFixes are what to do about a client that sent a secret, by the auth that it has in place of one.
var proofFixes = map[string]string{
	"private_key_jwt":             "send a client_assertion that is signed with a key of the client",
	"tls_client_auth":             showCertificate,
	"self_signed_tls_client_auth": showCertificate,
}

const showCertificate = "show the client's certificate in the TLS handshake: gatehouse token get --cert-file FILE --key-file FILE"

func (s *snapshot) hintAuthentication(t *trace.Trace) {
	if t.Asked == nil || t.Asked.Failure == "" {
		return
	}
	t.Why = append(t.Why, trace.Line{Text: "the client did not authenticate: " + strings.ReplaceAll(t.Asked.Failure, "_", " ")})
	claimed := s.client(t.Asked.Claimed)
	switch {
	case claimed != nil:
		t.Why = append(t.Why, trace.Line{Text: "the request named the client " + claimed.ID, Where: where(claimed.Pos)})
	case t.Asked.Claimed != "":
		s.nearClient(t, t.Asked.Claimed)
	}
	if claimed != nil && t.Asked.Failure == "wrong_secret" && proofFixes[claimed.Auth] != "" {
		t.Why = append(t.Why, trace.Line{Text: "its auth is " + claimed.Auth + ", with which no secret counts", Where: where(claimed.Pos)})
		t.Fix = append(t.Fix, proofFixes[claimed.Auth])
		return
	}
	if fix := authFixes[t.Asked.Failure]; fix != "" {
		t.Fix = append(t.Fix, s.filled(fix, claimed))
	}
}

// filled is a fix whose commands can be pasted: with the client's id where that is known, and with the configuration's file.
func (s *snapshot) filled(fix string, c *config.Client) string {
	fix = strings.ReplaceAll(fix, "gatehouse client list", s.command("client list"))
	if c == nil {
		return fix
	}
	for _, name := range []string{"client rotate", "client show", "client enable"} {
		fix = strings.ReplaceAll(fix, "gatehouse "+name+" ID", s.command(name, c.ID))
	}
	return fix
}

// hintHook is about a hook that denied, or did not answer.
func (s *snapshot) hintHook(t *trace.Trace) {
	api := s.byAudience(t.Asked.Audience)
	if api == nil || api.Hook == nil { // since then, a reload has taken it away
		return
	}
	at := withoutQuery(api.Hook.URL)
	t.Why = append(t.Why, trace.Line{Text: "the hook of " + api.Name + " has the last word on its tokens: " + at.String(), Where: where(api.Pos)})
	if t.Reason == "temporarily_unavailable" {
		t.Fix = append(t.Fix, s.command("check --deep")+" tells whether it can be reached; it must answer 200 within "+api.Hook.Timeout.String())
		return
	}
	t.Fix = append(t.Fix, "ask who runs that hook, which was told the request id")
}

// hintAsked is about scopes that a client asked for and is not granted.
func (s *snapshot) hintAsked(t *trace.Trace, c *config.Client) {
	if c == nil || t.Asked == nil {
		return
	}
	t.Why = append(t.Why, trace.Line{Text: "client " + c.ID + " is granted " + grants(c), Where: where(c.Pos)})
	api := s.byAudience(t.Asked.Audience)
	if api == nil {
		return
	}
	granted := c.Grants[api.Name]
	for _, scope := range strings.Fields(t.Asked.Scope) {
		_, declared := api.Scopes[scope]
		switch near := suggest.Nearest(scope, maps.Keys(api.Scopes)); {
		case slices.Contains(granted, scope):
		case declared:
			t.Fix = append(t.Fix, s.grantCommand(c, api, []string{scope}))
		case near != "":
			t.Near = append(t.Near, trace.Line{Text: fmt.Sprintf("scope %q — did you mean %q?", scope, near), Where: where(api.Pos)})
		default:
			t.Why = append(t.Why, trace.Line{Text: fmt.Sprintf("API %s declares no scope %q", api.Name, scope), Where: where(api.Pos)})
		}
	}
	if len(t.Fix) == 0 && len(granted) > 0 {
		t.Fix = append(t.Fix, "ask for "+strings.Join(granted, " ")+", or for no scope, which gives all that is granted")
	}
}

// hintTarget is about an API that a client asked for and has no grant for.
func (s *snapshot) hintTarget(t *trace.Trace, c *config.Client) {
	if c == nil || t.Asked == nil {
		return
	}
	t.Why = append(t.Why, trace.Line{Text: "client " + c.ID + " is granted " + grants(c), Where: where(c.Pos)})
	if api := s.byAudience(t.Asked.Audience); api != nil {
		t.Fix = append(t.Fix, s.grantCommand(c, api, s.missing(t)))
		return
	}
	var known []string
	for _, api := range s.cfg.APIs {
		known = append(known, api.Audience)
	}
	if near := suggest.Nearest(t.Asked.Audience, slices.Values(known)); near != "" {
		t.Near = append(t.Near, trace.Line{Text: fmt.Sprintf("audience %q — did you mean %q?", t.Asked.Audience, near), Where: where(s.byAudience(near).Pos)})
	}
	for api := range c.Grants {
		if a := s.api(api); a != nil {
			t.Fix = append(t.Fix, s.command("token get", "--audience", a.Audience))
		}
	}
	slices.Sort(t.Fix)
}

// byAudience is the API with that audience; nil where there is none.
func (s *snapshot) byAudience(audience string) *config.API {
	i := slices.IndexFunc(s.cfg.APIs, func(a config.API) bool { return a.Audience == audience })
	if i < 0 {
		return nil
	}
	return &s.cfg.APIs[i]
}

// quote is s as one word of a shell's command line.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/._-,@+=%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
