package statuspage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/lockout"
	"gatehouse/internal/secret"
)

// Cookie is the name of the cookie that holds a login. Where gateway and admin listener have one host, a browser sends it to
// both, and the gateway keeps it from upstreams.
const Cookie = "gatehouse_admin"

const (
	idleEnd     = time.Hour // a session ends so long after it was last used
	oldEnd      = 12 * time.Hour
	mostLogins  = 100         // sessions; the one that was used longest ago makes room
	codeEnd     = time.Minute // a login link
	mostCodes   = 20
	mostGuesses = 10 // failures within a minute, by one address
)

// visitor is who looks at the page.
type visitor struct {
	form     string // what a form must carry to be taken for ours
	loggedIn bool   // there is a session to end
}

type sum = [sha256.Size]byte

// session is one browser that has shown the admin token.
type session struct {
	token       sum // of the admin token that it was shown
	form        string
	began, used time.Time
}

// sessions are the logins of this process. They are gone when it ends, and when the admin token changes. By the hash of what
// the browser holds, so that looking one up takes no time that tells anything.
type sessions struct {
	token   func() secret.Text
	guesses *lockout.Lockout

	mu    sync.Mutex
	live  map[sum]*session
	codes map[sum]time.Time // when they end
}

func (s *sessions) init(token func() secret.Text) {
	s.token, s.live, s.codes = token, map[sum]*session{}, map[sum]time.Time{}
	s.guesses = lockout.New(lockout.NewStore(nil), mostGuesses, time.Minute)
}

// visitor is who sent the request; ok is false for who must log in first.
func (p *Page) visitor(r *http.Request) (v visitor, ok bool) {
	token := p.o.Token()
	if token.Empty() {
		return visitor{form: p.open}, true
	}
	cookie, err := r.Cookie(Cookie)
	if err != nil {
		return visitor{}, false
	}
	// What a page asks for by itself is no sign that somebody is there.
	use := r.URL.Path != "/events" && r.Method != http.MethodHead
	return p.sessions.find(cookie.Value, token, time.Now(), use)
}

// find is the session that a browser holds. With use it lasts for another idleEnd.
func (s *sessions) find(value string, token secret.Text, now time.Time, use bool) (v visitor, ok bool) {
	id := sha256.Sum256([]byte(value))
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.live[id]
	if found == nil {
		return visitor{}, false
	}
	if found.token != sha256.Sum256([]byte(token.Reveal())) || now.Sub(found.used) > idleEnd || now.Sub(found.began) > oldEnd {
		delete(s.live, id)
		return visitor{}, false
	}
	if use {
		found.used = now
	}
	return visitor{form: found.form, loggedIn: true}, true
}

// begin makes a session for who has shown the token, and gives it to the browser.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, token secret.Text, now time.Time) {
	value := rand.Text() + rand.Text()
	s.mu.Lock()
	if len(s.live) >= mostLogins {
		var oldest sum
		for id, x := range s.live {
			if x.used.Before(s.usedAt(oldest, now)) {
				oldest = id
			}
		}
		delete(s.live, oldest)
	}
	s.live[sha256.Sum256([]byte(value))] = &session{token: sha256.Sum256([]byte(token.Reveal())), form: rand.Text(), began: now, used: now}
	s.mu.Unlock()
	http.SetCookie(w, cookie(r, value))
}

// usedAt is when a session was last used; after now for one that there is not.
func (s *sessions) usedAt(id sum, now time.Time) time.Time {
	if x := s.live[id]; x != nil {
		return x.used
	}
	return now.Add(time.Hour)
}

func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(Cookie); err == nil {
		s.mu.Lock()
		delete(s.live, sha256.Sum256([]byte(c.Value)))
		s.mu.Unlock()
	}
	gone := cookie(r, "")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
}

// cookie is Secure where the browser came by TLS, of a proxy in front of the listener: whoever claims that falsely gets a cookie
// that is of less use.
func cookie(r *http.Request, value string) *http.Cookie {
	return &http.Cookie{Name: Cookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https", MaxAge: int(oldEnd.Seconds())}
}

// Login is POST /api/v1/login: a link that logs one browser in, within a minute.
func (p *Page) Login(context.Context, adminapi.LoginRequest) (adminapi.Login, error) {
	if p.o.Token().Empty() {
		return adminapi.Login{Path: "/"}, nil
	}
	code, end := rand.Text(), time.Now().Add(codeEnd)
	s := &p.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, end := range s.codes {
		if len(s.codes) >= mostCodes || time.Now().After(end) {
			delete(s.codes, c)
		}
	}
	s.codes[sha256.Sum256([]byte(code))] = end
	return adminapi.Login{Path: "/login?code=" + code, Expires: end.UTC()}, nil
}

// spend reports whether a code is good, which it is once.
func (s *sessions) spend(code string, now time.Time) bool {
	id := sha256.Sum256([]byte(code))
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.codes[id]
	delete(s.codes, id)
	return ok && now.Before(end)
}

// guess reports whether what somebody typed is the token. An address that guessed wrong too often waits.
func (s *sessions) guess(r *http.Request, typed string, token secret.Text) (ok bool, wait time.Duration) {
	address := address(r)
	const who = "admin"
	if wait := s.guesses.Locked(r.Context(), address, who); wait > 0 {
		return false, wait
	}
	a, b := sha256.Sum256([]byte(typed)), sha256.Sum256([]byte(token.Reveal()))
	if !token.Empty() && subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		return true, 0
	}
	return false, s.guesses.Failed(r.Context(), address, who)
}

// address is where a request comes from. What comes by a unix socket has none, and shares one.
func address(r *http.Request) netip.Addr {
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return a.Addr().Unmap()
	}
	return netip.IPv4Unspecified()
}
