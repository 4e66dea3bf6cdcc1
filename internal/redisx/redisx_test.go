package redisx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/redistest"
	"gatehouse/internal/secret"
)

const patience = 20 * time.Second

func open(t *testing.T, o Options) *Client {
	t.Helper()
	o.Prefix = "gh"
	c := Open(o)
	t.Cleanup(func() { c.Close() })
	return c
}

// eventually waits until what holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
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

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestRunLoadsTheScriptOnce(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := open(t, Options{Addrs: []string{s.Addr()}})
	count := NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)
	for i := range 3 {
		if i == 2 {
			s.Client().ScriptFlush(t.Context())
		}
		got, err := c.Run(within(t, patience), count, []string{"n"}, 2).Int64()
		if err != nil || got != int64(2*(i+1)) {
			t.Fatalf("run %d gave %d, %v, wanted %d", i, got, err, 2*(i+1))
		}
	}
	if n := c.Stats().Errors["script"]; n != 0 {
		t.Errorf("%d script errors counted, wanted 0: a script not loaded yet is none", n)
	}
	if n := served(t, s, "script|load"); n != 2 {
		t.Errorf("the script was loaded %d times, wanted once at first and once after the flush", n)
	}
	// Many calls in one round trip to a server that has forgotten it take one load, and each is run once.
	s.Client().ScriptFlush(t.Context())
	calls := make([]Call, 100)
	for i := range calls {
		calls[i] = Call{Keys: []string{"n"}, Args: []any{1}}
	}
	for i, r := range c.RunAll(within(t, patience), count, calls) {
		if got, err := r.Int64(); err != nil || got != int64(6+i+1) {
			t.Fatalf("call %d gave %d, %v, wanted %d", i, got, err, 6+i+1)
		}
	}
	if n := served(t, s, "script|load"); n != 3 {
		t.Errorf("the script was loaded %d times, wanted once more", n)
	}
	for range 3 * enough { // within the second in which the breaker counts
		s.Client().ScriptFlush(t.Context())
		if err := c.Run(within(t, patience), count, []string{"n"}, 1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if c.Stats().Opened != 0 {
		t.Error("scripts that were forgotten opened the breaker")
	}
}

// served is how often the server was sent a command.
func served(t *testing.T, s *redistest.Server, command string) (n int) {
	t.Helper()
	text, err := s.Client().Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, "cmdstat_"+command+":calls=")
	fmt.Sscan(rest, &n)
	return n
}

func TestScriptErrorsNeverOpenTheBreaker(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var log lines
	c := open(t, Options{Addrs: []string{s.Addr()}, Log: log.logger()})
	s.Client().Set(t.Context(), "word", "x", 0)
	for _, source := range []string{`return redis.call('LPUSH', KEYS[1], 'a')`, `return nil + 1`, `error('no')`} {
		broken := NewScript(source)
		for range 3 * inARow {
			if err := c.Run(within(t, patience), broken, []string{"word"}).Err(); Classify(err) != Key {
				t.Fatalf("%s gave %v of class %v, wanted class %v", source, err, Classify(err), Key)
			}
		}
	}
	if st := c.Stats(); st.Open || st.Errors["script"] != 9*inARow {
		t.Errorf("Stats() = %+v, wanted a closed breaker and %d script errors", st, 9*inARow)
	}
	if n := strings.Count(log.text(), "redis can't do what it was asked"); n != 1 || !log.has("WRONGTYPE") {
		t.Errorf("the log says it %d times, wanted once in a minute:\n%s", n, log.text())
	}
}

func TestBreakerOpensAndTheHeartbeatClosesIt(t *testing.T) {
	t.Parallel()
	one := NewScript(`return 1`)
	tests := []struct {
		name        string
		fail, right func(*redistest.Server)
		class       string
	}{
		{"stopped", (*redistest.Server).Stop, func(s *redistest.Server) { s.Restart(false) }, "conn"},
		{"paused", (*redistest.Server).Pause, (*redistest.Server).Resume, "timeout"},
		{"full", config("maxmemory", "1"), config("maxmemory", "0"), "oom"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			c := open(t, Options{Addrs: []string{s.Addr()}})
			eventually(t, "the heartbeat is answered", func() bool { return c.Stats().Up })
			tt.fail(s)
			eventually(t, "the breaker is open", func() bool {
				c.Run(within(t, c.Budget()), write, []string{"k"})
				return c.Stats().Open
			})
			if c.Stats().Errors[tt.class] == 0 {
				t.Errorf("no error of class %s counted: %v", tt.class, c.Stats().Errors)
			}
			if err := c.Run(within(t, patience), one, nil).Err(); !errors.Is(err, ErrOpen) {
				t.Errorf("Run with the breaker open: %v, wanted ErrOpen", err)
			}
			before := c.Stats().Errors[tt.class]
			eventually(t, "three heartbeats have failed", func() bool { return c.Stats().Errors[tt.class] >= before+3 })
			if !c.Stats().Open {
				t.Error("the breaker closed while Redis takes no writes")
			}
			tt.right(s)
			eventually(t, "the breaker is closed", func() bool { return !c.Stats().Open && c.Stats().Up })
			if err := c.Run(within(t, patience), one, nil).Err(); err != nil {
				t.Errorf("Run after the heartbeat: %v", err)
			}
		})
	}
}

var write = NewScript(`return redis.call('SET', KEYS[1], 1)`)

func config(name, value string) func(*redistest.Server) {
	return func(s *redistest.Server) { s.Client().ConfigSet(context.Background(), name, value) }
}

func TestADemotedServersConnectionsAreDropped(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := open(t, Options{Addrs: []string{s.Addr()}})
	eventually(t, "the heartbeat is answered", func() bool { return c.Stats().Up })
	plain := s.Client()
	before := clientID(t, c)
	if err := plain.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a write is refused", func() bool {
		return redis.IsReadOnlyError(c.Cmd("k").Set(within(t, patience), "k", 1, 0).Err())
	})
	if err := plain.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	if after := clientID(t, c); after == before {
		t.Errorf("connection %d is still used after READONLY", before)
	}
	if n := c.Stats().Errors["readonly"]; n == 0 {
		t.Error("no error of class readonly counted")
	}
	eventually(t, "the heartbeat is answered again", func() bool { return c.Stats().Up && !c.Stats().Open })
}

// clientID is the server's number of a connection of the pool for streams, which no heartbeat uses.
func clientID(t *testing.T, c *Client) int64 {
	t.Helper()
	var id int64
	eventually(t, "the stream pool answers", func() bool {
		var err error
		id, err = c.Stream("k").ClientID(within(t, patience)).Result()
		return err == nil
	})
	return id
}

func TestThePasswordIsInNoError(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--requirepass", "right")
	o := Options{Addrs: []string{s.Addr()}, Password: secret.Hide("canary-of-a-password")}
	c := open(t, o)
	err := c.Run(within(t, patience), write, []string{"k"}).Err()
	if Classify(err) != Auth {
		t.Errorf("a wrong password gave %v of class %v, wanted class %v", err, Classify(err), Auth)
	}
	for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v %#v", o, o)} {
		if strings.Contains(text, "canary-of-a-password") {
			t.Errorf("the password is in %q", text)
		}
	}
	o.Password = secret.Hide("right")
	if err := open(t, o).Run(within(t, patience), write, []string{"k"}).Err(); err != nil {
		t.Errorf("the right password: %v", err)
	}
}

func TestBlockingReadOutlastsTheReadTimeout(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := open(t, Options{Addrs: []string{s.Addr()}})
	read := func() ([]redis.XStream, error) {
		return c.Stream("k").XRead(within(t, patience), &redis.XReadArgs{Streams: []string{"log", "0"}, Block: 4 * ioTimeout}).Result()
	}
	if got, err := read(); err != redis.Nil {
		t.Errorf("XREAD of nothing gave %v, %v, wanted redis.Nil", got, err)
	}
	if err := c.Cmd("k").XAdd(within(t, patience), &redis.XAddArgs{Stream: "log", Values: []string{"a", "b"}}).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := read(); err != nil || len(got) != 1 {
		t.Errorf("XREAD gave %v, %v, wanted one entry", got, err)
	}
}

func TestAContextsDeadlineEndsARead(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := open(t, Options{Addrs: []string{s.Addr()}})
	eventually(t, "the heartbeat is answered", func() bool { return c.Stats().Up })
	// Redis would answer nil after its second.
	if err := c.Cmd("k").BLPop(within(t, 100*time.Millisecond), time.Second, "none").Err(); Classify(err) != Timeout {
		t.Errorf("BLPOP gave %v, wanted a timeout", err)
	}
}

func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := open(t, Options{Addrs: []string{s.Addr()}})
	// It counts, and then keeps the server busy for longer than a read waits.
	count := NewScript(`redis.call('INCR', KEYS[1]); for i = 1, ARGV[1] do end; return 1`)
	eventually(t, "the script is loaded", func() bool {
		return c.Run(within(t, patience), count, []string{"loaded"}, 0).Err() == nil
	})
	if err := c.Run(within(t, patience), count, []string{"n"}, 50_000_000).Err(); Classify(err) != Timeout {
		t.Errorf("a busy server: %v, wanted a timeout", err)
	}
	if n, err := s.Client().WithTimeout(patience).Get(t.Context(), "n").Int(); err != nil || n != 1 {
		t.Errorf("one call without an answer counted %d, %v, wanted 1", n, err)
	}
}

func TestCloseLeavesNoConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := Open(Options{Addrs: []string{s.Addr()}, Prefix: "gh"})
	eventually(t, "the heartbeat is answered", func() bool { return c.Stats().Up })
	if n := c.Stats().Conns; n == 0 {
		t.Error("no connection counted while up")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := c.Stats().Conns; n != 0 {
		t.Errorf("%d connections after Close", n)
	}
	if err := c.Run(t.Context(), write, []string{"k"}).Err(); err == nil {
		t.Error("Run after Close gave no error")
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	answer := func(s string) error { return redisError(s) }
	tests := []struct {
		err  error
		want Class
	}{
		{nil, None},
		{redis.Nil, None},
		{context.Canceled, None},
		{context.DeadlineExceeded, Timeout},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), Timeout},
		{redis.ErrPoolTimeout, Timeout},
		{answer("BUSY Redis is busy running a script."), Timeout},
		{io.EOF, Conn},
		{redis.ErrClosed, Conn},
		{answer("WRONGTYPE Operation against a key holding the wrong kind of value"), Key},
		{redis.ErrCrossSlot, Key},
		{answer("ERR user_script:1: attempt to perform arithmetic on a nil value"), Key},
		{answer("NOAUTH Authentication required."), Auth},
		{answer("WRONGPASS invalid username-password pair or user is disabled."), Auth},
		{answer("NOPERM this user has no permissions to run the 'evalsha' command"), Auth},
		{answer("ERR The user executing the script can't run this command or subcommand script: f_1, on @user_script:1."), Auth},
		{answer("TRYAGAIN Multiple keys request during rehashing of slot"), Key},
		{answer("CLUSTERDOWN The cluster is down"), ReadOnly},
		{answer("ERR AUTH <password> called without any password configured for the default user."), Auth},
		{answer("OOM command not allowed when used memory > 'maxmemory'."), OOM},
		{answer("ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed"), OOM},
		{answer("READONLY You can't write against a read only replica."), ReadOnly},
		{answer("LOADING Redis is loading the dataset in memory"), ReadOnly},
		{answer("MASTERDOWN Link with MASTER is down"), ReadOnly},
		{answer("ERR max number of clients reached"), Other},
		{answer("WHAT is this"), Other},
	}
	for _, tt := range tests {
		if got := Classify(tt.err); got != tt.want {
			t.Errorf("Classify(%v) = %v, wanted %v", tt.err, got, tt.want)
		}
	}
}

// redisError is an answer of the server, as go-redis sees one.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func TestBreaker(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		calls string // f: failed, s: succeeded, .: a second passes
		open  bool
	}{
		{"four in a row", "ffff", false},
		{"five in a row", "fffff", true},
		{"five, not in a row", "ffffsf", false},
		{"five in a row over many seconds", "f.f.f.f.f", true},
		{"half of a second's", "sfsfsfsfsf", true},
		{"under half of a second's", "sfsfsfsfss", false},
		{"half, but in two seconds", "sfsfsf.sfsf", false},
		{"one of one", "f", false},
	}
	for _, tt := range tests {
		var b breaker
		now := time.Unix(1, 0)
		for _, c := range tt.calls {
			if c == '.' {
				now = now.Add(window)
				continue
			}
			b.report(now, c == 'f')
		}
		if b.isOpen() != tt.open {
			t.Errorf("%s: open is %t, wanted %t", tt.name, b.isOpen(), tt.open)
		}
		b.report(now, false)
		if b.isOpen() != tt.open {
			t.Errorf("%s: a success changed it to %t", tt.name, b.isOpen())
		}
		b.close()
		if b.report(now, true); b.isOpen() {
			t.Errorf("%s: one failure opened it after close", tt.name)
		}
	}
}

func TestWarnVersion(t *testing.T) {
	t.Parallel()
	for version, warned := range map[string]bool{
		"6.2.19": true, "6.2.20": false, "7.0.15": true, "7.2.10": true, "7.2.11": false, "7.4.5": true, "7.4.6": false,
		"8.0.3": true, "8.0.4": false, "8.2.1": true, "8.2.2": false, "8.4.0": false, "9.0.0": false, "5.0.14": true,
		"": true, "seven": true, "255.255.255": false,
	} {
		if got := warnVersion(map[string]string{"redis_version": version}); (got != "") != warned {
			t.Errorf("warnVersion(%q) = %q, wanted a warning: %t", version, got, warned)
		}
	}
	if got := warnVersion(map[string]string{"redis_version": "7.0.15", "valkey_version": "8.1.0"}); got != "" {
		t.Errorf("valkey is judged as redis: %q", got)
	}
}

// TestWarnings asks a real server, under one memory policy after the other.
func TestWarnings(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := open(t, Options{Addrs: []string{s.Addr()}})
	for _, tt := range []struct{ limit, policy, want string }{
		{"0", "allkeys-lru", ""},
		{"100mb", "noeviction", ""},
		{"100mb", "allkeys-lru", "revocations among them"},
		{"100mb", "volatile-ttl", "limits start afresh"},
	} {
		for name, value := range map[string]string{"maxmemory": tt.limit, "maxmemory-policy": tt.policy} {
			if err := s.Client().ConfigSet(t.Context(), name, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
		got, err := c.Warnings(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		got = slices.DeleteFunc(got, func(w string) bool { return strings.Contains(w, "CVE-2025-49844") }) // depends on the server
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
			t.Errorf("%s, %s: %q, wanted %q", tt.limit, tt.policy, got, tt.want)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	s := redistest.Start(b)
	c := Open(Options{Addrs: []string{s.Addr()}, Prefix: "gh"})
	defer c.Close()
	one := NewScript(`return 1`)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Run(b.Context(), one, nil).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRunOpen(b *testing.B) {
	c := Open(Options{Addrs: []string{"127.0.0.1:1"}, Prefix: "gh"})
	defer c.Close()
	c.top.Load().one.breaker.open.Store(true) // and stays so: nobody answers the heartbeat
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Run(b.Context(), write, nil).Err(); err != ErrOpen {
			b.Fatal(err)
		}
	}
}
