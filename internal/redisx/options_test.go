package redisx

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9/maintnotifications"
)

// TestOptions holds what go-redis is told. Under a context's deadline most of its waits end in time whatever these say, so that no
// other test would miss one of them; what is not under such a deadline, and another version of go-redis, would.
func TestOptions(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	for _, tt := range []struct{ budget, read, pool time.Duration }{{0, 50 * ms, 25 * ms}, {5 * ms, 50 * ms, 20 * ms}, {time.Second, time.Second, time.Second}} {
		c := open(t, Options{Addrs: []string{"127.0.0.1:1"}, Budget: tt.budget})
		s := c.top.Load().one
		o := s.cmd.Options()
		if !o.ContextTimeoutEnabled || o.MaxRetries != 0 || o.DialerRetries != 1 || o.DialTimeout != 250*ms || o.PipelinePoolSize != -1 ||
			!o.DisableIdentity || o.MaintNotificationsConfig.Mode != maintnotifications.ModeDisabled {
			t.Errorf("budget %s: %+v", tt.budget, o)
		}
		if o.ReadTimeout != tt.read || o.WriteTimeout != tt.read || o.PoolTimeout != tt.pool {
			t.Errorf("budget %s: read %s, write %s, pool %s, wanted %s, %s, %s", tt.budget, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout, tt.read, tt.read, tt.pool)
		}
		if calm := s.calm.Options(); calm.ReadTimeout != time.Second || calm.WriteTimeout != time.Second || !calm.ContextTimeoutEnabled || calm.MaxRetries != 0 {
			t.Errorf("what no request waits for: %+v", calm)
		}
		if stream := s.stream.Options(); stream.PoolSize != streamConns || stream.ReadTimeout != time.Second || stream.MaxRetries != 0 {
			t.Errorf("blocking reads: %+v", stream)
		}
	}
}
