package blackbox

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/load"
	"gatehouse/internal/redistest"
)

// soakConfig is a gateway on Redis. A reload changes the name of one route, whose series must go with it.
const soakConfig = `version: 1
server: {listen: %[1]q, public_url: "http://%[1]s"}
admin: {listen: %[2]q}
state:
  dir: state
  redis: {addrs: [%[3]q]}
tokens: {ring_key_file: ring.key, ttl: %[4]s}
clients_file: clients.yaml
log: {level: warn}
apis:
  soak:
    audience: urn:soak
    upstream: %[5]s
    scopes: {read: Read, write: Write}
    rate_limit: {requests: 1000000, per: 1s, by: client}
    routes:
      - {match: GET /read, scopes: [read]}
      - {match: GET /write, scopes: [write]}
      - {match: GET /reload-%[6]d, scopes: [read]}
`

// soakPlan is how long everything takes.
type soakPlan struct {
	length   time.Duration // of the load that is judged
	capacity time.Duration // of the load before, as much as the gateway takes
	sample   time.Duration // between two samples
	reload   time.Duration // between two reloads
	ttl      time.Duration // of tokens, and so of revocations
	judged   bool
}

func planSoak(t *testing.T) soakPlan {
	p := soakPlan{length: 3 * time.Second, capacity: time.Second}
	if text := os.Getenv("GATEHOUSE_SOAK"); text != "" {
		length, err := time.ParseDuration(text)
		if err != nil || length < time.Minute {
			t.Fatalf("GATEHOUSE_SOAK=%q: expected a duration from 1m on, such as 30m", text)
		}
		p = soakPlan{length: length, capacity: 20 * time.Second, judged: true}
	}
	// Two reloads in each of the fifths that are compared: what grows from one to the next shows, and shows alike in both.
	p.sample, p.reload = min(10*time.Second, p.length/50), p.length/10
	p.ttl = max(min(time.Minute, p.length/10), 5*time.Second)
	return p
}

// TestSoak puts a gateway on Redis under 70 % of the load that it takes: calls, new tokens, refusals and revocations, and now and
// then a reload. What it uses must not grow (see gauge), and no answer may be a wrong one. It takes three seconds, which is enough to
// see that samples are taken, and as long as GATEHOUSE_SOAK says for a verdict: see `make soak`.
func TestSoak(t *testing.T) {
	p := planSoak(t)
	s := startSoak(t, p)
	target := load.Target{TokenURL: s.node.url + "/oauth/token", RevokeURL: s.node.url + "/oauth/revoke", CallURL: s.node.url + "/read",
		DeniedURL: s.node.url + "/write", Client: "soak", Secret: s.secret}
	o := load.Options{Scenario: load.Mixed, Duration: p.capacity, Warmup: time.Second, Concurrency: 32, Tokens: 256}
	full := s.load(target, o)
	t.Logf("capacity: %s", summary(full))

	o.Duration, o.Rate = p.length, 0.7*full.PerSecond()
	ctx, stop := context.WithCancel(t.Context())
	var meanwhile sync.WaitGroup
	meanwhile.Go(func() { every(ctx, p.reload, s.reload) })
	meanwhile.Go(func() { every(ctx, p.sample, s.sample) })
	t.Logf("%.0f requests/s for %s, tokens live %s, a sample every %s, a reload every %s", o.Rate, p.length, p.ttl, p.sample, p.reload)
	t.Log(s.head())
	steady := s.load(target, o)
	stop()
	meanwhile.Wait()
	s.finish(p, steady)
}

// every calls f at intervals until ctx is done.
func every(ctx context.Context, interval time.Duration, f func(context.Context)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f(ctx)
		}
	}
}

func summary(r *load.Report) string {
	return fmt.Sprintf("%d requests, %.0f/s, p50 %.1f ms, p99 %.1f ms, max %.0f ms, statuses %v", r.Requests(), r.PerSecond(),
		r.Latency.Quantile(0.5).Seconds()*1e3, r.Latency.Quantile(0.99).Seconds()*1e3, r.Latency.Max().Seconds()*1e3, r.Statuses)
}

// soak is one run: the gateway, its Redis, and what was sampled of them.
type soak struct {
	t       *testing.T
	plan    soakPlan
	node    *node
	dir     string
	redis   *redistest.Server
	client  *redis.Client
	api     *httptest.Server
	secret  string
	begun   time.Time
	reloads int

	rss, heap, goroutines, files, series, pause, revoked, disk, redisMemory, redisKeys gauge
	collected, paused                                                                  float64 // by the collector so far
}

// startSoak starts everything, and tries again where somebody else took a port.
func startSoak(t *testing.T, p soakPlan) *soak {
	s := &soak{t: t, plan: p, dir: t.TempDir(), secret: newSecret(), redis: redistest.Start(t)}
	s.rules()
	s.client = s.redis.Client()
	s.api = httptest.NewServer(load.Upstream())
	t.Cleanup(s.api.Close)
	for range 5 {
		ports := freePorts(t, 2)
		at, admin := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
		s.node = &node{t: t, config: filepath.Join(s.dir, "config.yaml"), state: filepath.Join(s.dir, "state"), url: "http://" + at, admin: "http://" + admin}
		s.write("ring.key", base64.StdEncoding.EncodeToString(random(32)))
		s.write("clients.yaml", fmt.Sprintf("version: 1\nclients: {soak: {grants: {soak: [read]}, secrets: [{sha256: %x}]}}\n", sha256.Sum256([]byte(s.secret))))
		s.configure()
		err := s.node.start()
		if err == nil {
			t.Cleanup(s.node.stop)
			s.begun = time.Now()
			return s
		}
		if !errors.Is(err, errPortTaken) {
			t.Fatal(err)
		}
		forget(t, s.redis)
	}
	t.Fatal("no free ports")
	return nil
}

// write replaces a file as a whole.
func (s *soak) write(name, text string) {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		s.t.Error(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Error(err)
	}
}

func (s *soak) configure() {
	s.write("config.yaml", fmt.Sprintf(soakConfig, strings.TrimPrefix(s.node.url, "http://"), strings.TrimPrefix(s.node.admin, "http://"),
		s.redis.Addr(), s.plan.ttl, s.api.URL, s.reloads))
}

func (s *soak) load(target load.Target, o load.Options) *load.Report {
	s.t.Helper()
	r, err := load.Run(s.t.Context(), target, o)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(r.Unexpected) > 0 {
		s.t.Errorf("answers that were wrong: %+v", r.Unexpected)
	}
	return r
}

// reload has the gateway read a configuration in which one route has another name.
func (s *soak) reload(context.Context) {
	s.reloads++
	s.configure()
	s.node.signal(syscall.SIGHUP)
}

// finish judges the run. A short one only has to have been sampled.
func (s *soak) finish(p soakPlan, steady *load.Report) {
	t := s.t
	for _, g := range s.gauges() {
		// A machine that is busy misses some; three say that they are taken.
		want := 3
		if p.judged {
			want = int(p.length/p.sample) / 2
		}
		if len(g.samples) < want {
			t.Errorf("%s: %d samples, want %d at least", g.name, len(g.samples), want)
		} else if g != &s.pause && median(g.samples[len(g.samples)/2:]) <= 0 {
			t.Errorf("%s: the samples are %v", g.name, g.samples)
		}
	}
	eventually(t, "the last reload to be in force", func() bool {
		_, text := fetch(s.node.admin + "/metrics")
		return strings.Contains(text, fmt.Sprintf(`/reload-%d"`, s.reloads))
	})
	if ok := s.node.metric("gatehouse_config_last_reload_successful"); ok != "1" {
		t.Errorf("the last reload was refused: %q", ok)
	}
	t.Logf("load: %s; %d reloads", summary(steady), s.reloads)
	table, flat := verdict(s.gauges())
	if p.judged {
		t.Logf("verdict:\n%s", table)
		if !flat {
			t.Error("something grows")
		}
	}
}
