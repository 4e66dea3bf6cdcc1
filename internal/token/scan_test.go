package token

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestScanObject(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	many := func(n int) string {
		var names []string
		for i := range n {
			names = append(names, `"`+strings.Repeat("n", i+1)+`":1`)
		}
		return "{" + strings.Join(names, ",") + "}"
	}
	array := func(n int) string { return `{"a":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]}` }
	for _, c := range []struct {
		name, doc string
		ok        bool
	}{
		{"empty object", `{}`, true},
		{"every type", `{"s":"x","n":-1.5e+3,"t":true,"f":false,"z":null,"a":[1,"x",[],{}],"o":{"s":1}}`, true},
		{"space everywhere", " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n", true},
		{"escapes", `{"a":"\"\\\/\b\f\n\r\té😀"}`, true},
		{"the same name on two levels", `{"a":{"a":{"a":1}}}`, true},
		{"names that differ in case", `{"exp":1,"Exp":2}`, true},
		{"empty name", `{"":1}`, true},
		{"huge exponent", `{"a":1e999999999}`, true},
		{"many digits", `{"a":` + strings.Repeat("9", 4000) + `}`, true},
		{"8 deep", nested(8), true},
		{"64 members", many(64), true},
		{"256 elements", array(256), true},

		{"nothing", ``, false},
		{"space", `  `, false},
		{"array", `[]`, false},
		{"string", `"x"`, false},
		{"number", `1`, false},
		{"null", `null`, false},
		{"byte order mark", "\ufeff{}", false},
		{"something after", `{}x`, false},
		{"a second object", `{}{}`, false},
		{"NUL after", "{}\x00", false},
		{"unfinished", `{`, false},
		{"unfinished name", `{"a`, false},
		{"no colon", `{"a"}`, false},
		{"no value", `{"a":}`, false},
		{"no comma", `{"a":1 "b":2}`, false},
		{"trailing comma", `{"a":1,}`, false},
		{"trailing comma in an array", `{"a":[1,]}`, false},
		{"leading comma", `{,"a":1}`, false},
		{"name without quotes", `{a:1}`, false},
		{"single quotes", `{'a':1}`, false},
		{"number as name", `{1:1}`, false},
		{"comment", `{/**/}`, false},
		{"crossed brackets", `{"a":[1}]`, false},
		{"capital literal", `{"a":True}`, false},
		{"cut literal", `{"a":nul}`, false},
		{"long literal", `{"a":nulls}`, false},
		{"NaN", `{"a":NaN}`, false},
		{"leading zero", `{"a":01}`, false},
		{"negative leading zero", `{"a":-01}`, false},
		{"plus", `{"a":+1}`, false},
		{"minus alone", `{"a":-}`, false},
		{"dot alone", `{"a":1.}`, false},
		{"leading dot", `{"a":.1}`, false},
		{"exponent alone", `{"a":1e}`, false},
		{"exponent sign alone", `{"a":1e+}`, false},
		{"hexadecimal", `{"a":0x1}`, false},
		{"the same name twice", `{"a":1,"a":1}`, false},
		{"the same name by an escape", `{"a":1,"\u0061":1}`, false},
		{"the same name twice inside", `{"a":{"b":1,"b":2}}`, false},
		{"the same name twice in an array", `{"a":[{"b":1,"b":2}]}`, false},
		{"NUL", "{\"a\":\"\x00\"}", false},
		{"NUL by an escape", `{"a":"\u0000"}`, false},
		{"NUL in a name", `{"a\u0000":1}`, false},
		{"newline in a string", "{\"a\":\"\n\"}", false},
		{"newline after an escape", "{\"a\":\"\\t\n\"}", false},
		{"unknown escape", `{"a":"\x"}`, false},
		{"cut escape", `{"a":"\`, false},
		{"cut hex", `{"a":"\u00`, false},
		{"bad hex", `{"a":"\u00g0"}`, false},
		{"high half", `{"a":"\ud83d"}`, false},
		{"low half", `{"a":"\ude00"}`, false},
		{"two high halves", `{"a":"\ud83d\ud83d"}`, false},
		{"high half and a letter", `{"a":"\ud83dx"}`, false},
		{"high half and the end", `{"a":"\ud83d`, false},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", false},
		{"overlong UTF-8", "{\"a\":\"\xc0\x80\"}", false},
		{"surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", false},
		{"9 deep", nested(9), false},
		{"9 deep in arrays", `{"a":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + `}`, false},
		{"65 members", many(65), false},
		{"257 elements", array(257), false},
	} {
		members, err := scanObject(c.doc, nil)
		if (err == nil) != c.ok {
			t.Errorf("%s: scanObject = %v, want ok %v", c.name, err, c.ok)
			continue
		}
		if err == nil {
			agree(t, c.doc, members)
		} else if members != nil {
			t.Errorf("%s: members with an error", c.name)
		}
	}
}

// agree checks members against what encoding/json makes of the same document.
func agree(t *testing.T, doc string, members []member) {
	t.Helper()
	var want map[string]json.RawMessage
	if err := json.Unmarshal([]byte(doc), &want); err != nil {
		t.Fatalf("scanObject takes %q, encoding/json says %v", doc, err)
	}
	got := map[string]string{}
	for _, m := range members {
		got[m.name] = m.value
		if m.kind != text {
			if m.value != string(want[m.name]) {
				t.Fatalf("%q: %q = %q, encoding/json has %q", doc, m.name, m.value, want[m.name])
			}
			continue
		}
		var s string
		if err := json.Unmarshal(want[m.name], &s); err != nil || s != m.value {
			t.Fatalf("%q: %q = %q, encoding/json has %q, %v", doc, m.name, m.value, s, err)
		}
	}
	names := slices.Sorted(maps.Keys(want))
	if !slices.Equal(slices.Sorted(maps.Keys(got)), names) || len(members) != len(names) {
		t.Fatalf("%q: %d members, encoding/json has %q", doc, len(members), names)
	}
}

func FuzzScanObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":"\ud83d\ude00","b":[1,{"c":-0.5e1}]}`, `{"a":1,"\u0061":2}`, `{"a":01}`, "{\"\xff\":1}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		members, err := scanObject(doc, nil)
		if err == nil {
			agree(t, doc, members)
		}
	})
}
