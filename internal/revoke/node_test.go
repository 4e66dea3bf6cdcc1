package revoke

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
	"gatehouse/internal/statedb"
)

// quick is a pace at which tests need not wait long. The wait for other nodes is long, so that it is never what ends first.
var quick = pace{
	block:   50 * time.Millisecond,
	beat:    40 * time.Millisecond,
	silent:  5 * time.Second,
	persist: 0,
	confirm: 10 * time.Second,
	sweep:   50 * time.Millisecond,
	settle:  20 * time.Millisecond,
}

// engine is where a node of a test keeps its revocations.
type engine struct {
	server *redistest.Server // nil: the node runs alone
}

// onBoth runs a test on both engines.
func onBoth(t *testing.T, test func(*testing.T, engine)) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) { t.Parallel(); test(t, engine{}) })
	t.Run("redis", func(t *testing.T) { t.Parallel(); test(t, engine{redistest.Start(t)}) })
}

// node is a Store with what it is made of.
type node struct {
	*Store
	t      testing.TB
	db     *bbolt.DB
	redis  *redisx.Client
	closed bool
}

// start starts a node with its state in dir.
func (e engine) start(t testing.TB, dir string, change ...func(*Options, *pace)) *node {
	t.Helper()
	db, err := statedb.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, db: db}
	o, p := Options{DB: db, Log: slog.New(slog.NewTextHandler(testLog{t}, nil))}, quick
	if e.server != nil {
		n.redis = redisx.Open(redisx.Options{Addrs: []string{e.server.Addr()}, Prefix: "gh"})
		o.Redis = n.redis
	}
	for _, c := range change {
		c(&o, &p)
	}
	if n.Store, err = open(t.Context(), o, p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stop)
	return n
}

// stop ends the node as the end of its process would.
func (n *node) stop() {
	if n.closed {
		return
	}
	n.closed = true
	if err := n.Close(); err != nil {
		n.t.Error(err)
	}
	if n.redis != nil {
		n.redis.Close()
	}
	n.db.Close()
}

// synced waits until the node has heard all from the fleet.
func (n *node) synced() *node {
	n.t.Helper()
	eventually(n.t, "the node is in sync", func() bool {
		return n.Staleness() < time.Minute && n.Ready() && (n.feed == nil || n.feed.readAt.Load() >= 0)
	})
	return n
}

// mustRevoke revokes and fails the test where that has an error.
func (n *node) mustRevoke(e Entry) Result {
	n.t.Helper()
	res, err := n.Revoke(n.t.Context(), e)
	if err != nil {
		n.t.Fatal(err)
	}
	return res
}

// refuses reports whether the node refuses our token with this jti.
func (n *node) refuses(jti string) bool {
	return n.Revoked(&Target{Issuer: "local", TokenID: jti, Client: "someone", Key: "kid", IssuedAt: 1 << 40})
}

// sees waits until the node refuses the tokens.
func (n *node) sees(jtis ...string) {
	n.t.Helper()
	for _, jti := range jtis {
		eventually(n.t, fmt.Sprintf("token %q is refused", jti), func() bool { return n.refuses(jti) })
	}
}

// issue returns a token of the client as the token endpoint would issue it now.
func (n *node) issue(client string) *Target {
	iat := max(n.Now().Unix(), n.NotBefore("local", client, "kid"))
	return &Target{Issuer: "local", TokenID: "fresh", Client: client, Key: "kid", IssuedAt: iat}
}

// live is an entry for a token that lives for ten more minutes.
func live(jti string) Entry { return token(jti, time.Now().Add(10*time.Minute).Unix()) }

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not in 30 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// testLog shows a node's log with the test that failed.
type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

// lines is a log that a test reads.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
