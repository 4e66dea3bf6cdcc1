package ratelimit

import (
	"context"
	_ "embed"
	"fmt"

	"gatehouse/internal/redisx"
)

//go:embed take.lua
var takeSource string

// fleet is the engine in Redis: one script call for each subject, on Redis's clock.
type fleet struct {
	redis *redisx.Client
	batch *redisx.Batcher
}

func newFleet(r *redisx.Client) *fleet {
	return &fleet{redis: r, batch: redisx.NewBatcher(r, redisx.NewScript(takeSource))}
}

// take charges every policy of the subject or none. After an error nobody knows whether it was charged, and it is not
// sent again.
func (f *fleet) take(ctx context.Context, s *Subject, policies []*Policy, cost int64) (Decision, error) {
	keys := make([]string, len(policies))
	args := make([]any, 0, 2*len(policies))
	bucket := f.redis.Prefix() + ":rl:{" + s.tag() + "}:"
	for i, p := range policies {
		interval, tau := p.shape()
		keys[i] = bucket + p.Name
		args = append(args, charge(cost, interval, tau), tau)
	}
	answer, err := f.batch.Run(ctx, redisx.Call{Keys: keys, Args: args})
	if err != nil {
		return Decision{}, err
	}
	if len(answer) != 2+len(policies) {
		return Decision{}, fmt.Errorf("take.lua gave %d numbers, wanted %d", len(answer), 2+len(policies))
	}
	granted, now, tats := answer[0] == 1, answer[1], answer[2:]
	d := settle(now, tats, policies, cost)
	if d.OK != granted {
		return Decision{}, fmt.Errorf("take.lua granted: %t, wanted %t", granted, d.OK)
	}
	return d, nil
}
