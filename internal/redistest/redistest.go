// Package redistest starts real redis-server processes for tests: on a free port, in a directory of their own, with
// nothing kept on disk unless asked for. A server is killed when its test ends, and shows its log when that test failed.
// A Proxy in front of one is the network that goes bad.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
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
	port int

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended

	mu  sync.Mutex
	log bytes.Buffer // all that the server's processes have printed
}

// Start starts a server and returns once it answers. The arguments are redis-server's own, such as "--appendonly", "yes".
// Without redis-server on PATH the test fails with the one line that says how to get it; with -short it is skipped.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a redis-server: left out by -short")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is not on PATH: run `make test`, which installs it, or apt-get install redis-server")
	}
	s := &Server{t: t, dir: t.TempDir(), args: args}
	t.Cleanup(s.cleanup)
	for range attempts {
		s.port = freePort(t)
		err := s.start()
		if err == nil {
			return s
		}
		if !errors.Is(err, errPortTaken) {
			t.Fatal(err)
		}
	}
	t.Fatalf("no free port for redis-server in %d attempts", attempts)
	return nil
}

// Addr is the server's host:port. It stays the same over Restart.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

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
// it returns empty.
func (s *Server) Restart(keepData bool) {
	s.t.Helper()
	if s.running() {
		s.Resume()
		if keepData {
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

var errPortTaken = errors.New("redis-server: the port is taken")

// start runs one process on s.port and waits until that very process answers.
func (s *Server) start() error {
	args := []string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", ""}
	s.cmd = exec.Command("redis-server", append(args, s.args...)...)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	s.cmd.Stderr = s.cmd.Stdout
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	ready, taken := s.follow(out)
	select {
	case <-ready:
		return s.identify()
	case <-s.exited:
		if *taken {
			return errPortTaken
		}
		return fmt.Errorf("redis-server ended at once:\n%s", s.output())
	case <-time.After(startTimeout):
		return fmt.Errorf("redis-server was not ready after %s:\n%s", startTimeout, s.output())
	}
}

// follow keeps what the process prints, closes ready when it says that it accepts connections, and closes s.exited when
// it has ended. The flag says that it could not bind; it may be read after s.exited is closed.
func (s *Server) follow(out io.Reader) (ready chan struct{}, taken *bool) {
	ready, taken = make(chan struct{}), new(bool)
	cmd, exited := s.cmd, s.exited
	go func() {
		defer close(exited)
		defer cmd.Wait()
		said := false
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			s.print(line)
			*taken = *taken || strings.Contains(line, "Address already in use")
			if !said && strings.Contains(line, "Ready to accept connections") {
				said = true
				close(ready)
			}
			if err != nil {
				return // the process has closed its output
			}
		}
	}()
	return ready, taken
}

// identify makes sure that who answers on the port is the process that was started.
func (s *Server) identify() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c := s.client()
	defer c.Close()
	if err := c.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis-server on %s: %w", s.Addr(), err)
	}
	info, err := c.Info(ctx, "server").Result()
	if err != nil {
		return fmt.Errorf("redis-server on %s: %w", s.Addr(), err)
	}
	if !strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", s.cmd.Process.Pid)) {
		s.Kill()
		return errPortTaken
	}
	return nil
}

func (s *Server) client() *redis.Client { return s.clientOf(s.Addr()) }

// clientOf is a client that reaches the server at an address which is not its own, as through a Proxy.
func (s *Server) clientOf(addr string) *redis.Client {
	o := &redis.Options{
		Addr:                     addr,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if i := slices.Index(s.args, "--requirepass"); i >= 0 {
		o.Password = s.args[i+1]
	}
	return redis.NewClient(o)
}

func (s *Server) save() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.Client().Save(ctx).Err(); err != nil {
		s.t.Fatalf("redis-server on %s: SAVE: %v", s.Addr(), err)
	}
}

// wipe empties the server's directory.
func (s *Server) wipe() {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *Server) running() bool {
	if s.exited == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// end sends sig, wakes a paused process so that it hears it, and waits.
func (s *Server) end(sig syscall.Signal) {
	if !s.running() {
		return
	}
	s.signal(sig)
	s.signal(syscall.SIGCONT)
	select {
	case <-s.exited:
	case <-time.After(startTimeout):
		s.cmd.Process.Kill()
		<-s.exited
		s.t.Errorf("redis-server on %s did not end within %s of %v", s.Addr(), startTimeout, sig)
	}
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("redis-server on %s: %v: %v", s.Addr(), sig, err)
	}
}

func (s *Server) cleanup() {
	s.Kill()
	if s.t.Failed() {
		s.t.Logf("redis-server on %s printed:\n%s", s.Addr(), s.output())
	}
}

func (s *Server) print(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.WriteString(line)
}

func (s *Server) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// freePort returns a port that nobody listened on a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
