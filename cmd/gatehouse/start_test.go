package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/revoke"
	"gatehouse/internal/statedb"
)

// BenchmarkStart says how long a start takes, from exec until readiness: of a small configuration, with a million revocations
// in the journal, and with 2 000 routes and 10 000 clients.
func BenchmarkStart(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "gatehouse")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, bm := range []struct {
		name                         string
		routes, clients, revocations int
	}{{"small", 2, 1, 0}, {"million revocations", 2, 1, 1_000_000}, {"2000 routes, 10000 clients", 2000, 10_000, 0}} {
		b.Run(bm.name, func(b *testing.B) {
			dir := b.TempDir()
			port := freePort(b)
			large(b, dir, port, bm.routes, bm.clients)
			fillJournal(b, filepath.Join(dir, "state"), bm.revocations)
			startOnce(b, binary, dir, port) // makes the keys
			b.ResetTimer()
			var took, busy []time.Duration
			for range b.N {
				t, cpu := startOnce(b, binary, dir, port)
				took, busy = append(took, t), append(busy, cpu)
			}
			slices.Sort(took)
			slices.Sort(busy)
			b.ReportMetric(float64(took[0].Milliseconds()), "ms-best")
			b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms-median")
			b.ReportMetric(float64(busy[len(busy)/2].Milliseconds()), "ms-cpu")
			b.ReportMetric(0, "ns/op") // with the end of the process, which nobody waits for
		})
	}
}

// startOnce starts the binary, and returns how long it took to be ready, and the CPU time from the start to its end, which is
// what a machine that is busy with something else leaves comparable.
func startOnce(b *testing.B, binary, dir string, port int) (took, cpu time.Duration) {
	b.Helper()
	var log bytes.Buffer
	cmd := exec.Command(binary, "run", "-c", filepath.Join(dir, "config.yaml"))
	cmd.Stderr = &log
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Process.Kill() // where it did not end by itself
	for end := began.Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/-/ready", port))
		if err != nil {
			continue
		}
		if res.Body.Close(); res.StatusCode == http.StatusOK {
			took = time.Since(began)
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
			return took, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		}
	}
	b.Fatalf("not ready in a minute:\n%s", &log)
	return 0, 0
}

// large writes a configuration with so many routes and clients, spread over APIs of a hundred routes.
func large(b *testing.B, dir string, port, routes, clients int) {
	b.Helper()
	const perAPI = 100
	var text, list strings.Builder
	fmt.Fprintf(&text, "version: 1\nserver: {listen: \"127.0.0.1:0\", public_url: \"http://127.0.0.1:1\", drain: 1s}\nadmin: {listen: \"127.0.0.1:%d\"}\nclients_file: clients.yaml\napis:\n", port)
	for r := range routes {
		if r%perAPI == 0 {
			fmt.Fprintf(&text, "  api%d:\n    audience: urn:api%d\n    upstream: http://127.0.0.1:9\n    scopes: {read:%d: Read}\n    rate_limit: {requests: 100, per: 1s}\n    routes:\n", r/perAPI, r/perAPI, r/perAPI)
		}
		fmt.Fprintf(&text, "      - {match: \"GET /api%d/things%d/{id}\", scopes: [read:%d]}\n", r/perAPI, r, r/perAPI)
	}
	list.WriteString("version: 1\nclients:\n")
	for c := range clients {
		api := c % max(1, routes/perAPI)
		fmt.Fprintf(&list, "  client-%d: {grants: {api%d: [read:%d]}, secrets: [{sha256: %x}]}\n", c, api, api, sha256.Sum256(fmt.Append(nil, c)))
	}
	for name, s := range map[string]string{"config.yaml": text.String(), "clients.yaml": list.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// fillJournal makes a journal of n tokens that were revoked one by one and expire within a day.
func fillJournal(b *testing.B, dir string, n int) {
	b.Helper()
	db, err := statedb.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.NoSync = true
	j, err := revoke.OpenJournal(db)
	if err != nil {
		b.Fatal(err)
	}
	entries, now := make([]revoke.Entry, n), time.Now().Unix()
	for i := range entries {
		entries[i] = revoke.Entry{Kind: revoke.Token, Expires: now + 3600 + int64(i)*80000/int64(n)}
		rand.Read(entries[i].ID[:])
	}
	for len(entries) > 0 {
		batch := entries[:min(1000, len(entries))]
		entries = entries[len(batch):]
		if err := j.Put(false, batch...); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Sync(); err != nil {
		b.Fatal(err)
	}
}
