package redistest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

var errPortTaken = errors.New("redis-server: the port is taken")

// kind is what a server is for.
type kind int

const (
	alone kind = iota
	clustered
	sentinel
)

// nodesFile is where a clustered server keeps what it knows of the others.
const nodesFile = "nodes.conf"

// launch starts a server of the kind on a free port, announced as announce says (nil: as it is).
func launch(t testing.TB, k kind, args []string, announce func(string) string) *Server {
	t.Helper()
	return launchWith(t, nil, k, args, announce)
}

// launchWith is launch with additions to the environment.
func launchWith(t testing.TB, env []string, k kind, args []string, announce func(string) string) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a redis-server: left out by -short")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is not on PATH: run `make test`, which installs it, or apt-get install redis-server")
	}
	s := &Server{t: t, dir: t.TempDir(), args: args, env: env, kind: k}
	t.Cleanup(s.cleanup)
	for range attempts {
		s.port, s.bus = freePort(t), freePort(t)
		s.announced = s.Addr()
		if announce != nil {
			s.announced = announce(s.Addr())
		}
		err := s.start()
		if err == nil {
			return s
		}
		if !errors.Is(err, errPortTaken) {
			t.Fatal(err)
		}
		os.RemoveAll(s.path(sentinelFile)) // it names the port
	}
	t.Fatalf("no free port for redis-server in %d attempts", attempts)
	return nil
}

// line is the command line of the process. A Sentinel takes a file, which it writes its own state into.
func (s *Server) line() ([]string, error) {
	port := strconv.Itoa(s.port)
	line := []string{"--port", port}
	if slices.Contains(s.args, "--tls-cert-file") {
		line = []string{"--port", "0", "--tls-port", port}
	}
	line = append(line, "--bind", "127.0.0.1", "--dir", s.dir, "--daemonize", "no", "--logfile", "")
	host, outside, err := net.SplitHostPort(s.announced)
	if err != nil {
		return nil, fmt.Errorf("redis-server announced as %q: wanted host:port: %w", s.announced, err)
	}
	switch s.kind {
	case sentinel:
		line = append(line, "--sentinel announce-ip", host, "--sentinel announce-port", outside)
		return s.sentinelLine(append(line, s.args...))
	case clustered:
		line = append(line, "--cluster-enabled", "yes", "--cluster-config-file", nodesFile, "--cluster-port", strconv.Itoa(s.bus),
			"--cluster-announce-ip", host, "--cluster-announce-port", outside, "--cluster-announce-tls-port", outside)
	case alone:
		if s.announced != s.Addr() {
			line = append(line, "--replica-announce-ip", host, "--replica-announce-port", outside)
		}
	}
	return append(append(line, "--save", "", "--appendonly", "no"), s.args...), nil
}

// start runs one process on s.port and waits until that very process answers.
func (s *Server) start() error {
	line, err := s.line()
	if err != nil {
		return err
	}
	s.cmd = exec.Command("redis-server", line...)
	s.cmd.Env = append(os.Environ(), s.env...)
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
			if !said && (strings.Contains(line, "Ready to accept connections") || strings.Contains(line, "Sentinel ID is")) {
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
	o.Password = s.arg("--requirepass")
	if file := s.arg("--tls-ca-cert-file"); file != "" {
		o.TLSConfig = &tls.Config{RootCAs: roots(s.t, file), Certificates: []tls.Certificate{Pair(s.t, s.args)}}
	}
	return redis.NewClient(o)
}

// arg is the value of one of the server's own arguments, empty without it.
func (s *Server) arg(name string) string {
	if i := slices.Index(s.args, name); i >= 0 {
		return s.args[i+1]
	}
	return ""
}

func roots(t testing.TB, file string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", file)
	}
	return pool
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

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
