package redisx

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxLegs is how often a call may be sent: to a server that does not have the key's slot any more, to one that is about to
// get it, and to the one that has it, of which one may have to be given the script. None but the last of them runs it.
const maxLegs = 5

// Call is one run of a script: its keys, all of one hash slot, and its arguments.
type Call struct {
	Keys []string
	Args []any
}

// shardKey is the key that says where the call goes.
func (c *Call) shardKey() string {
	if len(c.Keys) == 0 {
		return ""
	}
	return c.Keys[0]
}

// Run runs a script on the keys, all of one hash slot, within ctx. A server that does not know the script is given it, and
// one that names another server for the keys is believed; then the call is sent on. Nothing else is ever repeated, since a
// call that timed out may have happened. With the breaker of the keys' master open the command's error is ErrOpen at once.
func (c *Client) Run(ctx context.Context, s *Script, keys []string, args ...any) *redis.Cmd {
	return c.RunAll(ctx, s, []Call{{keys, args}})[0]
}

// RunCalm is Run for what no request waits for: give ctx a deadline, which ends the call, and a read or write ends after a second
// in any case. The breaker is neither asked nor told. It opens where requests can't wait, on a machine that is busy too, and
// nobody's revocations are to be late for that; and that an answer came in half a second is no reason to have requests wait again.
func (c *Client) RunCalm(ctx context.Context, s *Script, keys []string, args ...any) *redis.Cmd {
	call := Call{keys, args}
	on := c.reached(ctx).owner(call.shardKey())
	return c.runOn(ctx, leg{to: on, calm: true}, s, []Call{call})[0]
}

// RunAll is Run for several calls in one round trip to each master that is concerned. Each has its own result, in the order
// of the calls; to a master's breaker they are one. It returns when all have answered, so that a slow master holds up the
// results of the others, though not their calls: who can't have that sends one batch for each Shard.
func (c *Client) RunAll(ctx context.Context, s *Script, calls []Call) []*redis.Cmd {
	if len(calls) == 0 {
		return nil
	}
	top := c.reached(ctx)
	if top.one != nil || len(calls) == 1 {
		return c.runOn(ctx, leg{to: top.owner(calls[0].shardKey())}, s, calls)
	}
	parts := split(top, calls)
	if len(parts) == 1 {
		return c.runOn(ctx, leg{to: parts[0].to}, s, calls)
	}
	results := make([]*redis.Cmd, len(calls))
	var done sync.WaitGroup
	for _, p := range parts {
		done.Go(func() {
			some := make([]Call, len(p.at))
			for i, at := range p.at {
				some[i] = calls[at]
			}
			for i, r := range c.runOn(ctx, leg{to: p.to}, s, some) {
				results[p.at[i]] = r
			}
		})
	}
	done.Wait()
	return results
}

// reached is the topology, once the first attempt to learn it is over.
func (c *Client) reached(ctx context.Context) *topology {
	if top := c.top.Load(); top.known {
		return top
	}
	select {
	case <-c.cluster.tried:
	case <-ctx.Done():
	}
	return c.top.Load()
}

// leg is calls that go to one server in one round trip.
type leg struct {
	to     *server
	calm   bool  // no request waits: past the breaker, and with more time
	asking bool  // the slot is on its way to the server, which has it for who asks so
	load   bool  // the server is given the script first
	at     []int // positions of the calls
}

// split says which calls go to which master.
func split(top *topology, calls []Call) []leg {
	var parts []leg
	for i := range calls {
		parts = join(parts, leg{to: top.owner(calls[i].shardKey())}, i)
	}
	return parts
}

// join adds the call at a position to the leg that is like l, or as another leg.
func join(legs []leg, l leg, at int) []leg {
	for i := range legs {
		if legs[i].to == l.to && legs[i].asking == l.asking {
			legs[i].load = legs[i].load || l.load
			legs[i].at = append(legs[i].at, at)
			return legs
		}
	}
	l.at = []int{at}
	return append(legs, l)
}

// shut reports whether the breaker keeps the leg from being sent.
func (l *leg) shut() bool { return !l.calm && l.to.breaker.isOpen() }

// client is what the leg is sent by.
func (l *leg) client() *redis.Client {
	if l.calm {
		return l.to.calm
	}
	return l.to.cmd
}

// runOn runs calls for the keys of one master: that of the first leg, which has no positions yet.
func (c *Client) runOn(ctx context.Context, first leg, s *Script, calls []Call) []*redis.Cmd {
	switch {
	case c.cluster != nil && first.to == c.cluster.nowhere:
		return refuse(ctx, len(calls), c.cluster.why())
	case first.shut():
		return refuse(ctx, len(calls), ErrOpen)
	}
	first.at = make([]int, len(calls))
	for i := range first.at {
		first.at[i] = i
	}
	results := make([]*redis.Cmd, len(calls))
	legs := []leg{first}
	for range maxLegs {
		var next []leg
		for _, l := range legs {
			if l.shut() { // since a moment, or of a server that another one named
				l.fail(ctx, results, ErrOpen)
				continue
			}
			l.send(ctx, s, calls, results)
			next = c.onward(next, l, results)
		}
		if legs = next; len(legs) == 0 {
			break
		}
	}
	return results
}

func refuse(ctx context.Context, n int, err error) []*redis.Cmd {
	refused := make([]*redis.Cmd, n)
	for i := range refused {
		refused[i] = redis.NewCmd(ctx)
		refused[i].SetErr(err)
	}
	return refused
}

// send sends the calls of the leg and fills in their results.
func (l *leg) send(ctx context.Context, s *Script, calls []Call, results []*redis.Cmd) {
	client := l.client()
	if l.load {
		if err := client.ScriptLoad(ctx, s.source).Err(); err != nil {
			l.fail(ctx, results, err)
			return
		}
	}
	if len(l.at) == 1 && !l.asking {
		i := l.at[0]
		results[i] = client.EvalSha(ctx, s.sha, calls[i].Keys, calls[i].Args...)
		return
	}
	pipe := client.Pipeline()
	for _, i := range l.at {
		if l.asking {
			pipe.Do(ctx, "asking")
		}
		results[i] = pipe.EvalSha(ctx, s.sha, calls[i].Keys, calls[i].Args...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		l.unanswered(results, err)
	}
}

func (l *leg) fail(ctx context.Context, results []*redis.Cmd, err error) {
	for _, i := range l.at {
		if results[i] == nil {
			results[i] = redis.NewCmd(ctx)
		}
		results[i].SetErr(err)
	}
}

// unanswered gives the pipeline's error to the results that have neither error nor value: go-redis leaves them so where the
// server refused the connection, as for a wrong password.
func (l *leg) unanswered(results []*redis.Cmd, err error) {
	for _, i := range l.at {
		if results[i].Err() == nil && results[i].Val() == nil {
			results[i].SetErr(err)
		}
	}
}

// onward tells the breaker of the leg's server how it went, and adds to legs what none has run and another server, or the
// same one with the script, will.
func (c *Client) onward(legs []leg, l leg, results []*redis.Cmd) []leg {
	failed := false
	for _, i := range l.at {
		err := results[i].Err()
		if err == nil {
			continue
		}
		if errors.Is(err, context.Canceled) { // the caller's doing, which says nothing of Redis
			return legs
		}
		if to, asking, ok := c.redirect(l.to, err); ok {
			legs = join(legs, leg{to: to, calm: l.calm, asking: asking}, i)
			continue
		}
		if redis.HasErrorPrefix(err, "NOSCRIPT") && !l.load {
			legs = join(legs, leg{to: l.to, calm: l.calm, asking: l.asking, load: true}, i)
			continue
		}
		failed = failed || feeds(err)
	}
	if !l.calm && l.to.beat.runs.Load() { // else nothing would close the breaker again
		l.to.breaker.report(time.Now(), failed)
	}
	return legs
}
