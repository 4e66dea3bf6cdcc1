package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"gatehouse/internal/adminapi"
)

// screen writes the status for a person: first what is wrong, if anything is, then each part in a few aligned lines.
func screen(w io.Writer, s *adminapi.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", label, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(t, "Gatehouse %s on %s%s, up %s\n\n", clean(s.Version), clean(s.Node), devWord(s), span(s.Uptime))
	line("ready", "%s", readyWord(s))
	line("serves", "%s, admin %s", clean(s.Listen), clean(s.Admin))
	configLines(line, s)
	stateLines(line, s)
	limitLine(line, s)
	if s.Audit != nil && (s.Audit.Failing || s.Audit.Lost > 0) {
		line("audit", "%s, %d lines lost", word(s.Audit.Failing, "FAILING: the trail can't be written", "works again"), s.Audit.Lost)
	}
	fleetTable(t, s)
	keysTable(t, s)
	upstreamTable(t, s)
	denialTable(t, s)
	return t.Flush()
}

func devWord(s *adminapi.Status) string {
	return word(s.Mode == "dev", " (DEV, not for production)", "")
}

func readyWord(s *adminapi.Status) string {
	if s.Ready {
		return "yes"
	}
	return "NO: " + clean(s.Why)
}

func configLines(line func(string, string, ...any), s *adminapi.Status) {
	c := &s.Config
	line("config", "%s, %s ago: %s, %s, %s", clean(c.Hash), span(s.Now.Sub(c.Loaded).Seconds()), count(c.APIs, "API"), count(c.Routes, "route"), count(c.Clients, "client"))
	at := span(s.Now.Sub(c.Last.At).Seconds())
	if c.Last.Result != "refused" {
		line("", "last load: ok, by %s, %s ago%s", clean(c.Last.Trigger), at, word(c.Last.Changes != "", ": "+clean(c.Last.Changes), ""))
		return
	}
	line("", "last load: REFUSED, by %s, %s ago; the configuration above serves on", clean(c.Last.Trigger), at)
	for _, p := range c.Last.Errors {
		where := ""
		if p.File != "" {
			where = fmt.Sprintf("%s:%d:%d: ", clean(p.File), p.Line, p.Col)
		}
		first, _, _ := strings.Cut(p.Message, "\n")
		line("", "  %s%s", where, printed(first))
	}
}

func stateLines(line func(string, string, ...any), s *adminapi.Status) {
	v := &s.Revocations
	revoked := fmt.Sprintf("%s and %s revoked", count(v.Tokens, "token"), count(v.Rules, "rule"))
	if v.JournalErrors > 0 {
		revoked += fmt.Sprintf("; the journal FAILED to be written %s", count(int(v.JournalErrors), "time"))
	}
	r := s.State.Redis
	if r == nil {
		line("state", "%s: this node runs alone", clean(s.State.Engine))
		line("revoked", "%s", revoked)
		return
	}
	line("redis", "%s, breaker %s (opened %s); %s, %s", word(r.Up, "up", "DOWN"), word(r.BreakerOpen, "OPEN: requests do without", "closed"),
		count(int(r.BreakerOpened), "time"), clean(r.Mode+word(r.Master != "", " "+r.Master, "")), clean(strings.Join(r.Addrs, " ")))
	if len(r.Masters) > 0 {
		line("", "masters: %s", masters(r.Masters))
	}
	if len(r.Errors) > 0 {
		line("", "failed commands: %s; its clock is %s", tally(r.Errors), offset(r.ClockOffset))
	} else {
		line("", "no failed commands; its clock is %s", offset(r.ClockOffset))
	}
	line("revoked", "%s; %s", revoked, word(v.Outbox == 0, "Redis has all of this node's", fmt.Sprintf("%d of this node's WAIT for Redis", v.Outbox)))
	age := "NEVER in sync with the fleet"
	if v.Staleness != nil {
		age = span(*v.Staleness) + " old"
	}
	line("", "%s; %s", age, stalePolicies(v.Policies))
}

func masters(list []adminapi.MasterStatus) string {
	var parts []string
	for _, m := range list {
		parts = append(parts, clean(m.Name)+word(m.Up, " up", " DOWN")+word(m.BreakerOpen, ", breaker OPEN", ""))
	}
	return strings.Join(parts, "; ")
}

// stalePolicies says what happens when revocations are too old: once, where all APIs do the same.
func stalePolicies(list []adminapi.StalePolicy) string {
	by := map[string][]string{}
	for _, p := range list {
		rule := fmt.Sprintf("%s after %s", clean(p.OnStale), span(p.MaxStaleness))
		by[rule] = append(by[rule], clean(p.API))
	}
	var parts []string
	for _, rule := range slices.Sorted(maps.Keys(by)) {
		part := rule
		if len(by) > 1 {
			part += " (" + strings.Join(by[rule], ", ") + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func limitLine(line func(string, string, ...any), s *adminapi.Status) {
	decided := "none decided yet"
	if len(s.Limits.Decisions) > 0 {
		decided = "decided by " + tally(s.Limits.Decisions)
	}
	share := ""
	if s.State.Redis != nil && s.Limits.Nodes > 1 {
		share = fmt.Sprintf("; without Redis this node grants a share of 1/%d", s.Limits.Nodes)
	}
	line("limits", "%s; %s in memory%s", decided, count(s.Limits.Keys, "bucket"), share)
}

// clockOff is how far off, in seconds, a node's clock is that is worth a word; the log warns from there on, too.
const clockOff = 5

func fleetTable(t io.Writer, s *adminapi.Status) {
	if s.State.Redis == nil {
		return
	}
	live := 0
	for _, n := range s.Fleet {
		if n.Live {
			live++
		}
	}
	known := "as Redis never told of it yet"
	if age := s.State.Redis.FleetAge; age != nil {
		known = "as Redis told " + span(*age) + " ago"
	}
	fmt.Fprintf(t, "\nfleet: %s, %s\n  NODE\tHEARD\tREVOCATIONS\tVERSION\n", count(live, "node"), known)
	for _, n := range s.Fleet {
		name := clean(cmp.Or(n.Name, n.ID, "?"))
		if n.Self {
			name += " (this)"
		}
		heard := span(n.Heard) + " ago"
		if !n.Live {
			heard = "SILENT for " + span(n.Heard)
		}
		if n.Live && n.Clock != nil && math.Abs(*n.Clock) > clockOff {
			heard += ", clock " + span(math.Abs(*n.Clock)) + word(*n.Clock > 0, " AHEAD", " BEHIND")
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", name, heard, word(n.Live, "", "was ")+behindWord(n.Behind), clean(cmp.Or(n.Version, "-")))
	}
}

func behindWord(behind *float64) string {
	switch {
	case behind == nil:
		return "reading all anew"
	case *behind == 0:
		return "up to date"
	}
	return "BEHIND by " + span(*behind)
}

func keysTable(t io.Writer, s *adminapi.Status) {
	fmt.Fprintf(t, "\nkeys\n  KID\tALG\tSTATE\tUNTIL\n")
	for _, k := range s.Keys {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", clean(k.ID), clean(k.Algorithm), clean(k.State), moment(k.Until))
	}
}

func upstreamTable(t io.Writer, s *adminapi.Status) {
	if len(s.Upstreams) == 0 {
		return
	}
	fmt.Fprintf(t, "\nupstreams\n  API\tENDPOINT\tSTATE\tBREAKER\tIN FLIGHT\n")
	for _, u := range s.Upstreams {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%d\n", clean(u.API), clean(u.Endpoint), word(u.Up, "up", "DOWN: "+clean(u.Why)), clean(cmp.Or(u.Breaker, "-")), u.InFlight)
	}
}

func denialTable(t io.Writer, s *adminapi.Status) {
	if len(s.Denials) == 0 {
		fmt.Fprint(t, "\ndenials: none\n")
		return
	}
	fmt.Fprintf(t, "\ndenials\n  TIME\tSTATUS\tREASON\tREQUEST\tCLIENT\tREQUEST ID\n")
	for _, d := range s.Denials {
		fmt.Fprintf(t, "  %s\t%d%s\t%s\t%s %s\t%s\t%s\n", d.Time.UTC().Format(time.TimeOnly), d.Status, word(d.Verdict == "would_deny", " (let through)", ""), clean(d.Reason),
			clean(d.Method), clipped(clean(d.Path), 60), clipped(clean(cmp.Or(d.Client, "-")), 40), clean(d.ID))
	}
}

func word(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// tally is "local 3, redis 120".
func tally(counts map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", clean(name), counts[name]))
	}
	return strings.Join(parts, ", ")
}

func offset(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
	switch {
	case d == 0:
		return "this node's"
	case d < 0:
		return (-d).String() + " behind this node's"
	}
	return d.String() + " ahead of this node's"
}

// span is a time for people: two units at most.
func span(seconds float64) string {
	d := time.Duration(max(0, seconds) * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return units(d.Round(time.Second), time.Minute, "m", time.Second, "s")
	case d < 48*time.Hour:
		return units(d.Round(time.Minute), time.Hour, "h", time.Minute, "m")
	}
	return units(d.Round(time.Hour), 24*time.Hour, "d", time.Hour, "h")
}

// units writes d in a large unit, and in a small one what is left, if anything is.
func units(d, large time.Duration, l string, small time.Duration, s string) string {
	text := fmt.Sprintf("%d%s", d/large, l)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf("%d%s", rest, s)
	}
	return text
}

// printed keeps what does not print away from the terminal, in texts of ours that hold words of somebody else.
func printed(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func clipped(s string, n int) string {
	if len(s) > n {
		return s[:n-1] + "…"
	}
	return s
}
