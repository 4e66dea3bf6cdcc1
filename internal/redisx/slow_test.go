package redisx

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/redistest"
)

// TestSlowForRequestsAlone: an answer that comes after 200 ms is too late for a request, and in good time for all else, also on
// connections that are yet to be made.
func TestSlowForRequestsAlone(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.StartProxy(t, s.Addr())
	c := open(t, Options{Addrs: []string{p.Addr()}})
	eventually(t, "the heartbeat is answered", func() bool { return c.Stats().Up })
	p.Set(redistest.Slow(100 * time.Millisecond))
	p.Cut()
	eventually(t, "the breaker is open", func() bool {
		c.Run(within(t, c.Budget()), write, []string{"k"})
		return c.Stats().Open
	})
	for name, call := range map[string]func(ctx context.Context) error{
		"a script":  func(ctx context.Context) error { return c.RunCalm(ctx, write, []string{"k"}).Err() },
		"a command": func(ctx context.Context) error { return c.Cmd("k").Get(ctx, "k").Err() },
		"a blocking read": func(ctx context.Context) error {
			return c.Stream("k").XRead(ctx, &redis.XReadArgs{Streams: []string{"log", "0"}, Block: time.Millisecond}).Err()
		},
	} {
		for range 3 {
			if err := call(within(t, patience)); err != nil && err != redis.Nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if !c.Stats().Open {
		t.Error("what no request waits for closed the breaker")
	}
	if err := c.RunCalm(within(t, 20*time.Millisecond), write, []string{"k"}).Err(); Classify(err) != Timeout {
		t.Errorf("a script whose context ended first: %v, wanted a timeout", err)
	}
	p.Heal()
	eventually(t, "the heartbeat has closed the breaker", func() bool { return !c.Stats().Open && c.Stats().Up })
}

// TestALittleTooSlowForRequests: heartbeats that are answered, but later than a request may wait, leave the breaker open. Else
// requests would wait in vain after each of them, until they had opened it again.
func TestALittleTooSlowForRequests(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.StartProxy(t, s.Addr())
	c := open(t, Options{Addrs: []string{p.Addr()}})
	eventually(t, "the heartbeat is answered", func() bool { return c.Stats().Up })
	p.Set(redistest.Slow(15 * time.Millisecond)) // there and back takes longer than the budget, and not as long as a read may
	eventually(t, "the breaker is open", func() bool {
		c.Run(within(t, c.Budget()), write, []string{"k"})
		return c.Stats().Open
	})
	sets := func() int { return served(t, s, "set") }
	before, opened := sets(), c.Stats().Opened
	eventually(t, "several more heartbeats were sent, and one was answered", func() bool { return sets() >= before+4 && c.Stats().Up })
	if st := c.Stats(); !st.Open || st.Opened != opened {
		t.Errorf("with heartbeats that are answered too late for requests: open %t, opened %d times, wanted open and %d", st.Open, st.Opened, opened)
	}
	p.Heal()
	eventually(t, "the heartbeat has closed the breaker", func() bool { return !c.Stats().Open })
}
