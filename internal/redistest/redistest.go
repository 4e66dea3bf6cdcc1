// Package redistest starts real redis-server processes for tests, one alone, a replicated set with Sentinels, or a Cluster:
// on free ports of 127.0.0.1, in directories of their own, with nothing kept on disk unless asked for. A server is killed
// when its test ends, and shows its log when that test failed. A Proxy in front of one is the network that goes bad.
package redistest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	startTimeout = 20 * time.Second // for one process to answer, on a machine that is busy
	attempts     = 20               // ports tried before giving up
)

// Server is one redis-server. Its methods fail the test that started it instead of returning errors, so they are called
// from that test's goroutine; Addr alone may be called from any.
type Server struct {
	t    testing.TB
	dir  string
	args []string
	env  []string // besides the test's own
	kind kind
	port int
	bus  int // the port of the cluster bus, of a clustered server
	// announced is the address that others are told.
	announced string

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended

	mu  sync.Mutex
	log bytes.Buffer // all that the server's processes have printed
}

// Start starts a server and returns once it answers. The arguments are redis-server's own, such as "--appendonly", "yes";
// with those of TLSArgs it speaks TLS alone. Without redis-server on PATH the test fails with the one line that says how
// to get it; with -short it is skipped.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return launch(t, alone, args, nil)
}

// Addr is the server's host:port. It stays the same over Restart.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Announced is the address under which a Sentinel or a Cluster makes the server known: Addr, unless Announce said another.
func (s *Server) Announced() string { return s.announced }

// Client returns a client of this server alone, with go-redis's own defaults, closed when the test ends.
func (s *Server) Client() *redis.Client {
	c := s.client()
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Stop ends the server with SIGTERM and waits until it has gone. A stopped server stays stopped.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server with SIGKILL, as a crash would, and waits until it has gone.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Pause suspends the process (SIGSTOP): connections stay open and nothing is answered, until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused process run on (SIGCONT). It does nothing to one that runs.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Restart brings the server back on the same address, ending it first where it runs. With keepData a running server
// saves its data set before; one that was stopped or killed returns with what it had written by itself. Without keepData
// it returns empty, but still knows the Cluster that it is of, or, a Sentinel, the master that it watches.
func (s *Server) Restart(keepData bool) {
	s.t.Helper()
	if s.running() {
		s.Resume()
		if keepData && s.kind != sentinel {
			s.save()
		}
		s.Kill()
	}
	if !keepData {
		s.wipe()
	}
	deadline := time.Now().Add(startTimeout)
	for {
		err := s.start()
		if err == nil {
			return
		}
		if !errors.Is(err, errPortTaken) || time.Now().After(deadline) {
			s.t.Fatal(err)
		}
	}
}

func (s *Server) save() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.Client().Save(ctx).Err(); err != nil {
		s.t.Fatalf("redis-server on %s: SAVE: %v", s.Addr(), err)
	}
}

// wipe empties the server's directory of data.
func (s *Server) wipe() {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == nodesFile || e.Name() == sentinelFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
			s.t.Fatal(err)
		}
	}
}
