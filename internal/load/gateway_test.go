package load

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

const signature = ".signature-of-the-gateway" // of the tokens of these tests

// gateway is what the load is put on: a server that keeps to what a gateway does, but for what a test changes.
type gateway struct {
	*httptest.Server
	life    float64                                    // expires_in
	call    func(w http.ResponseWriter, id string)     // answers a call that is allowed; nil: 204
	refuse  func(w http.ResponseWriter) (refused bool) // before a token is issued; nil: never
	leaky   bool                                       // revoked tokens are good
	mu      sync.Mutex
	issued  int
	revoked map[string]bool
	seen    map[string]int // requests by what they were
}

func newGateway(t *testing.T) *gateway {
	g := &gateway{life: 600, revoked: map[string]bool{}, seen: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", g.token)
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seen["revocation"]++
		g.revoked[r.PostFormValue("token")] = true
	})
	mux.HandleFunc("GET /read", g.serve(http.StatusOK))
	mux.HandleFunc("GET /write", g.serve(http.StatusForbidden))
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) target() Target {
	return Target{TokenURL: g.URL + "/token", RevokeURL: g.URL + "/revoke", CallURL: g.URL + "/read", DeniedURL: g.URL + "/write",
		Client: "a client", Secret: "a+secret", Audience: "urn:a", Scope: "read"}
}

func (g *gateway) token(w http.ResponseWriter, r *http.Request) {
	if g.refuse != nil && g.refuse(w) {
		return
	}
	id, secret, _ := r.BasicAuth()
	if id != "a+client" || secret != "a%2Bsecret" || r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("audience") != "urn:a" || r.PostFormValue("scope") != "read" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.issued++
	json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprintf("head.%d%s", g.issued, signature), "expires_in": g.life})
}

func (g *gateway) serve(allowed int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		g.mu.Lock()
		what, status := "call", allowed
		switch {
		case bearer == "":
			what, status = "none", http.StatusUnauthorized
		case !strings.HasSuffix(bearer, signature):
			what, status = "forged", http.StatusUnauthorized
		case g.revoked[bearer]:
			what = "revoked"
			if !g.leaky {
				status = http.StatusUnauthorized
			}
		case allowed == http.StatusForbidden:
			what = "scope"
		}
		g.seen[what]++
		g.mu.Unlock()
		if status == http.StatusOK && g.call != nil {
			g.call(w, bearer)
			return
		}
		w.WriteHeader(status)
	}
}
