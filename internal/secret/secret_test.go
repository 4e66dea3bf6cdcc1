package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := New()
		if !Whole(s) {
			t.Fatalf("New() = %q, which Whole refuses", s)
		}
		if len(s) != len("gatecs_")+43+1+6 {
			t.Fatalf("len(%q) = %d", s, len(s))
		}
		if seen[s] {
			t.Fatalf("New() repeated %q", s)
		}
		seen[s] = true
	}
}

func TestWholeRefuses(t *testing.T) {
	s := New()
	flipped := []byte(s)
	flipped[10] = map[bool]byte{true: 'b', false: 'a'}[flipped[10] == 'a']
	for name, bad := range map[string]string{
		"empty":            "",
		"prefix alone":     "gatecs_",
		"one short":        s[:len(s)-1],
		"one long":         s + "0",
		"other prefix":     strings.Replace(s, "gatecs_", "gatead_", 1),
		"mistyped":         string(flipped),
		"outside alphabet": strings.Replace(s, s[7:8], "-", 1),
	} {
		if Whole(bad) {
			t.Errorf("%s: Whole(%q) = true", name, bad)
		}
	}
}

// Ensure the checksum is the one that the documentation names, so that other tools can check secrets too.
func TestChecksumVector(t *testing.T) {
	body := strings.Repeat("0", 42) + "A"
	if got, want := checksum(body), "1kCDdV"; got != want {
		t.Errorf("checksum(%q) = %q, want %q", body, got, want)
	}
}

func TestTextReveals(t *testing.T) {
	if v := Hide("x"); v.Reveal() != "x" || v.Empty() || !reflect.DeepEqual(v, Hide("x")) || reflect.DeepEqual(v, Hide("y")) {
		t.Error("a Text is not what was hidden in it")
	}
	if v := Hide(""); v != (Text{}) || v.Reveal() != "" || !v.Empty() {
		t.Error("an empty Text is not the zero one")
	}
}

func TestTextNeverPrints(t *testing.T) {
	const plain = "hunter2-canary"
	v := Hide(plain)
	unsuited := strings.Join([]string{"%s", "%q", "%x", "%v"}, " ") // as people write them by mistake; go vet does not see it here
	nested := struct{ P *struct{ S Text } }{&struct{ S Text }{v}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v, "in", struct{ S Text }{v})
	j, err := json.Marshal(map[string]any{"v": v})
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{fmt.Sprint(v), fmt.Sprintf("%s %q %v %+v %#v %x %d", v, v, v, v, v, v, v),
		fmt.Sprintf("%+v %#v", struct{ S Text }{v}, struct{ S Text }{v}), fmt.Sprintf(unsuited, nested, nested, nested, nested), string(j), log.String()} {
		if strings.Contains(out, plain) || strings.Contains(out, fmt.Sprintf("%x", plain)) {
			t.Errorf("the secret is in %q", out)
		}
	}
}
