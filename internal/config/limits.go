package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// The keys of rate limits, of APIs, of routes and of clients.

// maxRequests, maxPer and maxRate bound limits, so that the microseconds of a full bucket fit a number with room to spare.
const (
	maxRequests = 1_000_000_000
	maxPer      = 366 * 24 * time.Hour
	maxRate     = 1_000_000 // requests per second: buckets count in microseconds
)

type rawLimit struct {
	at       node
	requests val[int64]
	per      val[time.Duration]
	burst    val[int64]
	by       val[string]
	onError  val[string]
}

var limitForm = object(
	is("requests", whole(1, maxRequests), func(l *rawLimit) *val[int64] { return &l.requests }).must().
		says("How many requests, within per.").such("100"),
	is("per", durationOf(time.Second, maxPer), func(l *rawLimit) *val[time.Duration] { return &l.per }).must().
		says("Within how long.").such("1s"),
	is("burst", whole(1, maxRequests), func(l *rawLimit) *val[int64] { return &l.burst }).
		says("How many at once.").from(".requests"),
	is("by", aLimitBy, func(l *rawLimit) *val[string] { return &l.by }).
		says("What is counted apart: by default client, and on public routes ip. A token without the claim counts by its client.").such("client"),
	is("on_error", word([]string{"local", "open", "closed"}), func(l *rawLimit) *val[string] { return &l.onError }).
		says("What happens while Redis is away: this node counts alone, all pass, or none.").otherwise("local"),
)

var aLimitBy = form[string]{shape{kind: "word", words: limitSubjects, pattern: "^" + claimPrefix + "."}, func(r *reader, n node) (string, bool) {
	if !strings.HasPrefix(n.Value, claimPrefix) {
		return limitBy.read(r, n)
	}
	return textIs("claim:<name>", func(s string) error {
		name, _ := strings.CutPrefix(s, claimPrefix)
		return checkClaim(name)
	}).read(r, n)
}}

const claimPrefix = "claim:"

// limitBy takes the subjects that are no claims, and tells of those that are.
var limitBy = textIs("word", func(s string) error {
	if slices.Contains(limitSubjects, s) {
		return nil
	}
	hint := wordHint(s, limitSubjects)
	if hint == "" {
		hint = " — write client, ip, route, or claim:NAME for a claim of the token"
	}
	return fmt.Errorf("%q is not allowed here%s", clipText(s), hint)
})

var limitSubjects = []string{"client", "ip", "route"}

// ownLimitForm is a limit of one client, which counts that client.
var ownLimitForm = object(
	is("requests", whole(1, maxRequests), func(l *rawLimit) *val[int64] { return &l.requests }).must().
		says("How many requests, within per.").such("100"),
	is("per", durationOf(time.Second, maxPer), func(l *rawLimit) *val[time.Duration] { return &l.per }).must().
		says("Within how long.").such("1s"),
	is("burst", whole(1, maxRequests), func(l *rawLimit) *val[int64] { return &l.burst }).
		says("How many at once.").from(".requests"),
	is("on_error", word([]string{"local", "open", "closed"}), func(l *rawLimit) *val[string] { return &l.onError }).
		says("What happens while Redis is away: this node counts alone, all pass, or none.").otherwise("local"),
)

var (
	limitsForm    = limitsOfForm(limitForm)
	ownLimitsForm = limitsOfForm(ownLimitForm)
)

// limitsOfForm is one limit, or a list of them.
func limitsOfForm(f form[*rawLimit]) form[[]*rawLimit] {
	return form[[]*rawLimit]{shape{kind: "list", elem: &f.shape, alone: true}, func(r *reader, n node) ([]*rawLimit, bool) {
		members := []node{n}
		if n.Kind == yaml.SequenceNode {
			members = nil
			for _, c := range n.Content {
				members = append(members, node{c, n.doc, n.path})
			}
		}
		var out []*rawLimit
		for _, m := range members {
			if l, ok := f.read(r, m); ok {
				l.at = m
				out = append(out, l)
				checkLimit(r, l)
			}
		}
		return out, true
	}}
}

// checkLimit refuses what a bucket that counts in microseconds can't hold.
func checkLimit(r *reader, l *rawLimit) {
	if !l.requests.set || !l.per.set {
		return
	}
	requests, per := float64(l.requests.v), l.per.v.Seconds()
	if requests/per > maxRate {
		r.fail(l.requests.at, "expected at most %d requests per second", maxRate)
	}
	if l.burst.set && float64(l.burst.v)*per/requests > maxPer.Seconds() {
		r.fail(l.burst.at, "a bucket of this burst takes longer than %s to fill — lower it", short(maxPer))
	}
}
