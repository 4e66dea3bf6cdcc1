package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// others are the issuers of TestDeletion besides our own, on one server: corp and unused, which no API accepts. The metadata
// of both name one key more than the document few does.
type others struct {
	url                   string
	es, ed, ps, elsewhere *token.PrivateKey
}

func newOthers(t *testing.T) *others {
	t.Helper()
	o := &others{es: tokentest.Key(t, token.ES256), ed: tokentest.Key(t, token.EdDSA), ps: tokentest.Key(t, token.PS256), elsewhere: tokentest.Key(t, token.ES256)}
	few := []*token.PublicKey{o.es.Public(), o.ed.Public(), o.ps.Public()}
	mux := http.NewServeMux()
	for path, keys := range map[string][]*token.PublicKey{"/few": few, "/keys": append(slices.Clone(few), o.elsewhere.Public())} {
		set, err := token.MarshalJWKS(keys)
		if err != nil {
			t.Fatal(err)
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { w.Write(set) })
	}
	for _, at := range []string{"", "/unused"} {
		mux.HandleFunc("GET "+at+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, o.url+at, o.url+"/keys")
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

// credentials are good tokens of corp, and tokens that are wrong in one way each.
func (o *others) credentials(t *testing.T, ours string) (list []credential) {
	now := time.Now().Unix()
	every := []string{"orders:read", "orders:write", "orders:admin"}
	type part = map[string]any
	add := func(who string, key *token.PrivateKey, header, claims part) {
		h := part{"alg": key.Public().Algorithm(), "kid": key.Public().ID(), "typ": "at+jwt"}
		c := part{"iss": o.url, "azp": "app", "aud": "https://api.example/orders", "scp": every, "iat": now, "exp": now + 500, "jti": token.NewID()}
		for _, change := range [][2]part{{h, header}, {c, claims}} {
			maps.Copy(change[0], change[1])
			maps.DeleteFunc(change[0], func(_ string, v any) bool { return v == nil })
		}
		head, _ := json.Marshal(h)
		body, _ := json.Marshal(c)
		list = append(list, credential{"corp, " + who, "Bearer " + tokentest.Sign(t, key, string(head), string(body))})
	}
	add("all", o.es, nil, nil)
	add("of partner", o.es, nil, part{"aud": "https://api.example/partner"})
	add("reader", o.es, nil, part{"scp": "orders:read"})
	add("by EdDSA", o.ed, nil, nil)
	add("by PS256", o.ps, nil, nil)
	add("by a key that only the metadata lead to", o.elsewhere, nil, nil)
	add("without typ", o.es, part{"typ": nil}, nil)
	add("typ JWT", o.es, part{"typ": "JWT"}, nil)
	add("typ of another kind", o.es, part{"typ": "logout+jwt"}, nil)
	add("scopes in scope", o.es, nil, part{"scp": nil, "scope": "orders:read orders:write orders:admin"})
	add("scopes in a claim behind another", o.es, nil, part{"roles": "orders:none"})
	add("client in client_id", o.es, nil, part{"azp": nil, "client_id": "app"})
	add("client in a claim behind another, who is revoked", o.es, nil, part{"cid": "revoked"})
	add("revoked", o.es, nil, part{"azp": "revoked"})
	add("long-lived", o.es, nil, part{"exp": now + 3000})
	add("late", o.es, nil, part{"iat": now - 500, "exp": now - 100})
	add("stray", o.es, nil, part{"aud": "https://elsewhere.example"})
	add("posing as local", o.es, nil, part{"iss": ours})
	add("unknown", o.es, nil, part{"iss": o.url + "/unknown"})
	add("unused", o.es, nil, part{"iss": o.url + "/unused"})
	return list
}

// pages is what browsers let pages of other origins do (Fetch, "CORS protocol"): read responses, with cookies or without,
// and send methods and headers that need leave.
func (w *deletionWorld) pages() map[string]string {
	got := map[string]string{}
	for _, host := range []string{"gate.example", "orders.example", "watched.example"} {
		for _, origin := range []string{"https://app.example", "https://shop.example", "https://old.example", "https://evil.example"} {
			for _, path := range []string{"/a/1", "/w/seen"} {
				note := func(what string) {
					act := "pages of " + origin + " " + what + " " + path
					got[act+" on "+host] = act
				}
				h := w.serve(host, "GET", path, "", "", "Origin", origin).Header()
				if !readable(h, origin) {
					continue
				}
				note("read")
				if h.Get("Access-Control-Allow-Credentials") == "true" {
					note("send cookies to")
				}
				for name := range words(h, "Access-Control-Expose-Headers") {
					note("read " + name + " of")
				}
				for _, method := range []string{"PUT", "DELETE"} {
					h := w.serve(host, "OPTIONS", path, "", "", "Origin", origin, "Access-Control-Request-Method", method).Header()
					if !readable(h, origin) {
						continue
					}
					for name := range words(h, "Access-Control-Allow-Methods") {
						note("send " + name + " to")
					}
					for name := range words(h, "Access-Control-Allow-Headers") {
						note("send " + name + " with " + method + " to")
					}
				}
			}
		}
	}
	return got
}

// readable reports whether a response is one that pages of origin may read.
func readable(h http.Header, origin string) bool {
	allowed := h.Get("Access-Control-Allow-Origin")
	return allowed == "*" || allowed == origin
}

// words are the members of a header that is a list. GET, HEAD and POST, which need no leave, are none.
func words(h http.Header, name string) map[string]bool {
	out := map[string]bool{}
	for word := range strings.SplitSeq(h.Get(name), ",") {
		if word = strings.TrimSpace(word); word != "" && !slices.Contains([]string{"GET", "HEAD", "POST"}, word) {
			out[word] = true
		}
	}
	return out
}
