package revoke

import (
	"strings"
	"testing"
)

var someEntries = []Entry{
	token("a", 5000),
	{Kind: Client, Issuer: "local", Name: "billing", NotBefore: 100, Expires: 5000},
	{Kind: Client, Issuer: "a:b 1:", Name: "9:c client", NotBefore: 1, Expires: maxExpires},
	{Kind: Key, Issuer: "local", Name: "\x00\xff", NotBefore: 100, Expires: 5000},
	{Kind: All, Issuer: "corp", NotBefore: 100, Expires: 5000},
}

func TestEntriesSurviveTheirBytes(t *testing.T) {
	t.Parallel()
	for _, e := range someEntries {
		got, ok := unmarshal(e.marshal())
		if !ok || got != e {
			t.Errorf("%+v came back as %+v, %v", e, got, ok)
		}
	}
}

func TestRuleNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want ruleKey // the zero key: refused
	}{
		{"client 5:localbilling", ruleKey{Client, "local", "billing"}},
		{"key 1:ab", ruleKey{Key, "a", "b"}},
		{"all 5:local", ruleKey{All, "local", ""}},
		{"all 5:localx", ruleKey{}},
		{"client 5:local", ruleKey{}},
		{"client 0:billing", ruleKey{}},
		{"client 6:local", ruleKey{}},
		{"client -1:local", ruleKey{}},
		{"client 05:localbilling", ruleKey{}},
		{"client +5:localbilling", ruleKey{}},
		{"token 5:localbilling", ruleKey{}},
		{"kind(0) 5:localbilling", ruleKey{}},
		{"", ruleKey{}},
		{"client", ruleKey{}},
	} {
		got, ok := parseRule(tt.text)
		if ok != (tt.want != ruleKey{}) || ok && got != tt.want {
			t.Errorf("parseRule(%q) = %+v, %v, wanted %+v", tt.text, got, ok, tt.want)
		}
	}
}

func FuzzRuleName(f *testing.F) {
	f.Add("client 5:localbilling")
	f.Add("all 5:local")
	f.Add("key 2:a")
	f.Fuzz(func(t *testing.T, s string) {
		if key, ok := parseRule(s); ok && key.String() != s {
			t.Errorf("parseRule(%q) writes itself as %q", s, key.String())
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	for _, e := range someEntries {
		f.Add(e.marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, ok := unmarshal(b); ok && string(e.marshal()) != string(b) {
			t.Errorf("%x came back as %x", b, e.marshal())
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxText+1)
	for _, tt := range []struct {
		name string
		e    Entry
		ok   bool
	}{
		{"zero", Entry{}, false},
		{"unknown kind", Entry{Kind: All + 1, Issuer: "local", Name: "c"}, false},
		{"token", token("a", 5000), true},
		{"token without id", Entry{Kind: Token, Expires: 5000}, false},
		{"token without expiry", token("a", 0), false},
		{"token that expires before 1970", token("a", -1), false},
		{"token that expires beyond a slot", token("a", maxExpires), false},
		{"client", Entry{Kind: Client, Issuer: "local", Name: "c"}, true},
		{"client without name", Entry{Kind: Client, Issuer: "local"}, false},
		{"client without issuer", Entry{Kind: Client, Name: "c"}, false},
		{"client with a long name", Entry{Kind: Client, Issuer: "local", Name: long}, false},
		{"key", Entry{Kind: Key, Issuer: "local", Name: "k"}, true},
		{"key without name", Entry{Kind: Key, Issuer: "local"}, false},
		{"all", Entry{Kind: All, Issuer: "local"}, true},
		{"all with name", Entry{Kind: All, Issuer: "local", Name: "c"}, false},
		{"all without issuer", Entry{Kind: All}, false},
		{"all of a long issuer", Entry{Kind: All, Issuer: long}, false},
	} {
		if err := tt.e.check(); (err == nil) != tt.ok {
			t.Errorf("%s: check = %v, wanted ok %v", tt.name, err, tt.ok)
		}
	}
}

func TestStreamID(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "-", "1", "1-", "-1", "a-b", "1-2-3", "18446744073709551616-0"} {
		if got, ok := parseStreamID(s); ok {
			t.Errorf("parseStreamID(%q) = %v, wanted none", s, got)
		}
	}
	order := []string{"0-0", "0-1", "9-0", "10-0", "10-2", "10-10"}
	for i, a := range order {
		for j, b := range order {
			x, okX := parseStreamID(a)
			y, okY := parseStreamID(b)
			if !okX || !okY || x.String() != a || (x.compare(y) < 0) != (i < j) || (x.compare(y) == 0) != (i == j) {
				t.Errorf("%s against %s: %d", a, b, x.compare(y))
			}
		}
	}
}
