package config

import (
	"fmt"
	"strings"
)

// expand replaces ${NAME} and ${NAME:-default} in the text of one scalar. A variable that is set but empty counts as
// unset. $$ is one $, and a $ before anything else is itself. What a variable holds is never expanded again.
func expand(text string, getenv func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		text = rest
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			text = rest[1:]
		case strings.HasPrefix(rest, "{"):
			v, after, err := variable(rest[1:], getenv)
			if err != nil {
				return "", err
			}
			b.WriteString(v)
			text = after
		default:
			b.WriteByte('$')
		}
	}
}

// variable reads NAME} or NAME:-default} from the start of s.
func variable(s string, getenv func(string) (string, bool)) (value, after string, err error) {
	body, after, closed := strings.Cut(s, "}")
	name, fallback, hasFallback := strings.Cut(body, ":-")
	if !closed || !isVariable(name) {
		return "", "", fmt.Errorf("%q is not a variable — write ${NAME} or ${NAME:-default}, or $${ for the text", "${"+clipText(body))
	}
	if strings.Contains(fallback, "${") {
		return "", "", fmt.Errorf("the default of ${%s} holds another variable — a default is plain text", name)
	}
	if v, _ := getenv(name); v != "" {
		return v, after, nil
	}
	if !hasFallback {
		return "", "", fmt.Errorf("environment variable %s is not set — set it, or write ${%s:-default}", name, name)
	}
	return strings.ReplaceAll(fallback, "$$", "$"), after, nil
}

func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// clipText shortens text for a message.
func clipText(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
