package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// scalar is a scalar's text after expansion, and the type that text has: a plain scalar's is found anew, a quoted
// one's stays text. ok is false where something else stands there or expansion failed, which has been reported.
func (r *reader) scalar(n node, wanted string) (text, tag string, ok bool) {
	if !r.expect(n, yaml.ScalarNode, wanted) {
		return "", "", false
	}
	text, err := expand(n.Value, r.getenv)
	if err != nil {
		r.fail(n, "%v", err)
		return "", "", false
	}
	typed := yaml.Node{Kind: yaml.ScalarNode, Style: n.Style, Value: text}
	return text, typed.ShortTag(), true
}

// wrong reports a scalar that is not what was wanted.
func (r *reader) wrong(n node, wanted, fix string) {
	if fix != "" {
		fix = " — " + fix
	}
	r.fail(n, "expected %s, got %s%s", wanted, r.got(n), fix)
}

// textIs is a string for which check, where given, returns no error.
func textIs(kind string, check func(string) error) form[string] {
	return parsed(kind, func(s string) (string, error) {
		if check == nil {
			return s, nil
		}
		return s, check(s)
	})
}

// parsed is a string that parse turns into a V. The error says what was wanted.
func parsed[V any](kind string, parse func(string) (V, error)) form[V] {
	return form[V]{shape{kind: kind}, func(r *reader, n node) (v V, ok bool) {
		s, tag, ok := r.scalar(n, "a "+kind)
		if !ok {
			return v, false
		}
		switch {
		case tag == "!!null":
			r.fail(n, "has no value — write one, or remove the key")
			return v, false
		case tag != "!!str" && tag != "!!timestamp":
			hint := fmt.Sprintf("quote it: %q", clipText(n.Value))
			if kind == "host:port" {
				hint = fmt.Sprintf("write \":%s\"", clipText(n.Value))
			}
			r.wrong(n, "a "+kind, hint)
			return v, false
		}
		v, err := parse(s)
		switch {
		case err != nil && s != n.Value:
			// What the environment holds may be a secret in the wrong place, so it is not repeated.
			r.fail(n, "%s does not stand for a valid %s here", clipText(n.Value), kind)
		case err != nil:
			r.fail(n, "%v", err)
		}
		return v, err == nil
	}}
}

var (
	anyText = textIs("text", nil)
	aText   = textIs("text", notEmpty).like(".")
	// aNote is for people: numbers and dates need no quotes.
	aNote = form[string]{shape{kind: "note"}, func(r *reader, n node) (string, bool) {
		s, _, ok := r.scalar(n, "a text")
		return s, ok
	}}
	aFile = textIs("file name", notEmpty).like(".")
)

func notEmpty(s string) error {
	if s == "" {
		return errors.New("is empty — write a value, or remove the key")
	}
	return nil
}

// word is one of a few words.
func word(words []string) form[string] {
	f := textIs("word", func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		hint := wordHint(s, words)
		if hint == "" {
			hint = " — write " + strings.Join(words, " or ")
		}
		return fmt.Errorf("%q is not allowed here%s", clipText(s), hint)
	})
	f.shape.words = words
	return f
}

var aBool = form[bool]{shape{kind: "true or false"}, func(r *reader, n node) (bool, bool) {
	s, tag, ok := r.scalar(n, "true or false")
	if ok && (tag != "!!bool" || s != "true" && s != "false") {
		fix := ""
		if s == n.Value { // what the environment holds is not told
			fix = boolMeant[strings.ToLower(s)]
		}
		r.wrong(n, "true or false", fix)
		ok = false
	}
	return s == "true", ok
}}

// boolMeant is what to write for what others take for true and false.
var boolMeant = map[string]string{"yes": "write true", "on": "write true", "1": "write true", "true": "write true",
	"no": "write false", "off": "write false", "0": "write false", "false": "write false"}

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)

// whole is a whole number between least and most, in decimal digits.
func whole(least, most int64) form[int64] {
	wanted := fmt.Sprintf("a whole number from %d to %d", least, most)
	return form[int64]{shape{kind: "whole number", least: least, most: most}, func(r *reader, n node) (int64, bool) {
		s, tag, ok := r.scalar(n, "a whole number")
		if !ok {
			return 0, false
		}
		v, err := strconv.ParseInt(s, 10, 64)
		switch {
		case tag == "!!str" && decimal.MatchString(s):
			r.wrong(n, "a whole number", "remove the quotes")
			return 0, false
		case tag != "!!int" || !decimal.MatchString(s):
			r.wrong(n, wholeWanted(n, s, wanted), wholeHint(n.Value))
			return 0, false
		case err != nil || v < least || v > most:
			r.wrong(n, wanted, "")
			return 0, false
		}
		return v, true
	}}
}

// wholeWanted says more where the number is out of bounds than where it is none.
func wholeWanted(n node, s, bounds string) string {
	if s == n.Value && strings.HasPrefix(s, "-") {
		return bounds
	}
	return "a whole number"
}

// aDuration is one of Go's durations, with a unit and above 0.
var aDuration = durationOf(1, math.MaxInt64)

// durationOf is a duration from least to most.
func durationOf(least, most time.Duration) form[time.Duration] {
	return form[time.Duration]{shape{kind: "duration", least: int64(least), most: int64(most)}, func(r *reader, n node) (time.Duration, bool) {
		s, tag, ok := r.scalar(n, "a duration")
		if !ok {
			return 0, false
		}
		d, err := time.ParseDuration(s)
		switch {
		case tag == "!!int" && strings.Trim(n.Value, "0") == "":
			r.wrong(n, "a duration above 0", "")
			return 0, false
		case tag == "!!int":
			r.wrong(n, "a duration", "add a unit: "+clipText(n.Value)+"s")
			return 0, false
		case tag != "!!str" || err != nil:
			r.wrong(n, "a duration", durationHint(n.Value))
			return 0, false
		case d <= 0:
			r.wrong(n, "a duration above 0", "")
			return 0, false
		case d < least:
			r.wrong(n, "a duration of at least "+short(least), "")
			return 0, false
		case d > most:
			r.wrong(n, "a duration of at most "+short(most), "")
			return 0, false
		}
		return d, true
	}}
}

// short is a duration without its zero parts: 24h, not 24h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var sizeText = regexp.MustCompile(`^([1-9][0-9]*)(KiB|MiB|GiB)?$`)

// size is a number of bytes from least to most: a whole number, or one with KiB, MiB or GiB.
func size(least, most int64) form[int64] {
	return form[int64]{shape{kind: "size", least: least, most: most}, func(r *reader, n node) (int64, bool) {
		s, _, ok := r.scalar(n, "a size")
		if !ok {
			return 0, false
		}
		m := sizeText.FindStringSubmatch(s)
		if m == nil {
			r.wrong(n, "a size", sizeHint(n.Value))
			return 0, false
		}
		unit := map[string]int64{"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[m[2]]
		v, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || v > most/unit || v*unit < least {
			r.wrong(n, fmt.Sprintf("a size from %s to %s", bytesText(least), bytesText(most)), "")
			return 0, false
		}
		return v * unit, true
	}}
}

func bytesText(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
