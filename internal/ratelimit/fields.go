package ratelimit

import (
	"strconv"
	"strings"
	"time"
)

// maxInt is the largest integer of a structured field (RFC 9651 section 3.3.1).
const maxInt = 999_999_999_999_999

// Fields are the values of the response's RateLimit-Policy and RateLimit fields (draft-ietf-httpapi-ratelimit-headers-10):
// every policy that applied, and what the decision's has left. The second is "" where the decision counted nothing.
func Fields(policies []*Policy, d Decision) (policyHeader, limitHeader string) {
	if len(policies) == 0 {
		return "", ""
	}
	b := make([]byte, 0, 48*len(policies))
	for i, p := range policies {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendString(b, p.Name)
		b = appendParam(b, ";q=", p.Requests)
		b = appendParam(b, ";w=", seconds(p.Per))
	}
	return string(b), d.Field()
}

// Field is the value of RateLimit alone; see Fields.
func (d Decision) Field() string {
	if d.Policy == nil || d.Source == FellOpen || d.Source == FellShut {
		return ""
	}
	var room [64]byte
	b := appendString(room[:0], d.Policy.Name)
	b = appendParam(b, ";r=", d.Remaining)
	return string(appendParam(b, ";t=", seconds(d.Reset)))
}

// RetryAfterSeconds is the value of Retry-After: whole seconds, rounded up, at least 1.
func (d Decision) RetryAfterSeconds() int64 { return max(seconds(d.RetryAfter), 1) }

// seconds rounds up to whole seconds.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

func appendParam(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(b, name...), min(n, maxInt), 10)
}

// appendString appends s as a String of RFC 9651 section 3.3.3, which holds printable ASCII alone: other bytes are
// percent-encoded.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20 || c > 0x7e:
			b = append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		case strings.IndexByte(`"\`, c) >= 0:
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
