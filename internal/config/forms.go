package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

var aVersion = form[int64]{shape{kind: "whole number", least: 1, most: 1}, func(r *reader, n node) (int64, bool) {
	v, ok := whole(0, math.MaxInt64).read(r, n)
	if ok && v != 1 {
		r.fail(n, "version %d is not known — this gatehouse reads version 1", v)
	}
	return v, ok && v == 1
}}

var nameText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// aName is the pattern of the names of APIs and issuers.
var aName = nameText.String()

func checkName(s string) error {
	switch {
	case !nameText.MatchString(s):
		return fmt.Errorf("%q is not a name — 1 to 64 letters, digits, - and _, the first a letter or digit", clipText(s))
	case s == "local":
		return errors.New("the name local is reserved — choose another")
	}
	return nil
}

var aPrefixName = textIs("prefix", func(s string) error {
	if !nameText.MatchString(s) {
		return fmt.Errorf("%q is not a prefix — 1 to 64 letters, digits, - and _, the first a letter or digit", clipText(s))
	}
	return nil
}).like(aName)

// anIssuerName takes every name: whether the issuer exists is seen once all are known.
var anIssuerName = textIs("issuer's name", notEmpty).like(".")

func checkAlgorithm(s string) error {
	if !slices.Contains(algorithms, s) {
		return fmt.Errorf("unknown algorithm %q — write %s", clipText(s), strings.Join(algorithms, ", "))
	}
	return nil
}

// scopeText is a scope-token of RFC 6749, section 3.3.
var scopeText = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`)

func checkScope(s string) error {
	if !scopeText.MatchString(s) {
		return fmt.Errorf("%q is not a scope — printable ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3)", clipText(s))
	}
	return nil
}

var audienceText = regexp.MustCompile(`^[\x21-\x7E]{1,512}$`)

var anAudience = textIs("audience", func(s string) error {
	if !audienceText.MatchString(s) {
		return fmt.Errorf("%q is not an audience — 1 to 512 printable ASCII characters without spaces, best a URL", clipText(s))
	}
	return nil
}).like(audienceText.String())

// aPassword is exactly one ${NAME}: the file itself never holds it.
var aPassword = form[string]{shape{kind: "variable"}, func(r *reader, n node) (string, bool) {
	name, ok := strings.CutPrefix(n.Value, "${")
	name, closed := strings.CutSuffix(name, "}")
	if n.Kind != yaml.ScalarNode || !ok || !closed || !isVariable(name) {
		n.hide()
		r.fail(n, "a password never stands in the file — write exactly one ${NAME}, or use %s_file", n.name())
		return "", false
	}
	s, err := expand(n.Value, r.getenv)
	if err != nil {
		r.fail(n, "environment variable %s is not set — set it, or use %s_file", name, n.name())
	}
	return s, err == nil
}}

// aPrefix is an address or a block of addresses.
var aPrefix = parsed("block of addresses", func(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is not a block of addresses — write one such as 10.0.0.0/8 or fd00::/8", clipText(s))
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%q is an IPv4 block in IPv6 form — write it as IPv4", clipText(s))
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits set after its length — did you mean %q?", clipText(s), p.Masked())
	}
	return p, nil
}).like("^[0-9A-Fa-f:.]+(/[0-9]+)?$")

// publicURL is server.public_url: the issuer exactly as written, and the URL.
type publicURL struct {
	issuer string
	url    *url.URL
}

var aPublicURL = parsed("URL", func(s string) (publicURL, error) {
	u, err := parseURL(s)
	return publicURL{s, u}, err
}).like(plainURLText)

// urlText is how every URL begins that is read here: its host, and no user. plainURLText is one without query and fragment.
const (
	urlText      = "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@${}*]+([/?#]|$)"
	plainURLText = "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@${}*]+(/[^?#]*)?$"
)

var anUpstream = parsed("URL", parseURL).like(plainURLText)

// parseURL reads an absolute http or https URL without user, query and fragment, whose path is clean. Its errors don't
// repeat what may be a password.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return nil, errors.New("expected an absolute http or https URL" + urlHint(s))
	case strings.ContainsAny(u.Host, "${}*"):
		return nil, errors.New("expected a URL with a host name or an address — a variable is written ${NAME}, and there are no wildcards")
	case u.User != nil:
		return nil, errors.New("a URL with a user or password is not read — remove what stands before the @")
	case strings.ContainsAny(s, "?#"):
		return nil, errors.New("a URL with a query or fragment is not read — remove what follows the path")
	case u.Hostname() == "" || !validPort(u):
		return nil, errors.New("expected a URL with a host, and a port from 1 to 65535 where one is given")
	case u.RawPath != "" || u.Path != "" && !canonical(u.Path):
		return nil, fmt.Errorf("the path %q is not canonical — write it without //, . and .. segments, and escapes", clipText(u.EscapedPath()))
	}
	return u, nil
}

// CheckUpstream says what is wrong with a text as the URL of an upstream, for what becomes a part of a configuration.
func CheckUpstream(s string) error {
	_, err := parseURL(s)
	return err
}

func validPort(u *url.URL) bool {
	return !strings.HasSuffix(u.Host, ":") && (u.Port() == "" || portNumber(u.Port()) > 0)
}

// canonical reports whether p is an absolute path that cleaning leaves alone, up to a trailing slash.
func canonical(p string) bool {
	return p == "/" || path.Clean(p) == strings.TrimSuffix(p, "/") && p[0] == '/'
}

// pathText is what a literal part of a configured path may hold: what a request can hold once it is decoded.
func pathText(p string) error {
	for _, c := range p {
		if c <= ' ' || c == 0x7F || strings.ContainsRune(`?#%\`, c) {
			return fmt.Errorf("%q can't stand in a path — the path is written decoded, without spaces, ?, #, %% and \\", c)
		}
	}
	if !canonical(p) {
		return fmt.Errorf("%q is not canonical — it starts with / and has no // and no . or .. segments", clipText(p))
	}
	return nil
}

func checkStripPrefix(s string) error {
	switch {
	case !strings.HasPrefix(s, "/") || s == "/" || strings.HasSuffix(s, "/"):
		return fmt.Errorf("%q is not a prefix — it starts with / and does not end with one", clipText(s))
	case strings.ContainsAny(s, "{}"):
		return errors.New("a prefix has no wildcards")
	}
	return pathText(s)
}

// scopeRule is what a route's scopes say.
type scopeRule struct {
	all []val[string]
	any [][]val[string]
}

// named are all scopes that the rule names.
func (s scopeRule) named() []val[string] {
	return append(slices.Clone(s.all), slices.Concat(s.any...)...)
}

type rawScopeMap struct {
	all val[[]val[string]]
	any val[[]val[[]val[string]]]
}

var (
	aScope    = textIs("scope", checkScope).like(scopeText.String())
	scopeList = some(aScope)
	// anyMember is one scope, or a list of scopes that count together.
	anyMember = form[[]val[string]]{shape{kind: "text or list", elem: &aScope.shape, alone: true, filled: true}, func(r *reader, n node) ([]val[string], bool) {
		if n.Kind == yaml.SequenceNode {
			return scopeList.read(r, n)
		}
		s, ok := aScope.read(r, n)
		return []val[string]{{v: s, at: n, set: true}}, ok
	}}
	scopeMap = object(
		is("all", scopeList, func(m *rawScopeMap) *val[[]val[string]] { return &m.all }).
			says("Scopes that are all needed.").such("[orders:read]"),
		is("any", some(anyMember), func(m *rawScopeMap) *val[[]val[[]val[string]]] { return &m.any }).
			says("Of these, one is needed; a list within is needed as a whole.").such("[orders:read, orders:write]"),
	)
)

// aScopeRule is a list, all of which is needed, or {all: […], any: […]}.
var aScopeRule = form[scopeRule]{
	shape{kind: "list or object", elem: &aScope.shape, filled: true, keys: scopeMap.shape.keys},
	func(r *reader, n node) (rule scopeRule, ok bool) {
		if n.Kind != yaml.MappingNode {
			rule.all, ok = scopeList.read(r, n)
			return rule, ok
		}
		m, ok := scopeMap.read(r, n)
		if ok && !m.all.present() && !m.any.present() {
			r.fail(n, "expected all or any, or both — write [scope, …] for a route that needs all of them")
			return rule, false
		}
		if !ok {
			return rule, false
		}
		rule.all = m.all.v
		for _, member := range m.any.v {
			rule.any = append(rule.any, member.v)
		}
		return rule, true
	},
}
