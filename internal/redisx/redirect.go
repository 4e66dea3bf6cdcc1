package redisx

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// redirect says which server another one named for a key, and whether the slot is only on its way there. A server that is
// no part of a cluster is not believed.
func (c *Client) redirect(from *server, err error) (to *server, asking, ok bool) {
	if c.cluster == nil || err == nil {
		return nil, false, false
	}
	addr, moved := redis.IsMovedError(err)
	if moved {
		c.cluster.look()
	} else if addr, asking = redis.IsAskError(err); !asking {
		return nil, false, false
	}
	to = c.cluster.at(complete(addr, from.addr))
	return to, asking, to != c.cluster.nowhere
}

// stays marks the context of a command that is for one server and no other.
type stays struct{}

// follower is the hook that takes a command to the server that another one named. Scripts are left to Run, which gives them
// to servers that lack them.
type follower struct {
	c    *Client
	from *server
	of   func(*server) *redis.Client // another server's client of the same kind
}

// DialHook implements redis.Hook.
func (f follower) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (f follower) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements redis.Hook.
func (f follower) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil || cmd.Name() == "evalsha" || ctx.Value(stays{}) != nil {
			return err
		}
		to, asking, ok := f.c.redirect(f.from, err)
		if !ok {
			return err
		}
		ctx = context.WithValue(ctx, stays{}, true) // one step: who sent us there is asked again next time
		if !asking {
			return f.of(to).Process(ctx, cmd)
		}
		conn := f.of(to).Conn() // ASKING counts for the next command of its connection
		defer conn.Close()
		if err := conn.Do(ctx, "asking").Err(); err != nil {
			return err
		}
		return conn.Process(ctx, cmd)
	}
}
