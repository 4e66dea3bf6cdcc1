package statuspage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/adminapi"
)

// certificateSoon is how long before its end a certificate is spoken of.
const certificateSoon = 14 * 24 * time.Hour

// banner is one thing that somebody should know before all else.
type banner struct {
	Red   bool // something does not work; else it deserves a look
	Text  string
	Lines []line
}

// line is a detail of a banner: a place in a file, and what is wrong there.
type line struct{ Where, Text string }

// banners are what is wrong, the worst first.
func (p *Page) banners(s *adminapi.Status) (list []banner) {
	red := func(text string, lines ...line) { list = append(list, banner{true, text, lines}) }
	amber := func(text string, lines ...line) { list = append(list, banner{false, text, lines}) }
	if !s.Ready {
		red("Not ready: " + s.Why + ".")
	}
	if last := s.Config.Last; last.Result == "refused" {
		red(fmt.Sprintf("The last reload was refused, by %s, at %s UTC. The configuration of %s UTC serves on.", last.Trigger, clock(last.At), clock(s.Config.Loaded)), places(last.Errors)...)
	}
	redis(s, red, amber)
	keys(s, red, amber)
	if s.Audit != nil && s.Audit.Failing {
		red(fmt.Sprintf("The audit trail can't be written: %d lines are lost.", s.Audit.Lost))
	}
	if n := s.Revocations.JournalErrors; n > 0 {
		red(fmt.Sprintf("Revocations could not be written to this node's disk, %d times: it would forget them at a restart.", n))
	}
	upstreams(s, red, amber)
	if end := p.o.CertificateEnds(); !end.IsZero() {
		switch left := end.Sub(s.Now); {
		case left <= 0:
			red("The certificate of the public listener ended at " + moment(end) + " UTC.")
		case left < certificateSoon:
			amber("The certificate of the public listener ends in " + span(left) + ", at " + moment(end) + " UTC.")
		}
	}
	if s.Mode == "dev" {
		amber("This is gatehouse dev: it is for trying out, and its state is gone when it ends.")
	}
	if n := observed(p.o.Routes()); len(n) > 0 {
		amber("In observe mode, which refuses nothing: " + some(n, 5) + ".")
	}
	slices.SortStableFunc(list, func(a, b banner) int {
		switch {
		case a.Red == b.Red:
			return 0
		case a.Red:
			return -1
		}
		return 1
	})
	return list
}

func places(errors []adminapi.Problem) (list []line) {
	for _, e := range errors {
		l := line{Text: e.Message}
		if e.File != "" {
			l.Where = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Col)
		}
		list = append(list, l)
	}
	const most = 20
	if len(list) > most {
		rest := len(list) - most
		list = append(list[:most], line{Text: fmt.Sprintf("and %d more", rest)})
	}
	return list
}

type say = func(text string, lines ...line)

func redis(s *adminapi.Status, red, amber say) {
	r := s.State.Redis
	if r == nil {
		return
	}
	switch {
	case !r.Up:
		red("Redis is down: limits are this node's own, and revocations of other nodes do not come in." + waiting(s))
	case r.BreakerOpen:
		red("Redis fails so often that requests do without it." + waiting(s))
	case s.Revocations.Outbox > 0:
		amber(strings.TrimSpace(waiting(s)))
	}
	if age := s.Revocations.Staleness; age == nil {
		red("The revocations of the fleet were never read.")
	} else if *age > 30 {
		amber("The revocations of the fleet are over " + span(coarse(time.Duration(*age*float64(time.Second)))) + " old.")
	}
}

// coarse is an age that changes seldom: a banner is read out whenever it changes.
func coarse(d time.Duration) time.Duration {
	if d < time.Minute {
		return d.Truncate(10 * time.Second)
	}
	return d.Truncate(time.Minute)
}

func waiting(s *adminapi.Status) string {
	if s.Revocations.Outbox == 0 {
		return ""
	}
	return fmt.Sprintf(" %d of this node's revocations wait for it.", s.Revocations.Outbox)
}

func keys(s *adminapi.Status, red, amber say) {
	signs := map[string]bool{}
	var overdue []string
	for _, k := range s.Keys {
		signs[k.Algorithm] = signs[k.Algorithm] || k.State == "current"
		if k.State == "current" && !k.Until.IsZero() && k.Until.Before(s.Now) {
			overdue = append(overdue, k.Algorithm)
		}
	}
	if len(signs) == 0 {
		red("There is no key to sign tokens with.")
	}
	for alg, is := range signs {
		if !is {
			red("No key signs " + alg + ": no tokens are issued with it.")
		}
	}
	if len(overdue) > 0 {
		amber("The key of " + strings.Join(overdue, ", ") + " should have been replaced by now.")
	}
}

// upstreams speaks of the servers that are down, and of the APIs that have none left.
func upstreams(s *adminapi.Status, red, amber say) {
	up, down := map[string]int{}, map[string][]line{}
	for _, u := range s.Upstreams {
		if u.Up {
			up[u.API]++
		} else {
			down[u.API] = append(down[u.API], line{Where: u.Endpoint, Text: u.Why})
		}
	}
	for _, u := range s.Upstreams {
		lines := down[u.API]
		delete(down, u.API)
		switch {
		case len(lines) == 0:
		case up[u.API] == 0:
			red("No upstream of "+u.API+" is up.", lines...)
		default:
			amber(fmt.Sprintf("%d of %d upstreams of %s are down.", len(lines), len(lines)+up[u.API], u.API), lines...)
		}
	}
}

func observed(routes []adminapi.Route) (names []string) {
	for _, r := range routes {
		if r.Observe {
			names = append(names, r.API+" "+r.Match)
		}
	}
	return names
}

func some(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
