package config

import (
	"fmt"
	"time"

	"gopkg.in/yaml.v3"
)

type rawQuota struct {
	tokens val[int64]
	per    val[time.Duration]
	mode   val[string]
}

var quotaForm = object(
	is("tokens", whole(1, maxRequests), func(q *rawQuota) *val[int64] { return &q.tokens }).must().
		says("How many tokens, within per.").such("1000"),
	is("per", durationOf(time.Second, maxPer), func(q *rawQuota) *val[time.Duration] { return &q.per }).must().
		says("Within how long.").such("1h"),
	is("mode", aMode, func(q *rawQuota) *val[string] { return &q.mode }).
		says("enforce answers 429 once they are used; observe counts and warns at 60, 80 and 100 %.").otherwise("enforce"),
)

// quotasForm is one quota, or a list of them.
var quotasForm = form[[]*rawQuota]{
	shape{kind: "list", elem: &quotaForm.shape, alone: true},
	func(r *reader, n node) ([]*rawQuota, bool) {
		members := []node{n}
		if n.Kind == yaml.SequenceNode {
			members = nil
			for _, c := range n.Content {
				members = append(members, node{c, n.doc, n.path})
			}
		}
		var out []*rawQuota
		for _, m := range members {
			q, ok := quotaForm.read(r, m)
			if !ok {
				continue
			}
			out = append(out, q)
			if q.tokens.set && q.per.set && float64(q.tokens.v)/q.per.v.Seconds() > maxRate {
				r.fail(q.tokens.at, "expected at most %d tokens per second", maxRate)
			}
		}
		return out, true
	},
}

// quotasOf names the quotas: the first by that word alone, the later ones with #2, #3, so that a quota whose numbers change
// goes on with what was counted.
func quotasOf(raw []*rawQuota) []Quota {
	var out []Quota
	for i, q := range raw {
		name := "quota"
		if i > 0 {
			name = fmt.Sprintf("quota#%d", i+1)
		}
		out = append(out, Quota{Name: name, Tokens: q.tokens.v, Per: q.per.v, Observe: q.mode.v == "observe"})
	}
	return out
}
