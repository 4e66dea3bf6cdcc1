package ratelimit

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddrSubject(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7":              "192.0.2.7",
		"::ffff:192.0.2.7":       "192.0.2.7",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::/64",
		"2001:db8:1:2::1":        "2001:db8:1:2::/64",
		"2001:db8:1:3::1":        "2001:db8:1:3::/64",
		"fe80::1%eth0":           "fe80::/64",
		"::1":                    "::/64",
		"::ffff:192.0.2.7%wlan0": "192.0.2.7",
	} {
		if got := AddrSubject(netip.MustParseAddr(addr)); got != want {
			t.Errorf("AddrSubject(%s) = %q, wanted %q", addr, got, want)
		}
	}
	if got := AddrSubject(netip.Addr{}); got != "" {
		t.Errorf("AddrSubject of no address = %q", got)
	}
}

func TestSubjectsNeverMeet(t *testing.T) {
	t.Parallel()
	seen := map[string]Subject{}
	for _, s := range []Subject{
		{ByClient, "local", "a"}, {ByIP, "local", "a"}, {ByRoute, "local", "a"}, {ByClient, "corp", "a"},
		{ByClient, "a:b", "c"}, {ByClient, "a", "b:c"}, {ByClient, "", "ab"}, {ByClient, "a", "b"}, {ByClient, "ab", ""},
		{ByClient, "local", "}a{"}, {ByClient, "", ""}, {ByClient, "local", strings.Repeat("x", 1000)},
	} {
		tag := tagOf(s)
		if other, ok := seen[tag]; ok {
			t.Errorf("%+v and %+v share the tag %s", s, other, tag)
		}
		if len(tag) != 22 || strings.ContainsAny(tag, "{}:") {
			t.Errorf("%+v has tag %q, wanted 22 characters of base64url", s, tag)
		}
		seen[tag] = s
	}
}
