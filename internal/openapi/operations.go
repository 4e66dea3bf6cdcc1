package openapi

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// operations reads what stands under paths. Webhooks and callbacks are calls that the API makes, and no routes.
func (r *reading) operations() {
	byID := make(map[string]Operation)
	for path, item := range r.t.Paths.Map() {
		if item == nil {
			continue
		}
		if item.Ref != "" && len(item.Operations()) == 0 {
			r.fail(r.at(item.Origin, ""), "the path %s refers to %s, which leads to no operation: its routes would be missing", printable(path, 200), printable(item.Ref, 200))
		}
		for method, op := range item.Operations() {
			if op == nil {
				continue
			}
			o := Operation{ID: op.OperationID, Method: strings.ToUpper(method), Path: path, Pos: r.at(op.Origin, "")}
			o.Security = r.security(op, o)
			r.doc.Operations = append(r.doc.Operations, o)
			if len(r.doc.Operations) > maxOperations {
				r.fail(Pos{File: r.doc.File}, "the document has more than %d operations, which is the most that is read", maxOperations)
				return
			}
			if op.Servers != nil && len(*op.Servers) > 0 || len(item.Servers) > 0 {
				r.warn(o.Pos, "%s names servers of its own, which are not looked at: its requests go where the others go", o.Label())
			}
		}
	}
	slices.SortFunc(r.doc.Operations, func(a, b Operation) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col), strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	slices.SortStableFunc(r.doc.Warnings, func(a, b Note) int { return cmp.Compare(a.Line, b.Line) })
	if len(r.doc.Operations) == 0 {
		r.fail(Pos{File: r.doc.File}, "the document has no operations, so that there is nothing to serve")
	}
	for _, o := range r.doc.Operations {
		if first, twice := byID[o.ID]; twice && o.ID != "" {
			r.fail(o.Pos, "operationId %q is that of another operation (%s) — each has one of its own", o.Label(), first.Pos)
		}
		byID[o.ID] = o
	}
	slices.SortStableFunc(r.errs, func(a, b Note) int { return cmp.Compare(a.Line, b.Line) })
}

// security is what an operation asks: what it says itself, else what the document says.
func (r *reading) security(op *openapi3.Operation, o Operation) Security {
	list, at := r.t.Security, r.at(r.t.Origin, "security")
	if op.Security != nil {
		list, at = *op.Security, r.at(op.Origin, "security")
	}
	s := Security{Pos: at, Said: list != nil}
	if list == nil {
		s.Pos = o.Pos
	}
	if len(list) > maxAlternatives {
		r.fail(at, "%s has more than %d alternatives of security", o.Label(), maxAlternatives)
		return s
	}
	for _, requirement := range list {
		if len(requirement) == 0 {
			s.Optional = true
			continue
		}
		s.Alternatives = append(s.Alternatives, r.alternative(requirement, at, o))
	}
	s.Optional = s.Optional || s.Said && len(s.Alternatives) == 0
	return s
}

func (r *reading) alternative(requirement openapi3.SecurityRequirement, at Pos, o Operation) (a Alternative) {
	for _, name := range slices.Sorted(maps.Keys(requirement)) {
		scheme := r.scheme(name)
		if scheme == nil {
			r.fail(at, "%s asks for the security scheme %q, which components.securitySchemes does not have", o.Label(), printable(name, 80))
			continue
		}
		for _, scope := range requirement[name] {
			if !scopeText(scope) {
				r.fail(at, "%s asks for %q, which is no scope: scopes are at most 256 characters of printable ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3)",
					o.Label(), printable(scope, 80))
				continue
			}
			a.Scopes = append(a.Scopes, scope)
			if _, declared := r.doc.Scopes[scope]; !declared {
				r.doc.Scopes[scope] = ""
				if scheme.Type == "oauth2" {
					r.warn(at, "%s asks for the scope %s, which no flow of %q declares", o.Label(), scope, printable(name, 80))
				}
			}
		}
		if scheme.Type != "oauth2" && scheme.Type != "openIdConnect" {
			a.Other = append(a.Other, name)
		}
	}
	if len(a.Scopes) > maxScopes {
		r.fail(at, "%s asks for more than %d scopes at once", o.Label(), maxScopes)
	}
	return a
}

const (
	maxAlternatives = 32
	maxScopes       = 64 // of one alternative
)

func (r *reading) scheme(name string) *openapi3.SecurityScheme {
	if r.t.Components == nil {
		return nil
	}
	ref := r.t.Components.SecuritySchemes[name]
	if ref == nil {
		return nil
	}
	return ref.Value
}

// schemes takes the scopes that oauth2 flows declare.
func (r *reading) schemes() {
	if r.t.Components == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.t.Components.SecuritySchemes)) {
		s := r.scheme(name)
		if s == nil || s.Type != "oauth2" || s.Flows == nil {
			continue
		}
		for _, flow := range []*openapi3.OAuthFlow{s.Flows.ClientCredentials, s.Flows.AuthorizationCode, s.Flows.Implicit, s.Flows.Password} {
			if flow == nil {
				continue
			}
			for scope, text := range flow.Scopes {
				if !scopeText(scope) {
					r.fail(r.at(s.Origin, ""), "the scheme %q declares %q, which is no scope: scopes are at most 256 characters of printable ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3)",
						printable(name, 80), printable(scope, 80))
				} else if r.doc.Scopes[scope] == "" {
					r.doc.Scopes[scope] = text
				}
			}
		}
	}
}

// scopeText reports whether s is a scope (RFC 6749, section 3.3).
func scopeText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7E || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= 256
}
