package config

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// bounds is the range of a value, as a sentence; "" where every value of the kind is good.
func (s shape) bounds() string {
	from, to := "", ""
	switch s.kind {
	case "whole number":
		from, to = fmt.Sprint(s.least), fmt.Sprint(s.most)
		if s.least == s.most {
			return "It is " + from + "."
		}
	case "size":
		from = bytesText(s.least)
		if s.most < math.MaxInt64 {
			to = bytesText(s.most)
		}
	case "duration":
		if s.least > 1 {
			from = short(time.Duration(s.least))
		}
		if s.most < math.MaxInt64 {
			to = short(time.Duration(s.most))
		}
	}
	switch {
	case from != "" && to != "":
		return "From " + from + " to " + to + "."
	case from != "":
		return "At least " + from + "."
	case to != "":
		return "At most " + to + "."
	}
	return ""
}

// what is the kind of a value, for people: "duration", "enforce | observe", "list of scopes".
func (s shape) what() string {
	switch s.kind {
	case "object":
		return "section"
	case "map":
		return "map to " + s.elem.what()
	case "text or list":
		return s.elem.what() + " or list"
	case "list or object":
		return "list of " + s.elem.what() + ", or section"
	case "list":
		text := "list of " + s.elem.what()
		if s.alone {
			text = s.elem.what() + ", or " + text
		}
		return text
	case "word":
		text := strings.Join(s.words, " | ")
		if s.pattern != "" {
			text += " | " + strings.Trim(s.pattern, "^.") + "NAME"
		}
		return text
	case "true or false":
		return "true | false"
	case "note":
		return "text"
	}
	return s.kind
}
