package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/logs"
	"gatehouse/internal/secret"
)

// attack sends wrong secrets at a rate until it is stopped.
type attack struct {
	name    string
	rate    int // per second
	present func(n int64) (id, secret, source string)
}

// BenchmarkUnderAttack is a good client, with a generated secret, that asks for one token after the other while others
// present wrong secrets. It reports the client's median and 99th percentile, and how many wrong ones a second were answered.
func BenchmarkUnderAttack(b *testing.B) {
	source := func(n int64) string { return fmt.Sprintf("198.51.%d.%d", n/250%250, n%250) }
	whole := secret.New()
	known := attack{"1000 a second, known ids", 1000, func(n int64) (string, string, string) { return "billing", whole, source(n / 5) }}
	made := attack{"1000 a second, made-up ids", 1000, func(n int64) (string, string, string) { return fmt.Sprint("made-up-", n), whole, "203.0.113.1" }}
	slow := attack{"argon2id, 200 a second", 200, func(n int64) (string, string, string) { return "imported", "wrong", source(n) }}
	for _, row := range []struct {
		name    string
		attacks []attack
	}{{"quiet", nil}, {"known", []attack{known}}, {"made_up", []attack{made}}, {"argon2id", []attack{slow}}, {"both", []attack{known, slow}}} {
		b.Run(row.name, func(b *testing.B) { underAttack(b, row.attacks) })
	}
}

func underAttack(b *testing.B, attacks []attack) {
	good := secret.New()
	at := attacked(b, good)
	ctx, stop := context.WithCancel(context.Background())
	var answered atomic.Int64
	var all sync.WaitGroup
	for _, a := range attacks {
		a.start(ctx, at, &all, &answered)
	}
	var took []time.Duration
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	begun := time.Now()
	for b.Loop() {
		before := time.Now()
		if status, err := present(ctx, client, at, "good", good, "192.0.2.1"); status != 200 {
			b.Fatalf("the good client got %d, %v", status, err)
		}
		took = append(took, time.Since(before))
		time.Sleep(5 * time.Millisecond) // a client that asks often, and not as fast as it can
	}
	elapsed := time.Since(begun)
	stop()
	all.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(answered.Load())/elapsed.Seconds(), "wrong/s")
	b.ReportMetric(0, "ns/op") // it holds the pauses
}

// start sends wrong secrets, each at its time, over at most 64 connections.
func (a attack) start(ctx context.Context, at string, all *sync.WaitGroup, answered *atomic.Int64) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	turns := make(chan int64, 64)
	all.Go(func() {
		defer close(turns)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := int64(0); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for range a.rate / 100 {
				select {
				case turns <- n:
				default: // all connections wait: the attack goes on without this one
				}
				n++
			}
		}
	})
	for range 64 {
		all.Go(func() {
			for n := range turns {
				id, secret, source := a.present(n)
				if status, _ := present(ctx, client, at, id, secret, source); status != 0 {
					answered.Add(1)
				}
			}
			client.CloseIdleConnections()
		})
	}
}

func present(ctx context.Context, client *http.Client, at, id, secret, source string) (int, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	req, err := http.NewRequestWithContext(ctx, "POST", at+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Forwarded-For", source)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// attacked starts a gatehouse on this machine and returns its URL.
func attacked(b *testing.B, good string) string {
	dir := b.TempDir()
	phc, err := secret.HashArgon2id("imported", secret.Argon2idCost{Memory: 19456, Time: 2, Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	public, admin := benchListener(b), benchListener(b)
	at := "http://" + public.Addr().String()
	for name, text := range map[string]string{
		"config.yaml": `version: 1
server: {listen: "` + public.Addr().String() + `", public_url: "` + at + `", trusted_proxies: [127.0.0.1], drain: 1s}
admin: {listen: "127.0.0.1:1"}
clients_file: clients.yaml
apis:
  orders: {audience: orders, upstream: "http://127.0.0.1:9", routes: [{match: /, auth: token}]}
`,
		"clients.yaml": fmt.Sprintf(`version: 1
clients:
  good: {grants: {orders: []}, secrets: [{sha256: %x}]}
  billing: {grants: {orders: []}, secrets: [{sha256: %x}]}
  imported: {grants: {orders: []}, secrets: [{argon2id: "%s"}]}
`, secret.Sum(good), secret.Sum(secret.New()), phc),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	out := logs.Open(io.Discard, "info", "json")
	load := func() (*config.Config, error) {
		return config.Load(filepath.Join(dir, "config.yaml"), config.Options{})
	}
	a, err := New(context.Background(), Options{Load: load, Version: "bench", Mode: "run", Log: out, Public: public, Admin: admin, Watch: -1})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
		a.Close()
		out.Close()
	})
	return at
}

func benchListener(b *testing.B) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return l
}
