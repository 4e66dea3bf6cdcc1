package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// step is one command of a transcript, with what it prints.
type step struct {
	command string
	prints  []string
}

// steps divides a transcript. A line after "$ " that ends with \ goes on in the next.
func steps(text string) (all []step) {
	more := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		command, is := strings.CutPrefix(line, "$ ")
		switch {
		case is:
			all = append(all, step{command: command})
		case len(all) == 0:
			continue
		case more:
			all[len(all)-1].command += "\n" + line
		default:
			all[len(all)-1].prints = append(all[len(all)-1].prints, line)
		}
		more = (is || more) && strings.HasSuffix(line, `\`)
	}
	return all
}

// transcript implements the command of scripts.
func (o *terminalOf) transcript(ts *testscript.TestScript, args []string) {
	o.each(ts, args, func(s step, printed string) {
		if why := o.differs(s.prints, printed); why != "" {
			ts.Fatalf("$ %s\n%s%s", s.command, printed, why)
		}
	})
}

// try implements the command of scripts.
func (o *terminalOf) try(ts *testscript.TestScript, args []string) {
	o.each(ts, args, func(s step, printed string) { ts.Logf("$ %s\n%s", s.command, printed) })
}

// each runs the commands of a file and looks at their exit codes.
func (o *terminalOf) each(ts *testscript.TestScript, args []string, look func(s step, printed string)) {
	all := steps(ts.ReadFile(args[0]))
	if len(all) == 0 {
		ts.Fatalf("%s has no line that begins with $", args[0])
	}
	for i, s := range all {
		want := "0"
		if i+1 < len(args) {
			want = args[i+1]
		}
		printed, code := o.typed(ts, s.command)
		if code != want {
			ts.Fatalf("$ %s\n%sended with %s, want %s", s.command, printed, code, want)
		}
		look(s, printed)
	}
}

// typed runs a command in the shell of the script. What is sent to the background prints into the file background.log.
func (o *terminalOf) typed(ts *testscript.TestScript, command string) (printed, code string) {
	if o.in == nil {
		o.open(ts)
	}
	command = o.here(command)
	if before, is := strings.CutSuffix(command, " &"); is {
		command = before + " >>background.log 2>&1 &"
	}
	fmt.Fprintf(o.in, "{ %s\n} </dev/null\nprintf '\\n<ended %%d>\\n' $?\n", command)
	ended := regexp.MustCompile(`\n<ended (\d+)>\n`)
	until(ts, "the end of: "+command+"\n"+o.out.String()[o.read:], func() bool { return ended.MatchString(o.out.String()[o.read:]) })
	text := o.out.String()[o.read:]
	m := ended.FindStringSubmatchIndex(text)
	o.read += m[1]
	return text[:m[0]], text[m[2]:m[3]]
}

// open starts the shell, in a process group of its own so that what it leaves behind ends with the script.
func (o *terminalOf) open(ts *testscript.TestScript) {
	cmd := exec.Command("sh")
	cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	o.out = &output{}
	cmd.Stdout, cmd.Stderr = o.out, o.out
	in, err := cmd.StdinPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	o.in = in
	// The README is read at the top of a checkout, where gatehouse is run from its source.
	fmt.Fprintln(in, `go() { if [ "$1 $2" = "run ./cmd/gatehouse" ]; then shift 2; gatehouse "$@"; else command go "$@"; fi; }`)
}

func environ(ts *testscript.TestScript) (env []string) {
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "REPOSITORY", "GATEHOUSE_CONFIG", "GATEHOUSE_ADMIN"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// serve implements the command of scripts.
func (o *terminalOf) serve(ts *testscript.TestScript, args []string) {
	all := steps(ts.ReadFile(args[0]))
	if len(all) != 1 {
		ts.Fatalf("%s has %d commands, want one", args[0], len(all))
	}
	if o.in == nil {
		o.open(ts)
	}
	log := ts.MkAbs("serve.log")
	fmt.Fprintf(o.in, "%s >serve.log 2>&1 &\n", o.here(all[0].command))
	why := "nothing"
	until(ts, all[0].command+" to print what "+args[0]+" has", func() bool {
		b, _ := os.ReadFile(log)
		why = o.differs(append(all[0].prints, "…"), string(b))
		return why == ""
	})
}

// paste implements the command of scripts.
func (o *terminalOf) paste(ts *testscript.TestScript, args []string) {
	_, rest, found := strings.Cut(ts.ReadFile("serve.log"), args[0])
	at := strings.Index(rest, args[1])
	if !found || at < 0 {
		ts.Fatalf("nothing printed from %q to %q:\n%s", args[0], args[1], ts.ReadFile("serve.log"))
	}
	line, _, _ := strings.Cut(rest[at:], "\n")
	if printed, code := o.typed(ts, args[0]+rest[:at]+line); code != "0" {
		ts.Fatalf("ended with %s: %s", code, printed)
	}
}

// await implements the command of scripts.
func (o *terminalOf) await(ts *testscript.TestScript, args []string) {
	until(ts, args[1]+" in "+args[0], func() bool {
		b, _ := os.ReadFile(ts.MkAbs(args[0]))
		return strings.Contains(string(b), args[1])
	})
}

var requestID = regexp.MustCompile(`\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b`)

// varies is what differs from run to run in what is printed; each has a pattern for what it may be.
var varies = []struct{ what, may string }{
	{`gatecs_…`, `gatecs_\w+`},
	{`\b\d+ bytes`, `\d+ bytes`},
	{`\b(\d+d)?(\d+h)?(\d+m)?\d+(\.\d+)?(m|µ)?s\b`, `[\d.dhmsµ]+`},
	{`\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?`, `\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?`},
	{`\b\d{4}-\d\d-\d\d\b`, `\d{4}-\d\d-\d\d`},
	{`\b\d\d:\d\d:\d\d\b`, `\d\d:\d\d:\d\d`},
	{`kid [\w-]+…[\w-]+`, `kid [\w-]+…[\w-]+`},
	{`\b[\w-]{43}(  ES256)`, `[\w-]{43}  ES256`},
	{`config   [0-9a-f]{12}`, `config   [0-9a-f]{12}`},
	{`\bv\d+\.\d+\.\d+\b`, `(dev|v\d+\.\d+\.\d+)`},
	{` on [\w.-]+`, ` on [\w.-]+`},
	{`…`, `.*`},
	{` {2,}`, ` {2,}`},
}

// differs compares what a command printed with what the transcript has, and learns its ports and ids. It says what is not alike.
func (o *terminalOf) differs(want []string, printed string) string {
	var pattern strings.Builder
	var names []string
	pattern.WriteString(`^`)
	for _, line := range want {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?s:(?:.*\n)??)`)
			continue
		}
		text, learnt := o.linePattern(line)
		pattern.WriteString(text + ` *\r?\n`)
		names = append(names, learnt...)
	}
	if printed != "" && !strings.HasSuffix(printed, "\n") {
		printed += "\n"
	}
	m := regexp.MustCompile(pattern.String() + `$`).FindStringSubmatch(printed)
	if m == nil {
		return "is not what the transcript has:\n" + strings.Join(want, "\n") + "\npattern: " + strconv.Quote(pattern.String())
	}
	for i, name := range names {
		o.bound[name] = m[i+1]
	}
	return ""
}

// linePattern is a line of a transcript as a pattern. Ports and ids that are not known yet are its groups.
func (o *terminalOf) linePattern(line string) (pattern string, names []string) {
	for line != "" {
		at, end, becomes, name := len(line), len(line), "", ""
		earlier := func(m []int, may, n string) {
			if m != nil && m[0] < at {
				at, end, becomes, name = m[0], m[1], may, n
			}
		}
		if m := requestID.FindStringIndex(line); m != nil {
			earlier(m, requestID.String(), line[m[0]:m[1]])
		}
		if m := placePort.FindStringIndex(line); m != nil {
			colon := m[0] + strings.LastIndexByte(line[m[0]:m[1]], ':')
			earlier([]int{colon, m[1]}, `:\d+`, line[colon:m[1]])
		}
		for _, v := range varies {
			earlier(regexp.MustCompile(v.what).FindStringIndex(line), strings.ReplaceAll(v.may, "(", "(?:"), "")
		}
		pattern += regexp.QuoteMeta(line[:at])
		switch {
		case name == "":
			pattern += becomes
		case o.bound[name] != "":
			pattern += regexp.QuoteMeta(o.bound[name])
		default:
			pattern += "(" + becomes + ")"
			names = append(names, name)
		}
		line = line[end:]
	}
	return pattern, names
}
