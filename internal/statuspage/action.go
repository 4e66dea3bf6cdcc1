package statuspage

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/adminapi"
)

const (
	maxForm   = 64 << 10 // bytes
	noticeEnd = 5 * time.Minute
	mostNotes = 100
)

// readForm reads the body of a POST, and nothing of the query.
func readForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form can't be read", http.StatusBadRequest)
		return false
	}
	return true
}

// act lets through the forms of this page alone, of who is logged in or need not be.
func (p *Page) act(next func(http.ResponseWriter, *http.Request, visitor)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, ok := p.visitor(r)
		if !ok {
			p.render(w, http.StatusUnauthorized, "login", frame{Title: "Log in", Body: loginData{Next: "/", Error: "You are not logged in, or no longer. Nothing was done."}})
			return
		}
		if !readForm(w, r) {
			return
		}
		if subtle.ConstantTimeCompare([]byte(r.PostForm.Get("form")), []byte(v.form)) != 1 {
			p.problem(w, http.StatusForbidden, "Nothing was done", "This form is from before the gateway was started, or from elsewhere. Go back, load the page anew, and send it again.")
			return
		}
		next(w, r, v)
	}
}

// question is an act that waits to be confirmed.
type question struct {
	Title, Text, Action, Do, Back string
	Fields                        []field // those that are sent again
	Ask                           string  // the question about the reason; "": there is none
}

type field struct{ Name, Value string }

// confirmed reports whether the form says yes; else it asks.
func (p *Page) confirmed(w http.ResponseWriter, r *http.Request, v visitor, q question) bool {
	if r.PostForm.Get("confirm") == "yes" {
		return true
	}
	f := p.frame("", q.Title, v)
	f.Body = q
	p.render(w, http.StatusOK, "confirm", f)
	return false
}

func (p *Page) reload(w http.ResponseWriter, r *http.Request, v visitor) {
	if !p.confirmed(w, r, v, question{Title: "Reload the configuration?", Action: "/reload", Do: "Reload", Back: "/",
		Text: "The files are read anew and put in force as a whole. Where they are wrong, they are refused as a whole, and what is loaded serves on."}) {
		return
	}
	done := p.o.Reload()
	if len(done.Errors) > 0 {
		p.done(w, r, "/", note{Bad: true, Text: "The reload was refused. What was loaded before serves on."})
		return
	}
	p.done(w, r, "/", note{Text: "Reloaded: " + done.Result + "."})
}

func (p *Page) revoke(w http.ResponseWriter, r *http.Request, v visitor) {
	id := r.PostForm.Get("client")
	back := "/clients/one?id=" + escapeQuery(id)
	if p.client(id) == nil {
		p.problem(w, http.StatusNotFound, "Nothing was done", "There is no client of this id, or no longer; the tokens of such a client are refused already.")
		return
	}
	if !p.confirmed(w, r, v, question{Title: "Revoke all tokens of " + id + "?", Action: "/clients/revoke", Do: "Revoke all tokens", Back: back, Fields: []field{{"client", id}}, Ask: "Why? It goes to the audit trail.",
		Text: "Every token issued to this client so far is refused from now on, on every node. It can get new ones with its secret. This can't be undone."}) {
		return
	}
	done, err := p.o.Revoke(r.Context(), adminapi.RevokeRequest{Client: id, Reason: reason(r)})
	if err != nil {
		p.done(w, r, back, note{Bad: true, Text: "Not revoked: " + err.Error()})
		return
	}
	p.done(w, r, back, note{Text: revoked(id, done)})
}

// revoked says what is true of a revocation now, and what is still to come.
func revoked(id string, done adminapi.Revoked) string {
	text := fmt.Sprintf("Revoked: on %d of %d %s, every token issued to %s so far is refused.", done.Applied, done.Live, plural("node", done.Live), id)
	switch left := done.Live - done.Applied; {
	case left > 0 && !done.Shared:
		return text + " Redis is away: the others follow once it is back, and take the tokens until then."
	case left > 0:
		return text + " The others follow within a second, or once they reach Redis."
	}
	return text
}

func (p *Page) rotate(w http.ResponseWriter, r *http.Request, v visitor) {
	alg := r.PostForm.Get("alg")
	what := alg
	if alg == "" {
		what = "every algorithm in use"
	}
	if !p.confirmed(w, r, v, question{Title: "Rotate keys?", Action: "/keys/rotate", Do: "Rotate", Back: "/keys", Fields: []field{{"alg", alg}}, Ask: "Why? It goes to the audit trail.",
		Text: "A new key for " + shown(what) + " is published now and signs a while later. The old one verifies until the last token that it signed has expired, so that no token is lost."}) {
		return
	}
	done, err := p.o.Rotate(r.Context(), adminapi.RotateRequest{Algorithm: alg, Reason: reason(r)})
	if err != nil {
		p.done(w, r, "/keys", note{Bad: true, Text: "Not rotated: " + err.Error()})
		return
	}
	var parts []string
	for _, d := range done {
		part := fmt.Sprintf("%s: %s signs from %s UTC.", d.Algorithm, d.New, moment(d.Signs))
		if d.Note != "" {
			part += " " + d.Note
		}
		parts = append(parts, part)
	}
	p.done(w, r, "/keys", note{Text: "Rotated. " + strings.Join(parts, " ")})
}

func reason(r *http.Request) string {
	text := r.PostForm.Get("reason")
	return strings.TrimSpace(text[:min(len(text), 200)])
}

// done answers an act: back to the page, with a note of what came of it, so that loading it anew does nothing anew.
func (p *Page) done(w http.ResponseWriter, r *http.Request, to string, n note) {
	sign := "?"
	if strings.Contains(to, "?") {
		sign = "&"
	}
	http.Redirect(w, r, to+sign+"note="+p.notices.keep(n, time.Now()), http.StatusSeeOther)
}

// note says what came of an act.
type note struct {
	Text string
	Bad  bool
	at   time.Time
}

// notices are the notes that have not been read yet, by an id that nobody guesses.
type notices struct {
	mu   sync.Mutex
	kept map[string]note
}

func (n *notices) keep(x note, now time.Time) (id string) {
	id, x.at = rand.Text(), now
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kept == nil || len(n.kept) >= mostNotes {
		n.kept = map[string]note{}
	}
	n.kept[id] = x
	return id
}

// take is a note, which is shown once.
func (n *notices) take(id string, now time.Time) *note {
	n.mu.Lock()
	defer n.mu.Unlock()
	x, ok := n.kept[id]
	delete(n.kept, id)
	if !ok || now.Sub(x.at) > noticeEnd {
		return nil
	}
	return &x
}
