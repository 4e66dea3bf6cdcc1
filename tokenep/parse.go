package tokenep

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"unicode/utf8"
)

// parseForm reads an application/x-www-form-urlencoded body.
func parseForm(body []byte) (form, *refusal) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return form{}, refuse(invalidRequest, "the body is not well-formed application/x-www-form-urlencoded")
	}
	f := form{values: make(map[string]string, len(values))}
	for name, list := range values {
		if name == "resource" {
			f.resources = slices.DeleteFunc(list, func(s string) bool { return s == "" })
			continue
		}
		if len(list) > 1 {
			return form{}, repeated(name)
		}
		f.set(name, list[0])
	}
	return f, nil
}

// parseJSON reads a body that is one JSON object whose members are all strings.
func parseJSON(body []byte) (form, *refusal) {
	wrong := refuse(invalidRequest, "the body must be one JSON object whose members are all strings")
	if !utf8.Valid(body) || !json.Valid(body) {
		return form{}, wrong
	}
	f := form{values: map[string]string{}}
	seen := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, _ := d.Token(); t != json.Delim('{') {
		return form{}, wrong
	}
	for d.More() {
		name, _ := d.Token()
		value, _ := d.Token()
		key, text, ok := member(name, value)
		if !ok {
			return form{}, wrong
		}
		if seen[key] {
			return form{}, repeated(key)
		}
		seen[key] = true
		if key == "resource" && text != "" {
			f.resources = []string{text}
			continue
		}
		f.set(key, text)
	}
	return f, nil
}

func member(name, value json.Token) (key, text string, ok bool) {
	key, ok = name.(string)
	text, isText := value.(string)
	return key, text, ok && isText
}

func (f form) set(name, value string) {
	if value != "" {
		f.values[name] = value
	}
}

func repeated(name string) *refusal {
	if slices.Contains(known, name) {
		return refuse(invalidRequest, name+" is given more than once")
	}
	return refuse(invalidRequest, "a parameter is given more than once")
}
