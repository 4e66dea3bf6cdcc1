package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager is the socket that systemd would listen on.
type manager struct{ *net.UnixConn }

func newManager(t *testing.T) manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return manager{conn}
}

// run starts `gatehouse run` as the manager does.
func (m manager) run(t *testing.T, args ...string) (*exec.Cmd, *output) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"run"}, args...)...)
	cmd.Env = append(os.Environ(), "GATEHOUSE_TEST_IS_COMMAND=1", "NOTIFY_SOCKET="+m.LocalAddr().String())
	log := &output{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, log
}

// hear returns the next message, as its variables.
func (m manager) hear(t *testing.T) map[string]string {
	t.Helper()
	m.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, 4096)
	n, err := m.Read(b)
	if err != nil {
		t.Fatalf("the process said nothing: %v", err)
	}
	said := map[string]string{}
	for line := range strings.Lines(string(b[:n])) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			t.Errorf("%q is no variable", line)
		}
		said[name] = value
	}
	return said
}

// monotonic is the clock that MONOTONIC_USEC is read from, in microseconds.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

// TestSupervisorHears: a process of systemd's says when it serves, when it reloads and how that went, and when it ends.
func TestSupervisorHears(t *testing.T) {
	systemd := newManager(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	good := fmt.Appendf(nil, drainConfig, "http://127.0.0.1:9", "info")
	for name, text := range map[string][]byte{config: good, filepath.Join(dir, "clients.yaml"): []byte("version: 1\n")} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd, log := systemd.run(t, "--watch=false", "-c", config)
	if said := systemd.hear(t); said["READY"] != "1" || !strings.HasPrefix(said["STATUS"], "serving config ") {
		t.Fatalf("at the start it said %v\n%s", said, log)
	}
	for _, step := range []struct {
		file []byte
		want string
	}{
		{bytes.Replace(good, []byte("log:"), []byte("# the same again\nlog:"), 1), "serving config "},
		{[]byte("version: 9\n"), "reload refused at "},
		{good, "serving config "},
	} {
		if err := os.WriteFile(config, step.file, 0o600); err != nil {
			t.Fatal(err)
		}
		before := monotonic(t)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		said := systemd.hear(t)
		at, err := strconv.ParseInt(said["MONOTONIC_USEC"], 10, 64)
		if said["RELOADING"] != "1" || err != nil || at < before || at > monotonic(t) {
			t.Errorf("at a signal between %d and %d it said %v", before, monotonic(t), said)
		}
		if said := systemd.hear(t); said["READY"] != "1" || !strings.HasPrefix(said["STATUS"], step.want) {
			t.Errorf("after the reload it said %v, want %q\n%s", said, step.want, log)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if said := systemd.hear(t); said["STOPPING"] != "1" {
		t.Errorf("at the end it said %v", said)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, log)
	}
}

// A reload that nobody signalled changes what `systemctl status` shows, too.
func TestSupervisorHearsOfOtherReloads(t *testing.T) {
	systemd := newManager(t)
	path, _ := project(t)
	if r := gatehouse(t, "", "client", "create", "worker", "-c", path); r.code != 0 {
		t.Fatalf("client create: %+v", r)
	}
	systemd.run(t, "-c", path)
	first := systemd.hear(t)["STATUS"]
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(good, "log: {level: debug}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	second := systemd.hear(t)["STATUS"]
	if !strings.HasPrefix(first, "serving config ") || !strings.HasPrefix(second, "serving config ") || first == second {
		t.Errorf("it said %q, and after a file was changed %q", first, second)
	}
}

// A supervisor that is not there stops nothing.
func TestSupervisorGone(t *testing.T) {
	systemd := newManager(t)
	t.Setenv("NOTIFY_SOCKET", systemd.LocalAddr().String())
	systemd.Close()
	os.Remove(systemd.LocalAddr().String())
	path, _ := project(t)
	if r := gatehouse(t, "", "client", "create", "worker", "-c", path); r.code != 0 {
		t.Fatalf("client create: %+v", r)
	}
	_, stderr, stop := background(t, "can't be told", "run", "-c", path)
	waitFor(t, func() bool { return strings.Contains(stderr.String(), `"msg":"ready"`) })
	if code := stop(); code != 0 {
		t.Errorf("run ended with %d\n%s", code, stderr)
	}
}
