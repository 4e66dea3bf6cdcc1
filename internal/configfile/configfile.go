// Package configfile writes config.yaml: whole, for a gateway that begins, and the routes in it that an OpenAPI document asks
// for. It writes text at the right places and leaves every other byte alone. A route that it wrote says so in a comment, "# from
// openapi: listPets", and no other is changed.
package configfile

import (
	"fmt"
	"regexp"
	"strings"

	"gatehouse/internal/openapi"
)

const mark = "# from openapi: "

// marked finds a mark, and people's own words behind it.
var marked = regexp.MustCompile(`# from openapi: ([^#]*[^#\s])\s*(?:#.*)?$`)

// labelOf is what a mark says of a route.
func labelOf(r openapi.Route) string { return strings.ReplaceAll(r.Label(), "#", "_") }

// NewConfig is a configuration with one API.
type NewConfig struct {
	API      string // the name: 1 to 64 letters, digits, - and _
	Upstream string // URL
	OpenAPI  string // the document that describes the API, as the file names it; empty: none
	From     string // what the routes were made from, for people; empty: not said
	Plan     *openapi.Plan
	Describe func(scope string) string // text of a scope, on one line
}

// Listen and Admin are the addresses of a new configuration.
const (
	Listen = "127.0.0.1:8080"
	Admin  = "127.0.0.1:8081"
)

// New is the text of a new config.yaml.
func New(c NewConfig) string {
	var b strings.Builder
	b.WriteString("# Every key is in config.example.yaml of Gatehouse. Look for mistakes with:  gatehouse check\n")
	fmt.Fprintf(&b, "version: 1\nserver:\n  listen: %s\n  public_url: http://%s   # the issuer; https://… in production\n", Listen, Listen)
	fmt.Fprintf(&b, "admin:\n  listen: %s\nstate:\n  dir: ./state\nclients_file: clients.yaml\n", Admin)
	fmt.Fprintf(&b, "apis:\n  %s:%s\n    audience: http://%s/%s\n    upstream: %s\n", c.API, comment(c.From), Listen, c.API, value(c.Upstream))
	if c.OpenAPI != "" {
		fmt.Fprintf(&b, "    openapi: %s   # check compares the routes with it\n", value(c.OpenAPI))
	}
	if len(c.Plan.Scopes) > 0 {
		b.WriteString("    scopes:\n")
		for _, s := range c.Plan.Scopes {
			b.WriteString("      " + scope(s, c.Describe) + "\n")
		}
	}
	b.WriteString("    routes:\n")
	for _, r := range c.Plan.Routes {
		b.WriteString(route(r, "      "))
	}
	return b.String()
}

func comment(text string) string {
	if text == "" {
		return ""
	}
	return "   # " + text
}

func scope(name string, describe func(string) string) string {
	return quote(name) + ": " + value(describe(name))
}

// route is a route's two lines, with its dash after the indentation.
func route(r openapi.Route, indent string) string {
	from := ""
	if len(r.Operations) > 0 {
		from = "   " + mark + labelOf(r)
	}
	return fmt.Sprintf("%s- match: %s%s\n%s  %s\n", indent, matchText(r.Match()), from, indent, rule(r.Requirement))
}
