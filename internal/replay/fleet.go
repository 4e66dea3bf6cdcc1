package replay

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"gatehouse/internal/redisx"
)

// claimScript is the SET NX of one key; a script, so that it passes the breaker.
var claimScript = redisx.NewScript(`return {redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0}`)

// fleet keeps claims in Redis, each for as long as it must be remembered.
type fleet struct {
	redis *redisx.Client
	batch *redisx.Batcher
	now   func() time.Time
}

func (f *fleet) claim(ctx context.Context, k key, until time.Time) (bool, error) {
	// A caller that goes away must not leave a claim that nobody knows the answer to.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.redis.Budget())
	defer cancel()
	name := f.redis.Prefix() + ":jti:" + base64.RawURLEncoding.EncodeToString(k[:])
	left := max(until.Sub(f.now()).Milliseconds(), 1)
	answer, err := f.batch.Run(ctx, redisx.Call{Keys: []string{name}, Args: []any{left}})
	if err != nil {
		return false, fmt.Errorf("redis: %w", err)
	}
	return len(answer) == 1 && answer[0] == 1, nil
}
