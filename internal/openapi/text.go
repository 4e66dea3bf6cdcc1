package openapi

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable is text of the document on one line, for a comment or a terminal: what does not print is a space, many spaces
// are one, and what is longer than most characters is cut.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return s
}

// Description is the first words of a scope's description on one line.
func (d *Document) Description(scope string) string { return printable(d.Scopes[scope], 200) }

// PlainTitle is the title on one line.
func (d *Document) PlainTitle() string { return printable(d.Title, 80) }
