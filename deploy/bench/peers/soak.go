package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

const soakParts = 10 // after each of which memory is looked at

// measureSoak is how the memory of a Gatehouse under load grows from the end of the second part of the time to the end of the last:
// in the first, pools and caches fill.
func measureSoak(ctx context.Context, r *rig) ([]single, error) {
	if r.soak == 0 {
		return nil, nil
	}
	if r.redisAddr == "" {
		if err := r.startRedis(ctx); err != nil {
			return nil, err
		}
	}
	dir, err := r.dir("soak")
	if err != nil {
		return nil, err
	}
	s, err := full.gatehouse(ctx, r, r.binaries[0].path, dir)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	l := with(pathRSA, "RS256-warm")(r)
	part := max(time.Second, (r.soak / soakParts).Round(time.Second))
	var own []int64
	for n := range soakParts {
		got, err := drive(ctx, dir, "main", s.addr, &l, part)
		if err == nil {
			err = expect(&got, 200, 0)
		}
		if err != nil {
			return nil, fmt.Errorf("part %d: %w\n%s", n+1, err, s.tail())
		}
		m, err := s.memory()
		if err != nil {
			return nil, err
		}
		own = append(own, m.own)
		fmt.Fprintf(os.Stderr, "%d/%d soak %8.1f MiB\n", n+1, soakParts, float64(m.own)/mebi)
	}
	return []single{{"soak", fmt.Sprintf("of its own after %v of load, to after the second tenth of it", soakParts*part), growth(own), "times"}}, nil
}

// growth is the last to the second.
func growth(sizes []int64) float64 { return float64(sizes[len(sizes)-1]) / float64(sizes[1]) }
