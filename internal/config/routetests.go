package config

import (
	"fmt"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

// RouteTest is one line of a file of policy tests: a request, and what is to become of it.
type RouteTest struct {
	Pos      Pos
	Method   string
	Target   string // path, as it is sent
	Host     string // "": that of public_url, or the one host whose routes take the path
	Client   string // whose token it has; "": none
	Issuer   string // of the client; "": our own
	Audience string // of its token; "": the API of the route
	Scopes   []string
	// Want is "allow", or the reason of the refusal. WantPos is where it stands.
	Want    string
	WantPos Pos
}

type rawRouteTest struct {
	request, client, issuer, audience, host, want val[string]
	scopes                                        val[[]val[string]]
}

var routeTestForm = object(
	is("request", textIs("request", checkRequest), func(t *rawRouteTest) *val[string] { return &t.request }).must(),
	is("client", aText, func(t *rawRouteTest) *val[string] { return &t.client }),
	is("issuer", aText, func(t *rawRouteTest) *val[string] { return &t.issuer }),
	is("audience", aText, func(t *rawRouteTest) *val[string] { return &t.audience }),
	is("host", aText, func(t *rawRouteTest) *val[string] { return &t.host }),
	is("scopes", list(aScope), func(t *rawRouteTest) *val[[]val[string]] { return &t.scopes }),
	is("want", aText, func(t *rawRouteTest) *val[string] { return &t.want }).must(),
)

// checkRequest wants a method and a path, with one space between them.
func checkRequest(s string) error {
	method, target, ok := strings.Cut(s, " ")
	if !ok || method == "" || !strings.HasPrefix(target, "/") || strings.Contains(target, " ") {
		return fmt.Errorf("%q is not METHOD /PATH — with one space, such as GET /orders/1", clipText(s))
	}
	return nil
}

// LoadRouteTests reads a file of policy tests: a list, strictly. What is wrong is reported all at once, as Errors.
func LoadRouteTests(path string) ([]RouteTest, error) {
	r := newReader(Options{})
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, Errors{{Pos: Pos{File: path}, Message: err.Error()}}
	}
	var out []RouteTest
	if root, ok := r.parse(path, content); ok && r.expect(root, yaml.SequenceNode, "a list of tests") {
		for _, n := range root.Content {
			at := node{n, root.doc, ""}
			if raw, ok := routeTestForm.read(r, at); ok {
				out = append(out, r.routeTest(at, raw))
			}
		}
	}
	if len(r.problems) > 0 {
		return nil, Errors(r.problems.sorted())
	}
	return out, nil
}

func (r *reader) routeTest(at node, raw *rawRouteTest) RouteTest {
	t := RouteTest{Pos: at.pos(), Host: raw.host.v, Client: raw.client.v, Issuer: raw.issuer.v, Audience: raw.audience.v, Scopes: plainList(raw.scopes), Want: raw.want.v}
	t.Method, t.Target, _ = strings.Cut(raw.request.v, " ")
	if raw.want.at.Node != nil {
		t.WantPos = raw.want.at.pos()
	}
	if !raw.client.present() {
		for name, present := range map[string]bool{"issuer": raw.issuer.present(), "audience": raw.audience.present(), "scopes": raw.scopes.present()} {
			if present {
				r.fail(at, "%s goes with client — name one, or remove it", name)
			}
		}
	}
	return t
}
