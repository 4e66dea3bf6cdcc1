package secret

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Ensure that what the reference implementation made verifies: the vector is one of its own tests.
func TestArgon2idOfOthers(t *testing.T) {
	t.Parallel()
	a, err := ParseArgon2id("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil {
		t.Fatal(err)
	}
	if !a.Matches("password") || a.Matches("Password") {
		t.Error("the password of the vector does not verify, or another does")
	}
}

func TestArgon2id(t *testing.T) {
	t.Parallel()
	phc, err := HashArgon2id("correct horse", Argon2idCost{Memory: 64, Time: 2, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	again, _ := HashArgon2id("correct horse", Argon2idCost{Memory: 64, Time: 2, Threads: 2})
	if phc == again {
		t.Error("two hashes share a salt")
	}
	a, err := ParseArgon2id(phc)
	if err != nil {
		t.Fatalf("ParseArgon2id(%q): %v", phc, err)
	}
	if a.Cost() != (Argon2idCost{64, 2, 2}) {
		t.Errorf("cost %+v", a.Cost())
	}
	for guess, want := range map[string]bool{"correct horse": true, "": false, "correct horsf": false, "correct horse ": false,
		"correct horse" + strings.Repeat("x", 100): false, "CORRECT HORSE": false} {
		if got := a.Matches(guess); got != want {
			t.Errorf("Matches(%q) = %v", guess, got)
		}
	}
	if DummyArgon2id(a.Cost()).Matches("correct horse") {
		t.Error("the dummy matches")
	}
}

func TestArgon2idBounds(t *testing.T) {
	t.Parallel()
	const tail = "$c29tZXNhbHQxMjM0$kqxGMtLEGvJCvSrzf1mUWpPM0mvyEhI3"
	const head = "$argon2id$v=19$"
	for phc, want := range map[string]string{
		head + "m=19456,t=2,p=1" + tail:                               "",
		head + "m=65536,t=4,p=1" + tail:                               "",
		head + "m=102400,t=2,p=8" + tail:                              "",
		head + "m=131072,t=4,p=1" + tail:                              "",
		head + "m=131073,t=1,p=1" + tail:                              "m=131073",
		head + "m=99999999,t=1,p=1" + tail:                            "m=99999999",
		head + "m=131072,t=5,p=1" + tail:                              "product",
		head + "m=64,t=17,p=1" + tail:                                 "t=17",
		head + "m=64,t=0,p=1" + tail:                                  "t=0",
		head + "m=7,t=1,p=1" + tail:                                   "m=7",
		head + "m=8,t=1,p=0" + tail:                                   "p=0",
		head + "m=4096,t=1,p=17" + tail:                               "p=17",
		head + "m=4096,t=1,p=256" + tail:                              "p=255",
		head + "m=64,t=1" + tail:                                      "expected $argon2id",
		head + "m=64,t=1,p=1,keyid=x" + tail:                          "expected $argon2id",
		head + "t=1,m=64,p=1" + tail:                                  "expected $argon2id",
		head + "m=-64,t=1,p=1" + tail:                                 "expected $argon2id",
		"$argon2id$v=16$m=64,t=1,p=1" + tail:                          "expected $argon2id",
		"$argon2id$m=64,t=1,p=1" + tail:                               "expected $argon2id",
		"$argon2i$v=19$m=64,t=1,p=1" + tail:                           "expected $argon2id",
		head + "m=64,t=1,p=1$c2FsdA$kqxGMtLEGvJCvSrzf1mUWpPM0mvyEhI3": "salt has 4 bytes",
		head + "m=64,t=1,p=1$c29tZXNhbHQxMjM0$kqxGMtLE":               "hash has 6 bytes",
		head + "m=64,t=1,p=1$c29tZXNhbHQxMjM1Z$kqxGMtLEGvJCvSrz":      "salt is not base64",
		head + "m=64,t=1,p=1$c29tZXNhbHQxMjM0==$kqxGMtLEGvJCvSrz":     "expected $argon2id",
		"hunter2": "expected $argon2id",
		"":        "expected $argon2id",
	} {
		a, err := ParseArgon2id(phc)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", phc, err)
			}
			continue
		}
		if err == nil || a != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", phc, err, want)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "kqxG") {
			t.Errorf("the error %q holds what was given", err)
		}
	}
}

func TestArgon2idNeverPrints(t *testing.T) {
	t.Parallel()
	a := DummyArgon2id(Argon2idCost{64, 1, 1})
	doc, err := json.Marshal(map[string]any{"a": a})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprint(a), fmt.Sprintf("%v %+v %#v %x %s", a, a, a, a, a), string(doc), a.LogValue().String(), fmt.Sprintf("%+v", struct{ H *Argon2id }{a})} {
		if rest := strings.ReplaceAll(got, redacted, ""); strings.Trim(rest, ` {}":aH`) != "" {
			t.Errorf("it prints as %q", got)
		}
	}
}
