package proxy

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// crockford is the base32 alphabet of ULIDs: upper case, without I, L, O and U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newID returns a request id: 128 bits, of which the first 48 are the time in milliseconds, in 26 base32 characters, so
// that ids sort by time. It names a request and guards nothing, hence math/rand, whose generator is seeded by the system.
func newID(now time.Time) string {
	hi := uint64(now.UnixMilli())<<16 | rand.Uint64()&0xffff
	lo := rand.Uint64()
	var b [26]byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(b[:])
}

// newTraceparent returns the header of a trace that starts here and is not sampled (W3C Trace Context).
func newTraceparent() string {
	var b [24]byte
	for i := 0; i < len(b); i += 8 {
		binary.BigEndian.PutUint64(b[i:], rand.Uint64()|1) // an id of zeros is not valid
	}
	out := make([]byte, 0, 55)
	out = append(out, "00-"...)
	out = appendHex(out, b[:16])
	out = append(out, '-')
	out = appendHex(out, b[16:])
	return string(append(out, "-00"...))
}

func appendHex(dst, src []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range src {
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

// isTraceparent reports whether s is a traceparent of version 00, or of a later one that starts like it.
func isTraceparent(s string) bool {
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" || s[:2] == "00" && len(s) != 55 || len(s) > 55 && s[55] != '-' {
		return false
	}
	return isHex(s[:2]) && isID(s[3:35]) && isID(s[36:52]) && isHex(s[53:55])
}

func isID(s string) bool {
	zero := true
	for i := range len(s) {
		zero = zero && s[i] == '0'
	}
	return !zero && isHex(s)
}

// isHex accepts lower-case hex digits.
func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
