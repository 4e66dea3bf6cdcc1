package proxy

import (
	"strings"
	"time"
)

// defaultTimeout is how long an upstream may take to answer where its route does not say.
const defaultTimeout = 30 * time.Second

// served is a Route as the gateway uses it, with what can be made once.
type served struct {
	*Route
	up       *upstream
	line     *line
	charging charging
	cors     *cors  // of the API; nil: none
	prefix   string // API.StripPrefix without a trailing slash
	timeout  time.Duration
	idle     time.Duration // between bytes of a body; 0: no limit
}

func newServed(rt *Route, up *upstream, idle time.Duration) *served {
	s := &served{Route: rt, up: up, charging: newCharging(rt), timeout: rt.Timeout, idle: idle,
		prefix: strings.TrimSuffix(rt.API.StripPrefix, "/")}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if rt.Streaming {
		s.idle = 0
	}
	return s
}

// upstreamPath is the path that the upstream gets below its base path: what was received, byte for byte, with the API's
// prefix cut off. The prefix is whole segments, in whatever encoding they came; ok is false where
// they are others. What is left empty is "/".
func (s *served) upstreamPath(raw string) (path string, ok bool) {
	rest := raw
	for prefix := s.prefix; prefix != ""; {
		var want, got string
		want, prefix = firstSegment(prefix)
		if rest == "" {
			return "", false
		}
		got, rest = firstSegment(rest)
		if decoded, _ := unescape(got); decoded != want {
			return "", false
		}
	}
	if rest == "" {
		rest = "/"
	}
	return rest, true
}
