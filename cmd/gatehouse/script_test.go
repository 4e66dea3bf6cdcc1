package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs what people are told to type: the transcripts of README.md and the commands of deploy/runbook.md. Besides the
// commands of testscript, a script has
//
//	transcript FILE [CODE…]   runs each line of FILE that begins with "$ " in the script's one shell, and holds what is printed to
//	                          the lines that follow; CODEs are the exit codes, 0 where there are no more of them
//	try FILE [CODE…]          runs the same lines, and looks at the exit codes alone; NODE is the admin listener of this run
//	serve FILE                starts the one command of FILE in the background, and waits until it has printed the lines that follow
//	paste FIRST LAST          types into the shell what the command of serve printed, from the line with FIRST to the one with LAST
//	api PORT                  an API that listens at PORT
//	redis PORT                a Redis that listens at PORT
//	ports FILE                moves FILE to ports of this run, and its admin listener too
//	await FILE TEXT           waits until FILE, or what the command of serve printed, has TEXT
//
// In a transcript "…" stands for anything in a line, and alone in a line for any lines. What differs from run to run (ports, request
// ids, times, sizes, keys) need not be as written; the same port or id is the same throughout a script.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("REPOSITORY", root)
			env.Setenv("HOME", env.WorkDir)
			program, err := exec.LookPath("gatehouse")
			if err != nil {
				return err
			}
			env.Values[terminalKey{}] = &terminalOf{bound: map[string]string{}}
			return os.Symlink(program, filepath.Join(env.WorkDir, "gatehouse"))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"transcript": script(1, (*terminalOf).transcript),
			"try":        script(1, (*terminalOf).try),
			"serve":      script(1, (*terminalOf).serve),
			"paste":      script(2, (*terminalOf).paste),
			"api":        script(1, (*terminalOf).api),
			"redis":      script(1, (*terminalOf).redis),
			"ports":      script(1, (*terminalOf).ports),
			"await":      script(2, (*terminalOf).await),
		},
	})
}

type terminalKey struct{}

// script makes a command of scripts that takes at least so many arguments.
func script(least int, run func(o *terminalOf, ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least {
			ts.Fatalf("want at least %d arguments, and no !", least)
		}
		run(ts.Value(terminalKey{}).(*terminalOf), ts, args)
	}
}

// patience is how long a script waits for what must come.
const patience = time.Minute

// terminalOf is what a script types into, and what it learnt from what was printed.
type terminalOf struct {
	in    io.Writer
	out   *output
	read  int               // how much of out was looked at
	bound map[string]string // a port or id of the transcripts → the one of this run
}

// ports that are in README.md stand for free ones.
var placePort = regexp.MustCompile(`[\w.-]*:(808\d|900\d|6379)\b`)

// here puts the ports and ids of this run into a text of README.md.
func (o *terminalOf) here(text string) string {
	text = strings.ReplaceAll(text, " NODE", " 127.0.0.1:8081")
	text = placePort.ReplaceAllStringFunc(text, func(at string) string {
		i := strings.LastIndexByte(at, ':')
		if port := o.bound[at[i:]]; port != "" {
			return at[:i] + port
		}
		return at
	})
	return requestID.ReplaceAllStringFunc(text, func(id string) string {
		if real := o.bound[id]; real != "" {
			return real
		}
		return id
	})
}

// ports implements the command of scripts.
func (o *terminalOf) ports(ts *testscript.TestScript, args []string) {
	text := ts.ReadFile(args[0])
	for _, m := range placePort.FindAllString(text+" 127.0.0.1:8080 127.0.0.1:8081", -1) {
		o.port(m[strings.LastIndexByte(m, ':'):])
	}
	text = o.here(text)
	if !strings.Contains(text, "\nadmin:") {
		text += fmt.Sprintf("admin: {listen: \"127.0.0.1%s\"}\n", o.bound[":8081"])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// port binds a port of README.md to a free one, below those that the system hands out: until it is listened at, no connection of
// another process takes it.
func (o *terminalOf) port(name string) string {
	for o.bound[name] == "" {
		at := fmt.Sprintf(":%d", 12000+rand.IntN(20000))
		if l, err := net.Listen("tcp", "127.0.0.1"+at); err == nil {
			l.Close()
			o.bound[name] = at
		}
	}
	return o.bound[name]
}

// api implements the command of scripts: two orders, and an echo of who the gateway says is calling.
func (o *terminalOf) api(ts *testscript.TestScript, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1"+o.port(":"+args[0]))
	ts.Check(err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"orders":["o-1","o-2"],"caller":%q}`+"\n", r.Header.Get("X-Client-Id"))
	}), ReadHeaderTimeout: patience}
	go server.Serve(l)
	ts.Defer(func() { server.Close() })
}

// redis implements the command of scripts.
func (o *terminalOf) redis(ts *testscript.TestScript, args []string) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		ts.Fatalf("no redis-server: sh .ci/redis installs it")
	}
	port := strings.TrimPrefix(o.port(":"+args[0]), ":")
	cmd := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", ts.MkAbs("."))
	ts.Check(cmd.Start())
	ts.Defer(func() { cmd.Process.Kill(); cmd.Wait() })
	until(ts, "redis-server to listen", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// until waits for a condition.
func until(ts *testscript.TestScript, what string, ok func() bool) {
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}
