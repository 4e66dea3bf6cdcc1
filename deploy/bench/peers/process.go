package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The cores. Every proxy has the first to itself; what asks it, what answers it and Redis share the second.
const (
	proxyCore = "0"
	loadCore  = "1"
	bothCores = "0,1"
)

const (
	readyWithin = 4 * time.Minute // how long a program may take until it serves: taking over a million revocations is long on a busy machine
	endsWithin  = 5 * time.Second // how long it may take to end once it is asked to
	ticks       = 100             // of CPU time in a second, in /proc: the kernel's USER_HZ, on every architecture that Go runs on
)

// process is a program that this run started. Its output is in the file log.
type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed once it has ended
}

// urgent has what is measured, and what measures it, go before other programs on the machine. It takes root.
var urgent bool

// begin starts a command, which the kernel ends where this process is gone, however that came. An urgent one is the leader of a
// session, since Linux shares a core between sessions first (sched_autogroup) and within them by niceness after that.
func begin(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: urgent}
	err := cmd.Start()
	if err != nil || !urgent {
		return err
	}
	return os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", cmd.Process.Pid), []byte("-20"), 0)
}

// launch starts a program on the cores, with its output in a file beside its other files in dir.
func launch(dir, cores string, env []string, argv ...string) (*process, error) {
	path := filepath.Join(dir, filepath.Base(argv[0])+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("taskset", append([]string{"-c", cores}, argv...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := begin(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: path, ended: make(chan struct{})}
	go func() {
		cmd.Wait() // how it ended is for its log to say
		close(p.ended)
	}()
	return p, nil
}

// stop ends the program and returns when it has ended. A nil process has ended.
func (p *process) stop() {
	if p == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(endsWithin):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// await returns nil once try does, and an error with the end of the log where the program ends first or takes too long.
func (p *process) await(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended at once: %s", p.tail())
		case <-ctx.Done():
			return fmt.Errorf("not ready (%w): %s", err, p.tail())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// tail is the end of what the program has written.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-2000):]))
}

// listens is a try for await: something accepts connections at addr.
func listens(addr string) func() error {
	return func() error {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	}
}

// speaks is a try for await: something at addr answers requests, whatever it answers.
func speaks(addr string) func() error {
	return func() error {
		res, err := oneOff.Get("http://" + addr + "/")
		if err == nil {
			res.Body.Close()
		}
		return err
	}
}

// answers is a try for await: a GET of the URL has the status 200.
func answers(url string) func() error {
	return func() error {
		res, err := oneOff.Get(url)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", url, res.Status)
		}
		return nil
	}
}

// cpu is the CPU time, user and system, that all threads of the process have taken so far.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(b))
}

// parseStat reads the CPU time of a line of /proc/PID/stat. The name of the program, in parentheses, may hold anything.
func parseStat(line string) (time.Duration, error) {
	_, rest, ok := cutLast(line, ")")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat of a form that is not known: %q", line)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("utime: %w", err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stime: %w", err)
	}
	return time.Duration(user+system) * time.Second / ticks, nil
}

// coreTime is the CPU time that anything has taken of the proxies' core so far, or that the machine below has taken from it.
func coreTime() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseCore(string(b), "cpu"+proxyCore)
}

// parseCore adds what a core did in /proc/stat, but for idling, waiting and what of it is in another number already.
func parseCore(stat, core string) (time.Duration, error) {
	const idle, iowait, guest = 3, 4, 8
	for line := range strings.Lines(stat) {
		f := strings.Fields(line)
		if len(f) <= guest || f[0] != core {
			continue
		}
		var sum int64
		for i, word := range f[1:min(len(f), guest+1)] {
			n, err := strconv.ParseInt(word, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/stat: %w", err)
			}
			if i != idle && i != iowait {
				sum += n
			}
		}
		return time.Duration(sum) * time.Second / ticks, nil
	}
	return 0, fmt.Errorf("/proc/stat has no %s", core)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// memory is what a process has resident, in bytes.
type memory struct {
	own    int64 // that the kernel can't take back: heap, stacks, and the program's data
	mapped int64 // of files, which it can: the program and its database
}

// memory asks the kernel.
func (p *process) memory() (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return memory{}, err
	}
	return parseMemory(string(b))
}

// parseMemory reads RssAnon, RssFile and RssShmem, which are in kB, of /proc/PID/status.
func parseMemory(status string) (m memory, err error) {
	found := 0
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		to := map[string]*int64{"RssAnon": &m.own, "RssFile": &m.mapped, "RssShmem": &m.mapped}[name]
		if to == nil {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return m, err
		}
		*to += kb << 10
		found++
	}
	if found != 3 {
		return m, fmt.Errorf("/proc/PID/status does not say what is resident")
	}
	return m, nil
}

// freePort returns a loopback port that nothing listens on. Somebody else may take it before it is used, which then fails the run.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// oneOff keeps no connections: what it asks is started and ended all the time.
var oneOff = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
