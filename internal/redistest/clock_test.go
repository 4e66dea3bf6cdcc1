package redistest

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	t.Parallel()
	s, clock := StartClock(t)
	c := s.Client()
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour, 0} {
		clock.Set(ahead)
		now, err := c.Time(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if off := time.Until(now) - ahead; off.Abs() > time.Minute {
			t.Errorf("the server's clock is %s off, wanted %s", time.Until(now), ahead)
		}
		inScript, err := c.Eval(t.Context(), "return tonumber(redis.call('TIME')[1])", nil).Int64()
		if err != nil {
			t.Fatal(err)
		}
		if off := time.Until(time.Unix(inScript, 0)) - ahead; off.Abs() > time.Minute {
			t.Errorf("the server's clock is %s off in a script, wanted %s", time.Until(time.Unix(inScript, 0)), ahead)
		}
	}
}
