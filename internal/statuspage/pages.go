package statuspage

import (
	"bytes"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/pulse"
)

const (
	listed  = 100  // refusals on the page where nobody asks for more
	mostOf  = 1000 // at most
	rows    = 500  // routes or clients on one page; the filter finds the others
	longest = 64   // of a request id, in bytes
)

// frame is what every page shows, around what is its own.
type frame struct {
	Name, Title         string // of the page; Name is "" where the navigation marks none
	Status              *adminapi.Status
	Banners             []banner
	Note                *note
	Form                string // goes with each form
	LoggedIn            bool
	Events              string // the address of the stream
	Style, Script, Icon string
	Body                any
}

// live are the parts of each page that the stream replaces; every page has its banners and the state in its head besides.
var live = map[string][]string{
	"overview": {"numbers", "charts", "configuration", "memory", "health", "recent"},
	"routes":   {"routetable"},
	"denials":  {"denialtable"},
	"keys":     {"keytable"},
}

// templates holds one set for each page, made of the layout and its own file.
var templates = func() map[string]*template.Template {
	sets := map[string]*template.Template{}
	layout := template.Must(template.New("layout.html").Funcs(funcs).ParseFS(files, "templates/layout.html", "templates/parts.html"))
	for _, name := range []string{"overview", "routes", "denials", "denial", "clients", "client", "keys", "confirm", "login", "problem"} {
		sets[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "templates/"+name+".html"))
	}
	return sets
}()

// show answers with one of the pages.
func (p *Page) show(w http.ResponseWriter, r *http.Request, v visitor, name string) {
	f := p.page(name, r, v)
	if f.Body == nil {
		p.problem(w, http.StatusNotFound, "There is nothing here", missing[name])
		return
	}
	if id := r.URL.Query().Get("note"); id != "" {
		f.Note = p.notices.take(id, time.Now())
	}
	p.render(w, http.StatusOK, name, f)
}

// missing says why a page has nothing to show.
var missing = map[string]string{
	"denial": "This node has no refusal with this request id, or no longer: it keeps the last 1000 of known clients and the last 1000 of others. Was the request let through, was it another node, or has this one been started anew since?",
	"client": "The clients file has no client of this id, or no longer.",
}

// frame is what a page shows besides its own.
func (p *Page) frame(name, title string, v visitor) frame {
	s := p.o.Status()
	return frame{Name: name, Title: title, Status: &s, Banners: p.banners(&s), Form: v.form, LoggedIn: v.loggedIn}
}

// page is all that a page shows at this moment. Its Body is nil where the request asks for something that is not there.
func (p *Page) page(name string, r *http.Request, v visitor) frame {
	f := p.frame(name, strings.ToUpper(name[:1])+name[1:], v)
	q := r.URL.Query()
	events := url.Values{"page": {name}}
	for _, key := range []string{"q", "n", "sort"} {
		if x := q.Get(key); x != "" && len(x) < 200 {
			events.Set(key, x)
		}
	}
	f.Events = "/events?" + events.Encode()
	switch name {
	case "routes":
		d := p.routesData(q)
		d.Try = p.tryData(q)
		f.Body = d
	case "denial":
		f.Name, f.Title = "denials", "Denial"
		f.Body = p.denialData(r.PathValue("id"), f.Status.Admin)
	case "clients":
		f.Body = p.clientsData(r.Context(), q)
	case "client":
		f.Name, f.Title = "clients", "Client"
		if c := p.client(q.Get("id")); c != nil {
			f.Title, f.Body = "Client "+c.ID, clientData{Client: c, Last: p.lastTokens(r.Context()).of(c.ID), Uses: p.o.LimitUse(r.Context(), c.ID)}
		}
	default:
		f.Body = p.moving(name, q)
	}
	return f
}

// moving is what the live parts of a page show, and no more of it: it is asked for each second. Nil where a page has none.
func (p *Page) moving(name string, q url.Values) any {
	switch name {
	case "overview":
		pulse := p.o.Pulse()
		return overviewData{pulse.Current, charts(pulse)}
	case "routes":
		return p.routesData(q)
	case "denials":
		return p.denialsData(q)
	case "keys":
		return keysData{Keys: p.o.Keys(), Now: time.Now()}
	}
	return nil
}

// render writes a page, or nothing where its template fails.
func (p *Page) render(w http.ResponseWriter, status int, name string, f frame) {
	f.Style, f.Script, f.Icon = p.assets["style.css"].label, p.assets["live.js"].label, p.assets["icon.svg"].label
	var b bytes.Buffer
	if err := templates[name].ExecuteTemplate(&b, "layout.html", f); err != nil {
		http.Error(w, "this page can't be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// problem is a page that says what is wrong.
func (p *Page) problem(w http.ResponseWriter, status int, title, text string) {
	p.render(w, status, "problem", frame{Title: title, Body: text})
}

type overviewData struct {
	Now    pulse.Point
	Charts []chart
}

type denialsData struct {
	Filter  string
	Limit   int
	More    bool // there may be more than are shown
	Denials []adminapi.Denial
}

func (p *Page) denialsData(q url.Values) denialsData {
	d := denialsData{Filter: clip(q.Get("q")), Limit: listed}
	if n, err := strconv.Atoi(q.Get("n")); err == nil && n > 0 {
		d.Limit = min(n, mostOf)
	}
	from := d.Limit
	if d.Filter != "" {
		from = mostOf
	}
	all := p.o.Denials(from)
	for _, x := range all {
		if len(d.Denials) < d.Limit && matches(d.Filter, x.ID, x.Method+" "+x.Path, x.Client, x.Reason, x.Detail, x.API, x.Remote, strconv.Itoa(x.Status)) {
			d.Denials = append(d.Denials, x)
		}
	}
	d.More = d.Limit < mostOf && len(d.Denials) == d.Limit
	return d
}

type denialData struct {
	adminapi.Denial
	Command string // that shows the same on a terminal
}

func (p *Page) denialData(id, admin string) any {
	if len(id) > longest {
		return nil
	}
	d, ok := p.o.Denial(id)
	if !ok || d.Trace == nil {
		return nil
	}
	command := "gatehouse explain " + d.ID
	if admin != usualAdmin {
		command += " --admin " + quote(admin)
	}
	return denialData{d, command}
}

// usualAdmin is where the commands look where nothing is said.
const usualAdmin = "127.0.0.1:8081"

type keysData struct {
	Keys []adminapi.Key
	Now  time.Time
}

// Algorithms are those that a key is there for, in order.
func (d keysData) Algorithms() (list []string) {
	for _, k := range d.Keys {
		if !slices.Contains(list, k.Algorithm) {
			list = append(list, k.Algorithm)
		}
	}
	slices.Sort(list)
	return list
}

// matches reports whether any of the texts holds the filter, in any case.
func matches(filter string, texts ...string) bool {
	if filter == "" {
		return true
	}
	filter = strings.ToLower(filter)
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), filter) })
}
