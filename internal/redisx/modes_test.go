package redisx

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/redistest"
	"gatehouse/internal/secret"
)

// The users that README.md tells operators to make, on servers and on Sentinels.
func serverUser(t *testing.T) []string {
	return redistest.Documented(t, "../../README.md", "+evalsha")
}

func sentinelUser(t *testing.T) []string {
	return redistest.Documented(t, "../../README.md", "+sentinel|")
}

// kind starts one kind of Redis and says how a client reaches it.
type kind struct {
	name  string
	start func(t *testing.T, args, sentinelArgs []string) Options
}

var kinds = []kind{
	{"standalone", func(t *testing.T, args, _ []string) Options {
		return Options{Addrs: []string{redistest.Start(t, args...).Addr()}}
	}},
	{"sentinel", func(t *testing.T, args, sentinelArgs []string) Options {
		s := redistest.StartSentinel(t, redistest.SentinelOptions{Args: args, SentinelArgs: sentinelArgs})
		return Options{Mode: Sentinel, Addrs: s.Addrs(), MasterName: s.Name()}
	}},
	{"cluster", func(t *testing.T, args, _ []string) Options {
		return Options{Mode: Cluster, Addrs: redistest.StartCluster(t, redistest.ClusterOptions{Args: args}).Addrs()}
	}},
}

// TestTheDocumentedUserSuffices has the least user, over TLS with certificates on both sides, in each mode do what this package does. What is done with it by
// the packages that use this one is tested where all of them are, in internal/app.
func TestTheDocumentedUserSuffices(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			secure, ca := redistest.TLSArgs(t)
			secure = append(secure, "--tls-auth-clients", "yes") // as Redis has it unless it is told otherwise
			var log lines
			o := k.start(t, append(serverUser(t), secure...), append(sentinelUser(t), secure...))
			o.Username, o.Password = "gatehouse", secret.Hide(redistest.Password)
			if o.Mode == Sentinel {
				o.SentinelUsername, o.SentinelPassword = "gatehouse", secret.Hide(redistest.Password)
			}
			o.TLS = &tls.Config{RootCAs: authority(t, ca), Certificates: []tls.Certificate{redistest.Pair(t, secure)}}
			o.Budget = 5 * time.Second // handshakes, on a machine that is busy
			o.Log = log.logger()
			c := open(t, o)
			eventually(t, "a master takes writes", func() bool { return c.Stats().Up })
			calls := []Call{{Keys: []string{"gh:a"}}, {Keys: []string{"gh:b"}}, {Keys: []string{"gh:c"}}}
			for _, r := range c.RunAll(within(t, patience), incr, calls) {
				if r.Err() == nil {
					t.Error("a command that the rules lack went through")
				}
				if Classify(r.Err()) != Auth {
					t.Errorf("INCR in a script: %v of class %v, wanted class auth", r.Err(), Classify(r.Err()))
				}
			}
			if !log.has("a configuration error") {
				t.Errorf("the log does not say that it is a configuration error:\n%s", log.text())
			}
			set := NewScript(`return redis.call('SET', KEYS[1], 1)`)
			for _, r := range c.RunAll(within(t, patience), set, calls) {
				if r.Err() != nil {
					t.Errorf("a script of commands that the rules have: %v", r.Err())
				}
			}
			if err := c.Cmd("other").Set(within(t, patience), "other", 1, 0).Err(); Classify(err) != Auth {
				t.Errorf("a key of somebody else: %v, wanted class auth", err)
			}
			if _, err := c.Warnings(within(t, patience)); err != nil {
				t.Errorf("Warnings: %v", err)
			}
			stats := c.Stats()
			if !stats.Up || stats.Open || stats.Errors["conn"] != 0 {
				t.Errorf("%+v", stats)
			}
		})
	}
}

func authority(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// TestAWrongPassword has servers that want another, and TLS that does not fit, in each mode.
func TestAWrongPassword(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			var log lines
			o := k.start(t, serverUser(t), nil)
			o.Username, o.Password = "gatehouse", secret.Hide("guess")
			o.Budget, o.Log = time.Second, log.logger()
			c := open(t, o)
			for name, err := range map[string]error{
				"a call": c.Run(within(t, patience), incr, []string{"gh:a"}).Err(), "a command": c.Cmd("gh:a").Get(within(t, patience), "gh:a").Err(),
			} {
				if Classify(err) != Auth {
					t.Errorf("%s gave %v of class %v, wanted class auth", name, err, Classify(err))
				}
			}
			eventually(t, "it is counted", func() bool { return c.Stats().Errors["auth"] > 0 && !c.Stats().Up })
			eventually(t, "the log says so", func() bool { return log.has("a configuration error") })
			if log.has("guess") {
				t.Errorf("the log:\n%s", log.text())
			}
		})
	}
}

// TestCloseInEachMode leaves no connection and no goroutine that would make one.
func TestCloseInEachMode(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			o := k.start(t, nil, nil)
			o.Prefix = "gh"
			c := Open(o)
			eventually(t, "a master takes writes", func() bool { return c.Stats().Up })
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if n := c.Stats().Conns; n != 0 {
				t.Errorf("%d connections after Close", n)
			}
			if k, ok := c.pilot.(*sentinels); ok && k.conns.count() != 0 {
				t.Errorf("%d connections to Sentinels after Close", k.conns.count())
			}
			if err := c.Run(t.Context(), incr, []string{"k"}).Err(); err == nil {
				t.Error("Run after Close gave no error")
			}
		})
	}
}

// TestAPasswordThatIsChanged changes it under a gateway that has been well: its connections go on, new ones are refused.
func TestAPasswordThatIsChanged(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, serverUser(t)...)
	var log lines
	c := open(t, Options{Addrs: []string{s.Addr()}, Username: "gatehouse", Password: secret.Hide(redistest.Password), Log: log.logger(), Budget: time.Second})
	eventually(t, "the master takes writes", func() bool { return c.Stats().Up })
	words := append([]string{"reset"}, serverUser(t)[2:]...)
	words[slices.Index(words, ">"+redistest.Password)] = ">another"
	args := []any{"ACL", "SETUSER", "gatehouse"}
	for _, w := range words {
		args = append(args, w)
	}
	if err := s.Client().Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().ClientKillByFilter(t.Context(), "USER", "gatehouse").Err(); err != nil && err != redis.Nil {
		t.Fatal(err)
	}
	eventually(t, "the log says so", func() bool { return log.has("a configuration error") && log.has("WRONGPASS") })
	eventually(t, "no heartbeat goes through", func() bool { return !c.Stats().Up })
	if log.has(redistest.Password) {
		t.Errorf("the password is in the log:\n%s", log.text())
	}
}

// TestTheDocumentedUserMayRunEveryScript looks into the scripts for commands, some of which are run in rare cases alone.
func TestTheDocumentedUserMayRunEveryScript(t *testing.T) {
	t.Parallel()
	rules := serverUser(t)
	call := regexp.MustCompile(`redis\.p?call\('([A-Za-z]+)'`)
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".lua") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range call.FindAllSubmatch(text, -1) {
			seen++
			if !slices.Contains(rules, "+"+strings.ToLower(string(m[1]))) {
				t.Errorf("%s calls %s, which the user of README.md may not", path, m[1])
			}
		}
		return err
	})
	if err != nil || seen < 20 {
		t.Fatalf("%d calls found, %v", seen, err)
	}
}
