package tokenep

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/internal/hook"
	"gatehouse/internal/token"
)

// API is an audience that tokens are issued for.
type API struct {
	Name      string
	Audience  string       // its identifier, compared byte for byte
	Scopes    token.Scopes // what it declares; empty: none
	Algorithm token.Algorithm
	TTL       time.Duration // how long its tokens live, in whole seconds
	Dialect   token.Dialect
	Narrow    bool       // scopes that were asked and are not granted are left out instead of refused
	Claims    []Claim    // of its tokens, besides the gateway's own
	Hook      *hook.Hook // asked before each of its tokens is issued; nil: nobody is

	// How old what is known of revocations may be for introspection, and whether it goes on where it is older.
	MaxStaleness time.Duration
	AllowStale   bool
}

// chooseAPI finds the one API that a token is asked for: the one named by audience or resource (RFC 8707 §2), else the
// client's only one, else the one that owns the asked scopes.
func (s *Server) chooseAPI(c *Client, f form, asked token.Scopes) (*API, *refusal) {
	target, ref := namedTarget(f)
	if ref != nil {
		return nil, ref
	}
	if target == "" {
		return s.impliedAPI(c, asked)
	}
	api := s.byAudience[target]
	if api == nil {
		return nil, notGranted()
	}
	if _, granted := c.Grants[api.Name]; granted {
		return api, nil
	}
	if api.Dialect == token.Auth0 {
		return nil, &refusal{status: http.StatusForbidden, word: accessDenied, description: "the client has no grant for this API"}
	}
	return nil, notGranted()
}

// notGranted is the same for an API that is not there and one that the client may not know of.
func notGranted() *refusal {
	return refuse(invalidTarget, "audience or resource names no API that this client has a grant for")
}

// namedTarget returns what audience or resource names; "" where both are absent. One token has one audience.
func namedTarget(f form) (string, *refusal) {
	if len(f.resources) == 0 {
		return f.get("audience"), nil
	}
	if len(f.resources) > 1 {
		return "", refuse(invalidTarget, "more than one resource is given; a token is for one")
	}
	resource := f.resources[0]
	if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
		return "", refuse(invalidTarget, "resource must be an absolute URI without a fragment")
	}
	if audience := f.get("audience"); audience != "" && audience != resource {
		return "", refuse(invalidTarget, "audience and resource name different APIs")
	}
	return resource, nil
}

// impliedAPI chooses for a request that names no target. Every asked scope must belong to one and the same API.
func (s *Server) impliedAPI(c *Client, asked token.Scopes) (*API, *refusal) {
	if len(c.Grants) == 1 {
		for name := range c.Grants {
			return s.byName[name], nil
		}
	}
	var chosen *API
	for scope := range asked.All() {
		owner := s.owner(c, scope)
		if owner == nil || chosen != nil && owner != chosen {
			return nil, refuse(invalidTarget, "audience is missing, and scope does not tell which API the token is for")
		}
		chosen = owner
	}
	if chosen == nil {
		return nil, refuse(invalidTarget, "audience is missing: say which API the token is for")
	}
	return chosen, nil
}

// owner is the one API, of those the client has a grant for, that declares the scope; nil where none or several do.
func (s *Server) owner(c *Client, scope string) (owner *API) {
	for name := range c.Grants {
		api := s.byName[name]
		if !api.Scopes.Has(scope) {
			continue
		}
		if owner != nil {
			return nil
		}
		owner = api
	}
	return owner
}

// chooseScopes returns what the token will hold: never more than the grant. None asked means all that is granted.
func chooseScopes(granted, asked token.Scopes, narrow bool) (token.Scopes, *refusal) {
	if asked.Len() == 0 {
		return granted, nil
	}
	if granted.Contains(asked) {
		return asked, nil
	}
	if some := granted.Intersect(asked); narrow && some.Len() > 0 {
		return some, nil
	}
	return token.Scopes{}, refuse(invalidScope, "scope holds a value that this client may not ask for")
}
