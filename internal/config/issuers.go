package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Defaults of an issuer.
const (
	defaultMaxLifetime = 24 * time.Hour
	defaultMaxStale    = time.Hour
)

var (
	defaultTypes        = []string{"at+jwt", "JWT", "none"}
	defaultScopeClaims  = []string{"scope", "scp"}
	defaultClientClaims = []string{"client_id", "azp", "appid", "cid"}
)

type rawIssuer struct {
	issuer       val[publicURL]
	jwksURI      val[*url.URL]
	algorithms   val[[]val[string]]
	typ          val[[]val[string]]
	scopeClaims  val[[]val[string]]
	clientClaims val[[]val[string]]
	maxLifetime  val[time.Duration]
	maxStale     val[time.Duration]
	insecure     val[bool]
}

var issuerForm = object(
	is("issuer", aPublicURL, func(i *rawIssuer) *val[publicURL] { return &i.issuer }).must().
		says("The iss of its tokens, exactly as it writes it.").such("https://login.example.com/"),
	is("jwks_uri", parsed("URL", keysURL).like(urlText), func(i *rawIssuer) *val[*url.URL] { return &i.jwksURI }).
		says("Where its keys are. By default what its metadata says, which is fetched from the issuer.").such("https://login.example.com/jwks"),
	is("algorithms", some(word(algorithms)), func(i *rawIssuer) *val[[]val[string]] { return &i.algorithms }).must().
		says("What it may sign with.").such("[RS256]"),
	is("typ", some(textIs("typ", checkType).like(typeText.String())), func(i *rawIssuer) *val[[]val[string]] { return &i.typ }).
		says("What typ may be in the header of a token; none is a token without.").otherwise("[at+jwt, JWT, none]"),
	is("scope_claims", some(textIs("claim's name", checkClaim)), func(i *rawIssuer) *val[[]val[string]] { return &i.scopeClaims }).
		says("Where scopes are: the first that a token has counts, a string or an array.").otherwise("[scope, scp]"),
	is("client_claims", some(textIs("claim's name", checkClaim)), func(i *rawIssuer) *val[[]val[string]] { return &i.clientClaims }).
		says("Where the client's id is: the first that a token has counts.").otherwise("[client_id, azp, appid, cid]"),
	// Revocations are kept for a day, so that no token may live longer.
	is("max_lifetime", durationOf(time.Second, 24*time.Hour), func(i *rawIssuer) *val[time.Duration] { return &i.maxLifetime }).
		says("The longest that a token may live.").otherwise("24h"),
	is("max_stale", durationOf(time.Second, 30*24*time.Hour), func(i *rawIssuer) *val[time.Duration] { return &i.maxStale }).
		says("How long its keys count after they were last fetched; then its tokens are answered 503.").otherwise("1h"),
	is("insecure", aBool, func(i *rawIssuer) *val[bool] { return &i.insecure }).
		says("Allows http.").otherwise("false"),
)

// typeText is a subtype of a media type (RFC 6838, section 4.2).
var typeText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$`)

func checkType(s string) error {
	if !typeText.MatchString(s) {
		return fmt.Errorf("%q is no typ — write at+jwt or JWT, without application/, or none for tokens that have none", clipText(s))
	}
	return nil
}

func checkClaim(s string) error {
	if s == "" || len(s) > 256 || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return errors.New("expected the name of a claim — 1 to 256 characters, none of them a control character")
	}
	return nil
}

// buildIssuers turns the issuers into their final form, sorted by name.
func (r *reader) buildIssuers(c *Config, raw *rawConfig) {
	seen := map[string]entry[*rawIssuer]{}
	for _, e := range raw.issuers.v {
		if !e.set {
			continue
		}
		if x := e.v.issuer; x.set {
			other, twice := seen[x.v.issuer]
			switch {
			case x.v.issuer == c.Server.Issuer:
				r.fail(x.at, "is server.public_url, which is the issuer named local — write local in an API's issuers")
			case twice:
				r.fail(x.at, "is already the issuer of issuers.%s (%s) — every issuer stands once", other.name, other.v.issuer.at.ref())
			}
			seen[x.v.issuer] = e
		}
		c.Issuers = append(c.Issuers, r.buildIssuer(e, c))
	}
	slices.SortFunc(c.Issuers, func(a, b Issuer) int { return strings.Compare(a.Name, b.Name) })
}

func (r *reader) buildIssuer(e entry[*rawIssuer], c *Config) Issuer {
	raw := e.v
	out := Issuer{Name: e.name, Pos: e.key.pos(), Issuer: raw.issuer.v.issuer, Algorithms: plainList(raw.algorithms),
		Types: listOr(raw.typ, defaultTypes), ScopeClaims: listOr(raw.scopeClaims, defaultScopeClaims),
		ClientClaims: listOr(raw.clientClaims, defaultClientClaims), MaxLifetime: raw.maxLifetime.or(defaultMaxLifetime),
		MaxStale: raw.maxStale.or(defaultMaxStale), Insecure: raw.insecure.v}
	at, from := raw.issuer.at, raw.issuer.v.url // where the metadata is
	if raw.jwksURI.present() {
		at, from = raw.jwksURI.at, raw.jwksURI.v
	}
	if from == nil { // reported
		return out
	}
	if raw.jwksURI.set {
		out.JWKSURI = from.String()
	}
	if from.Scheme == "http" && !out.Insecure {
		r.fail(at, "whoever is between could put in keys of their own — use https, or allow http with insecure: true")
	}
	r.keysElsewhere(c, at, from, "the issuer")
	return out
}

func listOr(x val[[]val[string]], fallback []string) []string {
	if x.set {
		return plainList(x)
	}
	return fallback
}

// issuersOf are the names of the issuers whose tokens an API accepts.
func (r *reader) issuersOf(a *rawAPI, c *Config) []string {
	if !a.issuers.set {
		return []string{"local"}
	}
	known := []string{"local"}
	for _, i := range c.Issuers {
		known = append(known, i.Name)
	}
	for _, name := range a.issuers.v {
		if !slices.Contains(known, name.v) {
			r.fail(name.at, "unknown issuer %q%s", clipText(name.at.Value), issuerMeant(name.v, known))
		}
	}
	return plainList(a.issuers)
}

func issuerMeant(name string, known []string) string {
	if meant := didYouMean(name, slices.Values(known)); meant != "" {
		return meant
	}
	return " — declare it under issuers"
}
