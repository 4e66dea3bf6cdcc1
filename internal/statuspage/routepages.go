package statuspage

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/trace"
)

type routesData struct {
	Filter string
	Sort   string // one of the names of orders; "": the usual order
	All    int    // routes that there are
	Found  int    // those that match the filter
	Routes []adminapi.Route
	Try    tryData
}

// column is a heading of the table of routes.
type column struct {
	Name, Title string // Name is its order; "" for one that can't be sorted by
	Number      bool
}

// Columns are those of the table, from the left. The one for "try it" stands beside the route, where a narrow window shows it.
func (routesData) Columns() []column {
	return []column{{"api", "API", false}, {"route", "Route", false}, {"", "", false}, {"", "Needs", false}, {"requests", "Requests", true},
		{"denied", "Denied", true}, {"failed", "Failed", true}, {"p95", "p95", true}, {"last", "Last hit", true}, {"", "Limit", false}, {"", "Where", false}}
}

// orders are what routes can be sorted by: texts from the first to the last, numbers from the largest.
var orders = map[string]func(a, b adminapi.Route) int{
	"":         usual,
	"api":      func(a, b adminapi.Route) int { return cmp.Or(cmp.Compare(a.API, b.API), byPattern(a, b)) },
	"route":    byPattern,
	"requests": func(a, b adminapi.Route) int { return cmp.Compare(b.Requests, a.Requests) },
	"denied": func(a, b adminapi.Route) int {
		return cmp.Compare(share(b.Denied, b.Requests), share(a.Denied, a.Requests))
	},
	"failed": func(a, b adminapi.Route) int { return cmp.Compare(b.Failed, a.Failed) },
	"p95":    func(a, b adminapi.Route) int { return cmp.Compare(b.P95, a.P95) },
	"last":   func(a, b adminapi.Route) int { return b.Last.Compare(a.Last) },
}

// usual has what is broken first, then what refuses, then what is used most.
func usual(a, b adminapi.Route) int {
	return cmp.Or(cmp.Compare(share(b.Failed, b.Requests), share(a.Failed, a.Requests)), cmp.Compare(share(b.Denied, b.Requests), share(a.Denied, a.Requests)),
		cmp.Compare(b.Requests, a.Requests))
}

func byPattern(a, b adminapi.Route) int {
	return cmp.Or(cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Method, b.Method))
}

func (p *Page) routesData(q url.Values) routesData {
	d := routesData{Filter: clip(q.Get("q")), Sort: q.Get("sort")}
	order := orders[d.Sort]
	if order == nil {
		d.Sort, order = "", usual
	}
	all := p.o.Routes()
	d.All = len(all)
	for _, r := range all {
		if matches(d.Filter, r.API, r.Match, r.Needs, r.Where) {
			d.Routes = append(d.Routes, r)
		}
	}
	d.Found = len(d.Routes)
	slices.SortStableFunc(d.Routes, order)
	d.Routes = d.Routes[:min(len(d.Routes), rows)]
	return d
}

// tryData is what the form "try it" holds, and what became of it. A token is never in it.
type tryData struct {
	Method, URL, Client, Scopes string
	Clients                     []string
	Error                       string
	Trace                       *trace.Trace
}

func (p *Page) tryData(q url.Values) tryData {
	d := tryData{Method: clip(q.Get("method")), URL: clip(q.Get("url"))}
	clients := p.o.Clients()
	for _, c := range clients[:min(len(clients), rows)] {
		d.Clients = append(d.Clients, c.ID)
	}
	return d
}

// try answers a question about a request, on the page where it was asked. The token in the question is not sent back.
func (p *Page) try(w http.ResponseWriter, r *http.Request, v visitor) {
	form := r.PostForm
	f := p.page("routes", r, v)
	d := f.Body.(routesData)
	d.Try.Method, d.Try.URL, d.Try.Client, d.Try.Scopes = clip(form.Get("method")), shown(form.Get("url")), clip(form.Get("client")), clip(form.Get("scopes"))
	token := strings.TrimSpace(form.Get("token"))
	token = strings.TrimSpace(strings.TrimPrefix(token, "Bearer "))
	q := adminapi.ExplainRequest{Method: form.Get("method"), URL: form.Get("url"), Token: token, Client: form.Get("client"), Scopes: strings.Fields(form.Get("scopes"))}
	t, err := p.o.Explain(r.Context(), q)
	if err != nil {
		d.Try.Error = err.Error()
	} else {
		d.Try.Trace = t
	}
	f.Body = d
	p.render(w, http.StatusOK, "routes", f)
}
