package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/spf13/cobra"

	"gatehouse/internal/config"
)

// fenced are the blocks between ``` of a Markdown file, without the indentation of a list.
func fenced(text string) (blocks []string) {
	for _, m := range regexp.MustCompile("(?ms)^( *)```\\w*\n(.*?)^ *```$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, regexp.MustCompile(`(?m)^`+m[1]).ReplaceAllString(m[2], ""))
	}
	return blocks
}

// provenElsewhere are beginnings of blocks that no script has, and where they are tried.
var provenElsewhere = map[string]string{
	"ACL SETUSER gatehouse on >PASSWORD resetchannels ~gh:*":      "every test with a Redis logs in as this user (redistest.Documented)",
	"ACL SETUSER gatehouse on >PASSWORD resetchannels +sentinel|": "every test with Sentinels logs in as this user (redistest.Documented)",
}

// scripted are the files that scripts have and use, and the commands in them.
func scripted(t *testing.T) (files map[string]bool, commands []string) {
	t.Helper()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	files = map[string]bool{}
	for _, path := range scripts {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if slices.Contains(strings.Fields(string(archive.Comment)), f.Name) {
				files[string(f.Data)] = true
				for _, s := range steps(string(f.Data)) {
					commands = append(commands, s.command)
				}
			}
		}
	}
	return files, commands
}

// Each block of README.md and of the runbook is a file of a script, byte for byte, and the script uses it: what is shown there is
// what is printed.
func TestDocumentsAreProven(t *testing.T) {
	proven, _ := scripted(t)
	used := map[string]bool{}
	for _, block := range append(fenced(read(t, "../../README.md")), fenced(read(t, "../../deploy/runbook.md"))...) {
		if proven[block] {
			continue
		}
		known := false
		for begin := range provenElsewhere {
			if strings.HasPrefix(block, begin) {
				known, used[begin] = true, true
			}
		}
		if !known {
			t.Errorf("no script in testdata/script has and uses this block:\n%s", block)
		}
	}
	for begin := range provenElsewhere {
		if !used[begin] {
			t.Errorf("no block begins any more with %q", begin)
		}
	}
}

// What the runbook tells people to type within its sentences is in a script as well, with words of this run for its capitals.
func TestRunbookCommandsAreTried(t *testing.T) {
	_, commands := scripted(t)
	tried := strings.Join(commands, "\n") + "\n"
	for _, span := range inlineCode(read(t, "../../deploy/runbook.md")) {
		if !strings.HasPrefix(span, "gatehouse ") {
			continue
		}
		pattern := regexp.MustCompile(`\\?\b[A-Z][A-Z_]*\b`).ReplaceAllString(regexp.QuoteMeta(span), `\S+`)
		if !regexp.MustCompile(`(^|[ \n])` + pattern + `[ \n]`).MatchString(tried) {
			t.Errorf("no script tries %s", span)
		}
	}
}

// inlineCode are the words between backquotes of a Markdown file, outside of blocks.
func inlineCode(text string) (spans []string) {
	text = regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(text, "")
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		spans = append(spans, strings.Join(strings.Fields(m[1]), " "))
	}
	return spans
}

// Commands that README.md and the runbook name exist, with their flags.
func TestDocumentedCommands(t *testing.T) {
	for _, file := range []string{"README.md", "deploy/runbook.md"} {
		text, seen := read(t, "../../"+file), 0
		lines := inlineCode(text)
		for _, block := range fenced(text) {
			for _, s := range steps(block) {
				lines = append(lines, s.command)
			}
		}
		for _, line := range lines {
			for _, m := range regexp.MustCompile(`(?:^|[(/]|[;&|] |do |then )gatehouse ((?:[a-zA-Z\[-][^#;|&()"]*)+)`).FindAllStringSubmatch(line, -1) {
				if why := unknownCommand(strings.Fields(m[1])); why != "" {
					t.Errorf("%s has %q: %s", file, line, why)
				}
				seen++
			}
		}
		if seen < 30 {
			t.Errorf("only %d commands were found in %s", seen, file)
		}
	}
}

// unknownCommand says what is wrong with a command line as documents have it; empty: nothing.
func unknownCommand(args []string) string {
	root := newRoot(io.Discard)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	cmd, rest, err := root.Find(args)
	below := len(rest) > 0 && cmd.HasSubCommands() && !strings.HasPrefix(rest[0], "-")
	if err != nil || cmd == root || below {
		return "there is no such command"
	}
	for _, arg := range args {
		name := strings.Trim(arg, "[],.`")
		if flag, _, _ := strings.Cut(name, "="); strings.HasPrefix(flag, "--") && lacks(cmd, flag[2:]) {
			return "it has no flag " + flag
		}
		if len(name) == 2 && name[0] == '-' && cmd.Flags().ShorthandLookup(name[1:]) == nil && cmd.InheritedFlags().ShorthandLookup(name[1:]) == nil {
			return "it has no flag " + name
		}
	}
	return ""
}

// lacks reports whether a command lacks a flag.
func lacks(cmd *cobra.Command, flag string) bool {
	return cmd.Flags().Lookup(flag) == nil && cmd.InheritedFlags().Lookup(flag) == nil
}

// Keys of the configuration that README.md names by their path exist.
func TestReadmeNamesKeysThatExist(t *testing.T) {
	keys := map[string]bool{}
	sections := map[string]bool{}
	for _, k := range config.Reference(false) {
		path := strings.ReplaceAll(k.Path, "[]", "")
		keys[path] = true
		for i, c := range path {
			if c == '.' {
				keys[path[:i]] = true
			}
		}
		if before, _, found := strings.Cut(path, "."); found {
			sections[before] = true
		}
	}
	seen := 0
	for _, span := range inlineCode(read(t, "../../README.md")) {
		for _, m := range regexp.MustCompile(`(?:^| )([a-z_]+)((?:\.[a-z_]+)+)(?:$|[ :])`).FindAllStringSubmatch(span, -1) {
			if !sections[m[1]] || strings.HasSuffix(m[2], ".yaml") || strings.HasSuffix(m[2], ".log") {
				continue
			}
			if seen++; !keys[m[1]+m[2]] {
				t.Errorf("README.md names %s, which is no key", m[1]+m[2])
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d keys were found", seen)
	}
}

// Links of README.md lead to a heading of it, or to a file.
func TestReadmeLinks(t *testing.T) {
	text := read(t, "../../README.md")
	var anchors []string
	for _, m := range regexp.MustCompile(`(?m)^##+ (.+)$`).FindAllStringSubmatch(text, -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		if anchor, is := strings.CutPrefix(m[1], "#"); is {
			if !slices.Contains(anchors, anchor) {
				t.Errorf("no heading %s", m[1])
			}
		} else if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
			t.Error(err)
		}
	}
}
