// Package lint judges a configuration that loads: what is open, unused or weak in it, by rules that have ids. It only looks;
// `gatehouse check --audit` prints what it finds.
//
// A comment "# gatehouse:ignore A01 — the reason" on the line of a finding, or on a line of its own above, silences it. One
// that silences nothing is a finding itself, so that no comment outlives what it excused.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/config"
)

// Rule is one kind of finding.
type Rule struct {
	ID    string // "A01"
	Title string // "public route"
}

// Rules are all that there are, in the order of their ids.
func Rules() []Rule {
	return []Rule{
		{"A00", "ignore that silences nothing"},
		{"A01", "public route"},
		{"A02", "token ttl > 1h"},
		{"A03", "admin not loopback"},
		{"A04", "http upstream off-host"},
		{"A05", "scope never granted"},
		{"A06", "client unused 90 d"},
		{"A07", "secret older than 180 d"},
		{"A08", "limits fail open"},
		{"A09", "API in observe mode"},
		{"A10", "scope that no route needs"},
		{"A11", "grant that no route uses"},
		{"A12", "route that no client can pass"},
	}
}

// What the rules call long.
const (
	longTTL   = time.Hour
	unusedFor = 90 * 24 * time.Hour
	oldSecret = 180 * 24 * time.Hour
)

// Finding is one thing that deserves a look.
type Finding struct {
	Rule
	config.Problem        // where, and what
	Fix            string // what to do about it
}

// Use is what a running gatehouse knows of its clients.
type Use struct {
	Since string            // the day from which on tokens were noted, as 2026-11-24
	Days  map[string]string // the day of each client's last token, "": none since then; who is absent is not known there
}

// Result is what an audit found, and what it could not look at.
type Result struct {
	Findings []Finding // by file, line and column
	Notes    []string  // "A06 not checked: …"
	// Silenced is how many findings comments silence.
	Silenced int
}

// Audit judges a configuration as of now. Use may be nil: then nobody knows who is unused. It changes and opens nothing.
func Audit(cfg *config.Config, use *Use, now time.Time) Result {
	a := &audit{cfg: cfg, now: now}
	a.listeners()
	a.lifetimes()
	for i := range cfg.APIs {
		a.api(&cfg.APIs[i])
	}
	for i := range cfg.Clients {
		a.client(&cfg.Clients[i])
	}
	a.unused(use)
	a.silence()
	slices.SortStableFunc(a.Findings, func(x, y Finding) int {
		return cmp.Or(strings.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Col, y.Col), strings.Compare(x.ID, y.ID))
	})
	return a.Result
}

type audit struct {
	cfg *config.Config
	now time.Time
	Result
}

// find adds a finding, unless the same one stands at the same place: what defaults say is said once.
func (a *audit) find(id string, at config.Pos, fix, format string, args ...any) {
	rules := Rules()
	rule := rules[slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })]
	for _, f := range a.Findings {
		if f.ID == id && f.Pos == at {
			return
		}
	}
	a.Findings = append(a.Findings, Finding{rule, a.cfg.At(at, fmt.Sprintf(format, args...)), fix})
}

func (a *audit) note(format string, args ...any) {
	a.Notes = append(a.Notes, fmt.Sprintf(format, args...))
}

// silence takes out what comments silence, and tells of the comments that silence nothing.
func (a *audit) silence() {
	for _, ig := range a.cfg.Ignores() {
		var idle []string
		for _, id := range ig.Rules {
			before := len(a.Findings)
			a.Findings = slices.DeleteFunc(a.Findings, func(f Finding) bool { return f.ID == id && f.File == ig.Pos.File && f.Line == ig.Line })
			if n := before - len(a.Findings); n > 0 {
				a.Silenced += n
			} else if !a.unknown(id) {
				idle = append(idle, id)
			}
		}
		switch {
		case len(ig.Rules) == 0:
			a.find("A00", ig.Pos, "name the rules: # gatehouse:ignore A01", "the comment names no rule")
		case len(idle) > 0:
			a.find("A00", ig.Pos, "remove it", "nothing on line %d is found by %s", ig.Line, strings.Join(idle, " and "))
		}
	}
}

// unknown reports whether a rule was not looked at, so that nobody knows whether a comment silences anything.
func (a *audit) unknown(id string) bool {
	return slices.ContainsFunc(a.Notes, func(n string) bool {
		which, _, _ := strings.Cut(n, " not checked")
		return strings.Contains(which, id)
	})
}
