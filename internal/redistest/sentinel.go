package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	sentinels = 3
	quorum    = 2
	// downAfter is how long a master must be silent before a Sentinel calls it down.
	downAfter    = 2 * time.Second
	patience     = time.Minute // for servers to agree on something, on a machine that is busy
	askTimeout   = time.Second // for one question to one server, which may be paused
	sentinelFile = "sentinel.conf"
)

// SentinelOptions say how StartSentinel's servers are run. The zero value is a master and one replica without passwords.
type SentinelOptions struct {
	// Name is the master's, "gatehouse" when empty.
	Name string
	// Replicas is how many there are, 1 when zero.
	Replicas int
	// Args are for the master and the replicas, in addition to those that make them so. --requirepass is told to all who need
	// the password.
	Args []string
	// SentinelArgs are for the Sentinels.
	SentinelArgs []string
	// Announce says under which address (an IP address and a port) a server makes itself known, the Sentinels among them, given
	// the one that it listens on. It is asked once for each address tried, of which a few may be taken. Nil: the same.
	Announce func(addr string) string
}

// Sentinel is a replicated set of servers and the three Sentinels that watch it. A master that is silent for two seconds is
// replaced. Its methods are for the test's goroutine, as a Server's are.
type Sentinel struct {
	t         testing.TB
	name      string
	servers   []*Server
	sentinels []*Server
}

// StartSentinel returns once every replica has caught up and the Sentinels know one another and every replica.
func StartSentinel(t testing.TB, o SentinelOptions) *Sentinel {
	t.Helper()
	if o.Name == "" {
		o.Name = "gatehouse"
	}
	s := &Sentinel{t: t, name: o.Name}
	args, password := o.Args, (&Server{args: o.Args}).arg("--requirepass")
	if password != "" {
		args = append([]string{"--masterauth", password}, args...)
	}
	args = append([]string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}, args...)
	master := launch(t, alone, args, o.Announce)
	s.servers = []*Server{master}
	host, port, _ := net.SplitHostPort(master.announced)
	for range max(o.Replicas, 1) {
		replica := launch(t, alone, append([]string{"--replicaof", host + " " + port}, args...), o.Announce)
		s.servers = append(s.servers, replica)
		awaitReplica(t, master, replica)
	}
	watch := []string{"--sentinel monitor", o.Name, host, port, strconv.Itoa(quorum)}
	for name, value := range map[string]string{
		"down-after-milliseconds": strconv.FormatInt(downAfter.Milliseconds(), 10), "failover-timeout": "5000", "auth-pass": password} {
		if value != "" {
			watch = append(watch, "--sentinel "+name, o.Name, value)
		}
	}
	for range sentinels {
		s.sentinels = append(s.sentinels, launch(t, sentinel, append(watch, o.SentinelArgs...), o.Announce))
	}
	s.hurry()
	await(t, "the Sentinels know one another and every replica", s.settled)
	return s
}

// Name is the name of the master.
func (s *Sentinel) Name() string { return s.name }

// Servers are the master and the replicas, whichever is which: the first was the master at the start.
func (s *Sentinel) Servers() []*Server { return s.servers }

// Sentinels are the three Sentinels.
func (s *Sentinel) Sentinels() []*Server { return s.sentinels }

// Addrs are the addresses under which the Sentinels are known, for a client's configuration.
func (s *Sentinel) Addrs() []string {
	addrs := make([]string, len(s.sentinels))
	for i, one := range s.sentinels {
		addrs[i] = one.announced
	}
	return addrs
}

// Master is the server that the first Sentinel that answers calls the master.
func (s *Sentinel) Master() *Server {
	s.t.Helper()
	var master *Server
	await(s.t, "a Sentinel names the master", func() bool {
		for _, one := range s.sentinels {
			if master = s.named(one); master != nil {
				return true
			}
		}
		return false
	})
	return master
}

// AwaitFailover waits until all Sentinels that answer name another master than old, and that one takes writes.
func (s *Sentinel) AwaitFailover(old *Server) *Server {
	s.t.Helper()
	var master *Server
	await(s.t, "another server is the master", func() bool {
		master = nil
		for _, one := range s.sentinels {
			named := s.named(one)
			if named == nil {
				continue
			}
			if named == old || master != nil && master != named {
				return false
			}
			master = named
		}
		return master != nil && strings.Contains(ask(master, "INFO", "replication"), "role:master")
	})
	return master
}

// Failover has the Sentinels make a replica the master now, once the replicas have all that was written before, and returns
// the new one. The old one becomes its replica within a few seconds.
func (s *Sentinel) Failover() *Server {
	s.t.Helper()
	old := s.Master()
	for _, server := range s.servers {
		if server != old && server.answers() {
			awaitReplica(s.t, old, server)
		}
	}
	await(s.t, "a Sentinel begins a failover", func() bool {
		for _, one := range s.sentinels {
			if ask(one, "SENTINEL", "FAILOVER", s.name) == "OK" {
				return true
			}
		}
		return false
	})
	return s.AwaitFailover(old)
}

// named is the server that one Sentinel calls the master, nil where it does not answer.
func (s *Sentinel) named(one *Server) *Server {
	addr := strings.Fields(strings.Trim(ask(one, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.name), "[]"))
	if len(addr) != 2 {
		return nil
	}
	for _, server := range s.servers {
		if server.announced == net.JoinHostPort(addr[0], addr[1]) {
			return server
		}
	}
	return nil
}

// hurry has the Sentinels talk to one another more often than they do by themselves. Those before 7.0 can't be told to and
// take longer.
func (s *Sentinel) hurry() {
	for _, one := range s.sentinels {
		ask(one, "SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "250")
	}
}

func (s *Sentinel) settled() bool {
	for _, one := range s.sentinels {
		state := ask(one, "SENTINEL", "MASTER", s.name)
		for name, want := range map[string]int{
			"num-slaves": len(s.servers) - 1, "num-other-sentinels": sentinels - 1} {
			if !strings.Contains(state, fmt.Sprintf("%s:%d", name, want)) && !strings.Contains(state, fmt.Sprintf("%s %d", name, want)) {
				return false
			}
		}
	}
	return true
}

// sentinelLine writes the options into the file that a Sentinel must have, unless it has written its own, and returns the
// command line.
func (s *Server) sentinelLine(options []string) ([]string, error) {
	line := []string{s.path(sentinelFile), "--sentinel"}
	if _, err := os.Stat(line[0]); !errors.Is(err, os.ErrNotExist) {
		return line, err
	}
	var text strings.Builder
	for _, o := range options {
		if name, ok := strings.CutPrefix(o, "--"); ok {
			text.WriteString("\n" + name)
		} else {
			text.WriteString(" " + strconv.Quote(o))
		}
	}
	return line, os.WriteFile(line[0], []byte(text.String()+"\n"), 0o600)
}

// awaitReplica waits until the replica has all that its master had when asked, and is sent the rest as it comes.
func awaitReplica(t testing.TB, master, replica *Server) {
	t.Helper()
	await(t, "the replica is sent what is written", func() bool {
		_, port, _ := net.SplitHostPort(replica.announced)
		own := strconv.Itoa(replica.port) // which a cluster's tells its master, whatever it announces
		for line := range strings.Lines(ask(master, "INFO", "replication")) {
			if strings.Contains(line, "port="+port+",") || strings.Contains(line, "port="+own+",") {
				return strings.Contains(line, "state=online")
			}
		}
		return false
	})
	written := field(ask(master, "INFO", "replication"), "master_repl_offset")
	await(t, "the replica has what was written", func() bool {
		return field(ask(replica, "INFO", "replication"), "slave_repl_offset") >= written
	})
}

// field is a number of what INFO answered, -1 where it is not there.
func field(info, name string) int64 {
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(line, name+":"); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}

// answers reports whether the server is neither ended nor paused.
func (s *Server) answers() bool { return s.running() && ask(s, "PING") != "" }

// ask is the server's answer as text, empty where it gave an error or nothing in time.
func ask(s *Server, command ...any) string {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	c := s.client()
	defer c.Close()
	answer, err := c.WithTimeout(askTimeout).Do(ctx, command...).Result()
	if err != nil {
		return ""
	}
	return fmt.Sprint(answer)
}

// await waits until what holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so after %s: %s", patience, what)
		}
	}
}
