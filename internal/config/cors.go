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

// defaultCORSAge is how long a browser may keep the answer to a preflight.
const defaultCORSAge = 10 * time.Minute

type rawCORS struct {
	origins     val[[]val[string]]
	methods     val[[]val[string]]
	headers     val[[]val[string]]
	expose      val[[]val[string]]
	credentials val[bool]
	maxAge      val[time.Duration]
}

var corsForm = object(
	is("origins", some(textIs("origin", checkOrigin).like("^([*]|[^A-Z/]+://[^A-Z/]+)$")), func(c *rawCORS) *val[[]val[string]] { return &c.origins }).must().
		says(`Whose pages may read responses, as browsers write them; "*" is every page.`).such(`["https://app.example.com"]`),
	is("methods", some(textIs("method", checkCORSMethod).like(fieldName.String())), func(c *rawCORS) *val[[]val[string]] { return &c.methods }).
		says("The methods that they may send.").otherwise("[GET]"),
	is("headers", list(textIs("header's name", checkHeaderName).like(fieldName.String())), func(c *rawCORS) *val[[]val[string]] { return &c.headers }).
		says("The headers that they may send. To send tokens takes Authorization.").otherwise("[]").such("[Authorization]"),
	is("expose", list(textIs("header's name", checkHeaderName).like(fieldName.String())), func(c *rawCORS) *val[[]val[string]] { return &c.expose }).
		says("The headers of responses that they may read.").otherwise("[]"),
	is("credentials", aBool, func(c *rawCORS) *val[bool] { return &c.credentials }).
		says(`Lets them send cookies; never with the origin "*".`).otherwise("false"),
	is("max_age", durationOf(time.Second, 24*time.Hour), func(c *rawCORS) *val[time.Duration] { return &c.maxAge }).
		says("How long a browser may keep the answer to a preflight.").otherwise("10m"),
)

// checkOrigin takes what a browser writes into Origin, and *. The origin null is everybody's: any page can have it.
func checkOrigin(s string) error {
	if s == "*" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Hostname() == "" || !isHost(u.Hostname()) || !validPort(u) || s != u.Scheme+"://"+u.Host || s != strings.ToLower(s):
		return fmt.Errorf("%q is not an origin as browsers send it — write scheme, host and a port that is not the scheme's own, in lower case: https://app.example.com; or *", clipText(s))
	case u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		return fmt.Errorf("browsers leave out the port of %q — leave it out here, too", clipText(s))
	}
	return nil
}

var fieldName = regexp.MustCompile("^[A-Za-z0-9!#$%&'^_`|~.+-]+$")

func checkHeaderName(s string) error {
	if !fieldName.MatchString(s) {
		return fmt.Errorf("%q is not the name of a header — write each by its name", clipText(s))
	}
	return nil
}

func checkCORSMethod(s string) error {
	if !fieldName.MatchString(s) || s == "CONNECT" || s == "TRACE" {
		return fmt.Errorf("%q is not a method that pages can use — write each by its name, such as GET", clipText(s))
	}
	if meant := strings.ToUpper(s); meant != s && slices.Contains(methods, meant) {
		return errors.New("methods have a case — did you mean " + meant + "?")
	}
	return nil
}

// corsOf is the CORS of an API; nil where it has none.
func (r *reader) corsOf(x val[*rawCORS], api *API) *CORS {
	raw := x.v
	if raw == nil {
		return nil
	}
	out := &CORS{Origins: plainList(raw.origins), Methods: listOr(raw.methods, []string{"GET"}), Headers: plainList(raw.headers),
		Expose: plainList(raw.expose), Credentials: raw.credentials.v, MaxAge: raw.maxAge.or(defaultCORSAge)}
	if out.Credentials && slices.Contains(out.Origins, "*") {
		r.corsOnce(raw.credentials.at, "credentials and the origin * exclude each other: every page could act as whoever visits it — name the origins")
	}
	sends := slices.ContainsFunc(out.Headers, func(h string) bool { return strings.EqualFold(h, "Authorization") })
	if !sends && slices.ContainsFunc(api.Routes, func(t Route) bool { return t.Auth != "public" }) {
		r.warn(x.at, "pages can't send tokens to %s without Authorization in headers — add it, unless they are for public routes alone", api.Name)
	}
	return out
}

// corsOnce reports what stands in defaults, and so concerns many APIs, once.
func (r *reader) corsOnce(at node, message string) {
	for _, p := range r.problems {
		if p.doc == at.doc && p.line == at.Line && p.col == at.Column {
			return
		}
	}
	r.fail(at, "%s", message)
}
