package app

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/keyring"
	"gatehouse/internal/redistest"
)

// five is a fleet of whole gateways.
type five struct {
	*site
	nodes [5]*node
}

// each does something on all nodes at once.
func (f *five) each(do func(n *node)) {
	var wg sync.WaitGroup
	for _, n := range f.nodes {
		wg.Go(func() { do(n) })
	}
	wg.Wait()
}

// issue is a token of the node; "" and an error where it gave none.
func (f *five) issue(n *node) (string, error) {
	cc := clientcredentials.Config{ClientID: "reader", ClientSecret: f.secrets["reader"], TokenURL: "http://" + n.Addr().String() + "/oauth/token"}
	tok, err := cc.Token(context.Background())
	if err != nil {
		return "", err
	}
	return tok.AccessToken, nil
}

// agreed is the kid of the one key that all nodes sign with, published alike by all with nothing else; "" where that is not so.
func (f *five) agreed() string {
	_, want := f.nodes[0].get("/.well-known/jwks.json")
	kid := ""
	for _, n := range f.nodes {
		if _, got := n.get("/.well-known/jwks.json"); got != want {
			return ""
		}
		for _, k := range n.listKeys() {
			switch {
			case k.State == keyring.Next:
				return "" // another turn is to come
			case k.State == keyring.Current && kid == "":
				kid = k.ID
			case k.State == keyring.Current && kid != k.ID:
				return ""
			}
		}
	}
	return kid
}

// accepted has every node look at a token of every node.
func (f *five) accepted() {
	f.t.Helper()
	for i, from := range f.nodes {
		raw := f.token(from, "reader")
		for j, to := range f.nodes {
			if r := to.call("GET", "/orders/1", raw); r.status != 200 {
				f.t.Errorf("node %d refused a token of node %d: %d %s", j, i, r.status, r.body)
			}
		}
	}
}

// TestFiveGatewaysAgree: five that start at once on an empty Redis sign with one key. After a storm of rotations through all
// of them there is one key again, and no token was refused meanwhile; and after a storm of emergencies another, and every
// token of before is refused.
func TestFiveGatewaysAgree(t *testing.T) {
	t.Parallel()
	f := &five{site: newRingSite(t, redistest.Start(t), "{every: 720h, publish_before: 2s}")}
	sites := [5]*site{f.site}
	for i := 1; i < 5; i++ {
		other := *f.site
		other.dir = t.TempDir()
		other.file("ring.key", f.ringKey)
		other.writeClients()
		other.write()
		sites[i] = &other
	}
	var wg sync.WaitGroup
	for i, s := range sites {
		public := f.listen
		if i > 0 {
			public = listener(t)
		}
		wg.Go(func() { f.nodes[i] = s.run(public) })
	}
	if wg.Wait(); t.Failed() {
		t.FailNow()
	}
	for _, n := range f.nodes {
		eventually(t, 30*time.Second, "readiness", func() bool { return n.adminGet("/-/ready") == 200 })
	}
	first := ""
	eventually(t, 30*time.Second, "one key", func() bool { first = f.agreed(); return first != "" })
	for _, n := range f.nodes {
		if keys := n.listKeys(); len(keys) != 1 {
			t.Errorf("a node has %+v", keys)
		}
	}
	f.accepted()

	stop, load := make(chan struct{}), sync.WaitGroup{}
	for i, n := range f.nodes {
		load.Go(func() {
			for turn := i; ; turn++ {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond): // load, not a flood
				}
				raw, err := f.issue(n)
				if err != nil {
					t.Errorf("no token: %v", err)
					return
				}
				if r, err := f.nodes[turn%5].try("GET", "/orders/1", raw); err != nil || r.status != 200 {
					t.Errorf("a good token was refused: %v %d %s", err, r.status, r.body)
				}
			}
		})
	}
	f.each(func(n *node) {
		for range 6 {
			f.storm(n, adminapi.RotateRequest{})
		}
	})
	second := ""
	eventually(t, 60*time.Second, "one key after the storm", func() bool { second = f.agreed(); return second != "" && second != first })
	f.accepted()
	close(stop)
	load.Wait()

	var before []string
	for _, n := range f.nodes {
		before = append(before, f.token(n, "reader"))
	}
	f.each(func(n *node) { f.storm(n, adminapi.RotateRequest{Revoke: true}) })
	third := ""
	eventually(t, 60*time.Second, "one key after the emergencies", func() bool { third = f.agreed(); return third != "" && third != second })
	f.accepted()
	for i, raw := range before {
		for j, n := range f.nodes {
			if r := n.call("GET", "/orders/1", raw); r.status != http.StatusUnauthorized {
				t.Errorf("node %d takes a token of node %d, whose key was withdrawn: %d", j, i, r.status)
			}
		}
	}
}

// storm rotates once. On a machine that is busy Redis may take longer than a call waits; then it is asked again.
func (f *five) storm(n *node, q adminapi.RotateRequest) {
	var err error
	for range 20 {
		if _, err = n.rotateKeys(context.Background(), q); err == nil {
			return
		}
	}
	f.t.Errorf("no rotation in 20 attempts: %v", err)
}
