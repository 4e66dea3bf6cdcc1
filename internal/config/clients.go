package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/secret"
)

type rawClients struct {
	version val[int64]
	clients val[[]entry[*rawClient]]
}

// clientsForm is the whole language of clients.yaml.
var clientsForm = object(
	is("version", aVersion, func(c *rawClients) *val[int64] { return &c.version }).must().
		says("The version of the language that this file is written in.").such("1"),
	is("clients", mapOf(clientForm, checkClientID).named(clientIDText.String()), func(c *rawClients) *val[[]entry[*rawClient]] { return &c.clients }).
		says("Who may ask for tokens, by client id."),
)

type rawClient struct {
	grants     val[[]entry[[]val[string]]]
	grantTypes val[[]val[string]]
	auth       val[string]
	secrets    val[[]val[*rawSecret]]
	jwksFile   val[string]
	jwksURI    val[*url.URL]
	algorithms val[[]val[string]]
	tlsSubject val[*rawTLSSubject]
	ttl        val[time.Duration]
	quota      val[[]*rawQuota]
	rateLimit  val[[]*rawLimit]
	introspect val[[]val[string]]
	disabled   val[bool]
}

var clientForm = object(
	is("grants", mapOf(list(aScope), checkAny), func(c *rawClient) *val[[]entry[[]val[string]]] { return &c.grants }).
		says("By API, the most that it may ask for; [] is good for routes with auth: token.").such("{orders: [orders:read]}"),
	is("grant_types", list(word([]string{"client_credentials"})), func(c *rawClient) *val[[]val[string]] { return &c.grantTypes }).
		says("How it may ask; [] may ask for no token.").otherwise("[client_credentials]"),
	is("auth", word([]string{"client_secret_basic", "client_secret_post", privateKeyJWT, tlsClientAuth, selfSignedAuth}),
		func(c *rawClient) *val[string] { return &c.auth }).
		says("How it authenticates. By default with client_secret_basic or client_secret_post. With one of the last two it shows a certificate (RFC 8705), which takes server.tls.").such("private_key_jwt"),
	is("secrets", list(secretForm), func(c *rawClient) *val[[]val[*rawSecret]] { return &c.secrets }).
		says("Its secrets. Two or more may be good at once, to change one without a gap.").such("[{sha256: 9f2c41d0c0b14ee1a5c08be9a9b0e5b6f1e6d2b7a1f6c4cf6b6a9ad51f7a0e31}]"),
	is("ttl", aTTL, func(c *rawClient) *val[time.Duration] { return &c.ttl }).
		says("How long its tokens are good. It may only shorten its APIs' own.").such("5m"),
	is("quota", quotasForm, func(c *rawClient) *val[[]*rawQuota] { return &c.quota }).
		says("How many tokens it is issued: one quota, or a list of them.").such("{tokens: 1000, per: 1h}"),
	is("rate_limit", ownLimitsForm, func(c *rawClient) *val[[]*rawLimit] { return &c.rateLimit }).
		says("Its own limit, one bucket over all APIs in place of theirs by client: one, or a list of them.").such("{requests: 50, per: 1s}"),
	is("introspect", list(textIs("name of an API", nil)), func(c *rawClient) *val[[]val[string]] { return &c.introspect }).
		says("The APIs whose tokens it may ask about, as an API's own client does.").otherwise("[]").such("[orders]"),
	is("disabled", aBool, func(c *rawClient) *val[bool] { return &c.disabled }).
		says("Refuses its secrets, and the tokens that it has.").otherwise("false"),
	is("jwks_file", aFile, func(c *rawClient) *val[string] { return &c.jwksFile }).
		says("With auth: private_key_jwt or self_signed_tls_client_auth, its public keys as a JWK Set. It is read again when it changes.").such("billing.jwks.json"),
	is("jwks_uri", aKeysURL, func(c *rawClient) *val[*url.URL] { return &c.jwksURI }).
		says("Where they are fetched: every 10 minutes, and when a kid is not known.").such("https://billing.example.com/jwks.json"),
	is("assertion_algorithms", some(word(algorithms)), func(c *rawClient) *val[[]val[string]] { return &c.algorithms }).
		says("What it may sign with. Whatever fits its keys by default.").such("[ES256]"),
	is("tls_subject", tlsSubjectForm, func(c *rawClient) *val[*rawTLSSubject] { return &c.tlsSubject }).
		says("With auth: tls_client_auth, what its certificate must name.").such("{san_dns: billing.internal}"),
).atMost("jwks_file", "jwks_uri")

// privateKeyJWT is the method in which a client signs an assertion (RFC 7523).
const privateKeyJWT = "private_key_jwt"

var clientIDText = regexp.MustCompile(`^[\x21-\x7E]([\x20-\x7E]{0,126}[\x21-\x7E])?$`)

// checkClientID says what is wrong with a client's id, if anything: it is 1 to 128 printable ASCII characters, and
// neither starts nor ends with a space.
// CheckClientID says what is wrong with a text as the id of a client.
func CheckClientID(id string) error { return checkClientID(id) }

func checkClientID(id string) error {
	if !clientIDText.MatchString(id) {
		return fmt.Errorf("%q is not a client id — 1 to 128 printable ASCII characters, no space at either end", clipText(id))
	}
	return nil
}

// checkAny takes every name: whether the API exists is seen once all are known.
func checkAny(string) error { return nil }

// readClients reads the clients file. It returns nil where it can't be read.
func (r *reader) readClients(x val[string]) (node, *rawClients) {
	if !x.set {
		return node{}, nil
	}
	path := near(x.at, x.v)
	content, err := r.files.file(path, maxFile)
	if err != nil {
		r.fail(x.at, "%v — gatehouse client create makes it, or write a file with version: 1", err)
		return node{}, nil
	}
	root, ok := r.parse(path, content)
	if !ok {
		return node{}, nil
	}
	raw, _ := clientsForm.read(r, root)
	return root, raw
}

func (r *reader) buildClients(c *Config, raw *rawClients, apis []entry[*rawAPI]) {
	if raw == nil {
		return
	}
	known := make(map[string]int, len(apis))
	for i, e := range apis {
		known[e.name] = i
	}
	c.Clients = make([]Client, 0, len(raw.clients.v))
	for _, e := range raw.clients.v {
		if e.set {
			c.Clients = append(c.Clients, r.buildClient(e, c, apis, known))
		}
	}
	slices.SortFunc(c.Clients, func(a, b Client) int { return strings.Compare(a.ID, b.ID) })
	r.checkCosts(raw)
}

// checkCosts warns of argon2id hashes that differ in cost: so that a wrong secret takes as long for every client, each is
// compared with one hash of every cost.
func (r *reader) checkCosts(raw *rawClients) {
	var first val[*secret.Argon2id]
	for _, e := range raw.clients.v {
		if !e.set {
			continue
		}
		for _, s := range e.v.secrets.v {
			switch h := s.v.argon2id; {
			case !h.set:
			case !first.set:
				first = h
			case h.v.Cost() != first.v.Cost():
				r.warn(h.at, "has other parameters than the hash at %s: every secret of unknown form is compared with one of each — use one set of parameters", first.at.ref())
				return
			}
		}
	}
}

func (r *reader) buildClient(e entry[*rawClient], c *Config, apis []entry[*rawAPI], known map[string]int) Client {
	raw := e.v
	out := Client{
		ID:         e.name,
		Pos:        e.key.pos(),
		Grants:     make(map[string][]string),
		GrantTypes: []string{"client_credentials"},
		Auth:       raw.auth.v,
		TTL:        raw.ttl.v,
		Disabled:   raw.disabled.v,
	}
	if raw.grantTypes.set {
		out.GrantTypes = plainList(raw.grantTypes)
	}
	out.Quotas = quotasOf(raw.quota.v)
	out.RateLimits = limitsOf("client", raw.rateLimit.v, "client")
	for _, api := range raw.introspect.v {
		if _, ok := known[api.v]; !ok {
			r.fail(api.at, "unknown API %q%s", clipText(api.v), apiHint(api.v, known))
		}
	}
	out.Introspect = plainList(raw.introspect)
	longest := time.Duration(0)
	for _, g := range raw.grants.v {
		i, ok := known[g.name]
		if !ok {
			if len(known) > 0 { // else what is wrong with apis has been told
				r.fail(g.key, "unknown API %q%s", clipText(g.name), apiHint(g.name, known))
			}
			continue
		}
		if !slices.Contains(c.APIs[i].Issuers, "local") {
			r.fail(g.key, "API %q refuses our own tokens: its issuers lack local — add local there, or remove the grant", clipText(g.name))
		}
		longest = max(longest, c.APIs[i].TTL)
		for _, s := range g.v {
			r.checkDeclared(s, apis[i].v, &c.APIs[i])
		}
		out.Grants[g.name] = plainList(g.val)
	}
	if raw.ttl.set && len(out.Grants) > 0 && raw.ttl.v > longest {
		r.warn(raw.ttl.at, "has no effect: a client's ttl may only shorten, and its APIs' is at most %s", short(longest))
	}
	for i, l := range raw.rateLimit.v {
		r.checkReach(l.at, out.RateLimits[i], &out, c)
	}
	for _, s := range raw.secrets.v {
		out.Secrets = append(out.Secrets, r.buildSecret(s))
	}
	out.Keys, out.TLSSubject = r.clientKeys(c, raw), r.buildTLSSubject(c, e)
	r.checkCredentials(e, &out)
	return out
}

// checkReach reports a client's limit whose full bucket could not pay for a route that the client may call.
func (r *reader) checkReach(at node, l RateLimit, client *Client, c *Config) {
	for _, api := range c.APIs {
		scopes, granted := client.Grants[api.Name]
		for _, route := range api.Routes {
			if granted && l.Burst > 0 && route.Cost > l.Burst && route.MetBy(scopes) {
				r.fail(at, "burst %d is below the cost %d of %q of API %s, so that this client's requests would never pass — raise the burst", l.Burst, route.Cost, route.Match, api.Name)
				return
			}
		}
	}
}

// MetBy reports whether a token with these scopes may use the route. A public route reads no token.
func (t *Route) MetBy(scopes []string) bool {
	has := func(s string) bool { return slices.Contains(scopes, s) }
	all := func(list []string) bool { return !slices.ContainsFunc(list, func(s string) bool { return !has(s) }) }
	return t.Auth == "token" || t.Auth == "scopes" && all(t.All) && (len(t.Any) == 0 || slices.ContainsFunc(t.Any, all))
}

// checkCredentials warns of a client that can't authenticate, and of credentials that it can't use.
func (r *reader) checkCredentials(e entry[*rawClient], c *Client) {
	raw, keyed, secret := e.v, c.Auth == privateKeyJWT || c.Auth == selfSignedAuth, c.Auth == "" || strings.HasPrefix(c.Auth, "client_secret_")
	keys := raw.jwksFile.at
	if raw.jwksURI.present() {
		keys = raw.jwksURI.at
	}
	switch {
	case !secret && len(c.Secrets) > 0:
		r.warn(raw.secrets.at, "have no effect: auth is %s", c.Auth)
	case !keyed && keys.Node != nil:
		r.warn(keys, "has no effect without auth: private_key_jwt or self_signed_tls_client_auth")
	case raw.algorithms.present() && keys.Node == nil:
		r.warn(raw.algorithms.at, "has no effect without jwks_file or jwks_uri")
	}
	switch {
	case c.Disabled:
	case keyed && keys.Node == nil:
		r.warn(e.key, "client %q has no credential, so that it can't get a token — add jwks_file or jwks_uri, or disable it", e.name)
	case secret && len(c.Secrets) == 0:
		r.warn(e.key, "client %q has no credential, so that it can't get a token — add a secret, or disable it", e.name)
	}
}
