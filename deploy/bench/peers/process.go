package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
		select {
		case <-p.ended: // what has answered, if anything, was another program
			return fmt.Errorf("it ended at once: %s", p.tail())
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
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

// freePort is the first of freePorts.
func freePort() (int, error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// freePorts returns so many loopback ports, each another, that nothing listens on. They are below those that the kernel gives
// to whoever asks for any (net.ipv4.ip_local_port_range): another program on the machine might get one of these before it is used.
func freePorts(n int) (ports []int, err error) {
	const first, end, tries = 15_000, 32_000, 1000
	for range tries {
		if len(ports) == n {
			return ports, nil
		}
		port := first + rand.IntN(end-first)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		defer l.Close() // when all are known, so that none comes twice
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("there are no %d free ports from %d to %d", n, first, end)
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
