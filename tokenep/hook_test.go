package tokenep_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/hook"
	"gatehouse/internal/secret"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
	"gatehouse/tokenep"
)

// TestKeyAfterHook: a key that is taken away while a hook is asked signs nothing any more.
func TestKeyAfterHook(t *testing.T) {
	t.Parallel()
	var current atomic.Pointer[token.PrivateKey]
	before, after := tokentest.Key(t, token.ES256), tokentest.Key(t, token.ES256)
	next := after
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		current.Store(next)
		io.WriteString(w, "{}")
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	clients := hook.NewClients(nil, nil)
	t.Cleanup(clients.Close)
	f := start(t, func(o *tokenep.Options) {
		o.Signer = func(token.Algorithm) *token.PrivateKey { return current.Load() }
		for i := range o.APIs {
			o.APIs[i].Hook = hook.New(hook.Options{URL: at, Secret: secret.Hide(strings.Repeat("k", 32)), Timeout: 10 * time.Second, Clients: clients})
		}
	})
	current.Store(before)
	header, _ := f.issued(t, f.ask("c-c"))
	if header["kid"] != after.Public().ID() {
		t.Errorf("signed with %v, want the key of after the hook, %s", header["kid"], after.Public().ID())
	}
	next = nil
	refused(t, f.ask("c-c"), 503, "temporarily_unavailable")
}
