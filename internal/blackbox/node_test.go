package blackbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a condition may take to come on a machine that is busy.
const patience = 30 * time.Second

// node is one gatehouse process.
type node struct {
	t      testing.TB
	config string // its config.yaml
	state  string // its state.dir
	url    string // of the public listener
	admin  string // of the admin listener

	cmd    *exec.Cmd
	log    *stream
	exited chan struct{} // closed when cmd has ended
}

// stream collects what a process prints while a test reads it.
type stream struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var errPortTaken = errors.New("a port was taken by somebody else meanwhile")

// start runs the node and returns once it is ready.
func (n *node) start() error {
	n.log, n.exited = &stream{}, make(chan struct{})
	n.cmd = exec.Command(program(n.t), "run", "-c", n.config)
	n.cmd.Stderr, n.cmd.Stdout = n.log, n.log
	n.cmd.Env = environment()
	if err := n.cmd.Start(); err != nil {
		return err
	}
	go func() {
		n.cmd.Wait()
		close(n.exited)
	}()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if status, _ := fetch(n.admin + "/-/ready"); status == http.StatusOK {
			return nil
		}
		select {
		case <-n.exited:
			if strings.Contains(n.log.String(), "address already in use") {
				return errPortTaken
			}
			return fmt.Errorf("gatehouse run -c %s ended at once:\n%s", n.config, n.log)
		default:
		}
		if time.Now().After(end) {
			n.cmd.Process.Kill()
			return fmt.Errorf("gatehouse run -c %s was not ready after %s:\n%s", n.config, patience, n.log)
		}
	}
}

// environment is that of the test without what would configure gatehouse.
func environment() []string {
	env := []string{"GORACE=halt_on_error=1 exitcode=66"}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GATEHOUSE_") {
			env = append(env, e)
		}
	}
	return env
}

// stop ends the process as an operator would, and fails the test where it did not end well.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	select {
	case <-n.exited:
	case <-time.After(patience):
		n.t.Errorf("%s did not end on SIGTERM", n.config)
		n.cmd.Process.Kill()
		<-n.exited
	}
	text := n.log.String()
	if code := n.cmd.ProcessState.ExitCode(); code != 0 || strings.Contains(text, "DATA RACE") || strings.Contains(text, "\ngoroutine ") {
		n.t.Errorf("%s ended with %d", n.config, code)
	}
	if n.t.Failed() {
		n.t.Logf("%s printed:\n%s", n.config, tail(text, 16<<10))
	}
}

func (n *node) signal(s os.Signal) { n.cmd.Process.Signal(s) }

// metric is the value of one series as /metrics shows it, such as `name{label="x"}`; "" where it is not there.
func (n *node) metric(series string) string {
	n.t.Helper()
	_, text := fetch(n.admin + "/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// What looks like a client secret, a header that carries one, or the beginning of a token: {"alg", {"typ", {"kid", {"crit"
// and {"iss" in base64url, which no random id is by chance.
var (
	jwtText    = regexp.MustCompile(`eyJ(hbGci|0eXAi|raWQi|jcml0|pc3Mi)`)
	basicText  = regexp.MustCompile(`(?i)basic [A-Za-z0-9+/=%]{24,}`)
	secretText = regexp.MustCompile(`gatecs_[A-Za-z0-9]{43}_[A-Za-z0-9]{6}`)
)

// sweep looks for secrets, assertions and tokens in all that a running node shows and keeps.
func (n *node) sweep(planted ...string) {
	n.t.Helper()
	_, metrics := fetch(n.admin + "/metrics")
	places := map[string]string{"the log": n.log.String(), "/metrics": metrics}
	filepath.WalkDir(n.state, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if data, err := os.ReadFile(path); err == nil {
				places[path] = string(data)
			}
		}
		return nil
	})
	for place, text := range places {
		for _, kind := range []*regexp.Regexp{jwtText, basicText, secretText} {
			if m := kind.FindString(text); m != "" {
				n.t.Errorf("%s holds %q", place, m)
			}
		}
		for _, p := range planted {
			if strings.Contains(text, p) {
				n.t.Errorf("%s holds the planted %q", place, p)
			}
		}
	}
}

// fetch is a GET with a time limit; status 0 where there was no answer.
func fetch(url string) (status int, body string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(data)
}

// result is what a command printed and how it ended.
type result struct {
	code           int
	stdout, stderr string
}

// command runs gatehouse with these arguments to its end.
func command(t testing.TB, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t), args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errOut, append(environment(), env...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("gatehouse %s: %v", strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// freePorts are n ports, no two the same, that nobody listened on a moment ago.
func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // once all are chosen: a port that is free again is handed out again
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not come in %s", what, patience)
		}
	}
}
