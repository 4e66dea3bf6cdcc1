package statuspage

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// loginData is what the form of the login shows.
type loginData struct{ Next, Error string }

// loginForm also takes the code of a login link.
func (p *Page) loginForm(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	next := local(q.Get("next"))
	if _, ok := p.visitor(r); ok {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	code := q.Get("code")
	switch {
	case code == "" || r.Method == http.MethodHead: // what only looks whether a link leads somewhere does not spend it
		p.render(w, http.StatusOK, "login", frame{Title: "Log in", Body: loginData{Next: next}})
	case p.allowed(w, r, func() bool { return p.sessions.spend(code, time.Now()) }):
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}

// allowed spends a code, under the same rule as guesses at the token.
func (p *Page) allowed(w http.ResponseWriter, r *http.Request, spend func() bool) bool {
	token := p.o.Token()
	if !token.Empty() && spend() {
		p.sessions.begin(w, r, token, time.Now())
		return true
	}
	if _, wait := p.sessions.guess(r, "", token); wait > 0 {
		p.refuseLogin(w, "/", wait)
		return false
	}
	p.render(w, http.StatusUnauthorized, "login", frame{Title: "Log in", Body: loginData{Next: "/",
		Error: "This link has been used, or is older than a minute. Make another with: gatehouse status --open"}})
	return false
}

func (p *Page) login(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	next := local(r.PostForm.Get("next"))
	token := p.o.Token()
	ok, wait := p.sessions.guess(r, r.PostForm.Get("token"), token)
	switch {
	case ok:
		p.sessions.begin(w, r, token, time.Now())
		http.Redirect(w, r, next, http.StatusSeeOther)
	case wait > 0:
		p.refuseLogin(w, next, wait)
	default:
		p.render(w, http.StatusUnauthorized, "login", frame{Title: "Log in", Body: loginData{Next: next, Error: "This is not the admin token. It is the content of admin.token_file."}})
	}
}

func (p *Page) refuseLogin(w http.ResponseWriter, next string, wait time.Duration) {
	seconds := int(wait.Seconds()) + 1
	w.Header().Set("Retry-After", fmt.Sprint(seconds))
	p.render(w, http.StatusTooManyRequests, "login", frame{Title: "Log in", Body: loginData{Next: next,
		Error: fmt.Sprintf("Too many wrong tokens came from your address. Try again in %d s.", seconds)}})
}

func (p *Page) logout(w http.ResponseWriter, r *http.Request, _ visitor) {
	p.sessions.end(w, r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// local is a path of this page to go to after the login, and the overview for anything else.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.HasPrefix(next, "/login") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func escapeQuery(s string) string { return url.QueryEscape(s) }
