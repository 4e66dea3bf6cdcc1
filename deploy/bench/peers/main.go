// Command peers measures Gatehouse beside other proxies, on this machine, in one run: HAProxy, nginx, Caddy and Go's own
// reverse proxy, under the same load, each on one core, in rounds that take turns. It prints tables in Markdown.
//
// It needs haproxy, nginx, wrk, gcc, redis-server and taskset, which .ci/peers installs, and two cores that nothing else
// uses. See ../RESULTS.md for what it found, and how to read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	only     *regexp.Regexp
	rounds   int
	length   time.Duration
	keep     string
	out      string
	profiles string
	soak     time.Duration
	binaries []binary
}

func main() {
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err = run(ctx, o); ctx.Err() != nil {
			err = errors.New("interrupted")
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (o options, err error) {
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 3, "rounds of each scenario")
	f.DurationVar(&o.length, "round", 2*time.Second, "length of a round, in whole seconds")
	f.StringVar(&o.keep, "keep", "", "`directory` for all files, which stays; keys and tokens in it are used again. Default: one that goes")
	f.StringVar(&o.out, "o", "", "`file` for the tables: what is between the markers in it is replaced, and a file without them is written anew")
	f.StringVar(&o.profiles, "profile", "", "`directory` for a CPU profile of Gatehouse in the first round of each scenario, which makes that round dearer")
	f.DurationVar(&o.soak, "soak", 0, "measure also whether memory stays flat under the load of G1-rs256 for so `long`, such as 1h; default: not")
	f.BoolVar(&urgent, "urgent", false, "go before what else runs on the machine, as root: less is wrong then where it is not quiet")
	only := f.String("only", "", "the scenarios whose names match the `regular expression`; default: all")
	list := f.Bool("list", false, "print the names of the scenarios")
	f.Func("gatehouse", "a `binary` to measure in place of the tree's; may be given twice, and both take turns", func(path string) error {
		abs, err := filepath.Abs(path)
		o.binaries = append(o.binaries, binary{filepath.Base(path), abs})
		return err
	})
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.length < time.Second || o.length%time.Second != 0 {
		return o, errors.New("-rounds is at least 1, and -round a whole number of seconds")
	}
	if *list {
		for _, s := range scenarios() {
			fmt.Printf("%-20s %s\n", s.name, s.about)
		}
		return o, flag.ErrHelp
	}
	return o, distinct(o.binaries)
}

// distinct is an error where two binaries have one name, by which the tables tell them apart.
func distinct(list []binary) error {
	seen := map[string]bool{}
	for _, b := range list {
		if seen[b.name] {
			return fmt.Errorf("two binaries are called %s: rename one", b.name)
		}
		seen[b.name] = true
	}
	return nil
}

func run(ctx context.Context, o options) (err error) {
	for _, tool := range []string{"taskset", "wrk", "gcc", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: .ci/peers installs what is needed", err)
		}
	}
	root, err := output(ctx, "", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	r := &rig{repo: root, work: o.keep, binaries: o.binaries, soak: o.soak}
	if r.work == "" {
		if r.work, err = os.MkdirTemp("", "gatehouse-peers-"); err != nil {
			return err
		}
		defer os.RemoveAll(r.work)
	}
	if r.work, err = filepath.Abs(r.work); err != nil {
		return err
	}
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o700); err != nil {
			return err
		}
	}
	defer r.close()
	return r.report(ctx, o)
}

// report measures what the options ask for and prints it.
func (r *rig) report(ctx context.Context, o options) (err error) {
	var list []*scenario
	for _, s := range scenarios() {
		if o.only.MatchString(s.name) {
			list = append(list, s)
		}
	}
	began := time.Now()
	if err := r.prepare(ctx, list, o.length); err != nil {
		return err
	}
	load := loadAverage()
	fmt.Fprintf(os.Stderr, "prepared in %v; load average %s\n", time.Since(began).Round(time.Second), load)
	t := &tables{list: entries(r, list), missing: r.missing, rounds: o.rounds, length: o.length}
	if t.results, err = measure(ctx, r, t.list, o.rounds, o.length, o.profiles, os.Stderr); err == nil {
		t.singles, err = measureOnce(ctx, r, o.only)
	}
	t.machine = describe(ctx, r, load, time.Since(began))
	if err != nil { // what there is, is for people to look at, and no result
		return errors.Join(err, write("", t.markdown(), os.Stdout))
	}
	return write(o.out, t.markdown(), os.Stdout)
}

// measureOnce measures what is not measured in rounds.
func measureOnce(ctx context.Context, r *rig, only *regexp.Regexp) (list []single, err error) {
	for _, m := range singles() {
		if !only.MatchString(m.name) {
			continue
		}
		got, err := m.measure(ctx, r)
		if err != nil {
			return list, fmt.Errorf("%s: %w", m.name, err)
		}
		list = append(list, got...)
	}
	return list, nil
}

// entries are the scenarios, those of Gatehouse once for each binary. A peer that could not be built has none.
func entries(r *rig, list []*scenario) (out []*entry) {
	for _, s := range list {
		switch {
		case s.shape == nil && r.missing[s.peer] != "":
		case s.shape == nil:
			out = append(out, &entry{scenario: s, label: s.name})
		case len(r.binaries) == 1:
			out = append(out, &entry{scenario: s, label: s.name, binary: r.binaries[0].path})
		default:
			for _, b := range r.binaries {
				out = append(out, &entry{scenario: s, label: s.name + "@" + b.name, binary: b.path})
			}
		}
	}
	return out
}

const (
	beginMark = "<!-- measured: begin -->"
	endMark   = "<!-- measured: end -->"
)

// write prints the text and, where path is not "", puts it into that file.
func write(path, text string, to io.Writer) error {
	fmt.Fprint(to, text)
	if path == "" {
		return nil
	}
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(path, []byte(splice(string(old), text)), 0o644)
}

// splice is old with the text between its markers, or the text between markers alone where old has none.
func splice(old, text string) string {
	block := beginMark + "\n" + text + endMark
	before, rest, ok := strings.Cut(old, beginMark)
	_, after, ended := strings.Cut(rest, endMark)
	if !ok || !ended {
		return block + "\n"
	}
	return before + block + after
}

// output is what a command prints, without the white space around it.
func output(ctx context.Context, dir string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", argv[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
