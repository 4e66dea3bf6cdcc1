package dn

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

var errForm = errors.New("expected a distinguished name as in RFC 4514 — such as CN=billing,O=Example; openssl x509 -noout -subject -nameopt RFC2253 prints it")

// kinds are the types by their names in capitals.
var kinds = func() map[string]string {
	m := map[string]string{"E": "1.2.840.113549.1.9.1", "GIVENNAME": "2.5.4.42", "SURNAME": "2.5.4.4", "S": "2.5.4.8"}
	for oid, name := range names {
		m[name] = oid
	}
	return m
}()

var dotted = regexp.MustCompile(`^[0-2](\.(0|[1-9][0-9]{0,18}))+$`)

// Parse reads a name as RFC 4514 has it, with its most special part first. Spaces around its separators count for nothing.
func Parse(text string) (string, error) {
	p := parser{in: text}
	var parts [][]attribute
	for {
		var part []attribute
		for {
			a, err := p.attribute()
			if err != nil {
				return "", err
			}
			part = append(part, a)
			if !p.take('+') {
				break
			}
		}
		parts = append(parts, part)
		if !p.take(',') {
			break
		}
	}
	if p.in != "" {
		return "", fmt.Errorf(`write \%c for the %[1]c in a value, as RFC 4514 has it`, p.in[0])
	}
	return join(parts), nil
}

// parser holds what is left to read.
type parser struct{ in string }

func (p *parser) take(c byte) bool {
	if p.in == "" || p.in[0] != c {
		return false
	}
	p.in = p.in[1:]
	return true
}

func (p *parser) attribute() (a attribute, err error) {
	name, rest, found := strings.Cut(p.in, "=")
	name = strings.ToUpper(strings.Trim(name, " "))
	name = strings.TrimPrefix(name, "OID.")
	if !found || name == "" || strings.ContainsAny(name, special+"/") {
		return a, errForm
	}
	oid := kinds[name]
	if oid == "" {
		oid = name
		if !dotted.MatchString(oid) {
			return a, fmt.Errorf("%.40q is not a type of attribute that has a name here — write its number, such as 2.5.4.3 for CN", name)
		}
	}
	p.in = strings.TrimLeft(rest, " ")
	a.kind = kindOf(oid)
	a.value, err = p.value()
	return a, err
}

// value reads up to a separator, or to whatever else has no place in a value.
func (p *parser) value() (string, error) {
	if strings.HasPrefix(p.in, "#") {
		return p.encoded()
	}
	var out []byte
	kept := 0 // so much of out does not end in spaces without a backslash
	for p.in != "" && strings.IndexByte(`,+"<>;`, p.in[0]) < 0 {
		c := p.in[0]
		p.in = p.in[1:]
		if c == '\\' {
			b, err := p.escaped()
			if err != nil {
				return "", err
			}
			out = append(out, b)
			kept = len(out)
			continue
		}
		if out = append(out, c); c != ' ' {
			kept = len(out)
		}
	}
	switch s := string(out[:kept]); {
	case s == "":
		return "", errForm
	case !utf8.ValidString(s):
		return "", errors.New("a value is not UTF-8")
	default:
		return escape(s), nil
	}
}

// escaped is what a backslash stands before: a byte in two hex digits, or a special character.
func (p *parser) escaped() (byte, error) {
	if len(p.in) >= 2 {
		if b, err := hex.DecodeString(p.in[:2]); err == nil {
			p.in = p.in[2:]
			return b[0], nil
		}
	}
	if p.in == "" || strings.IndexByte(special+" #=", p.in[0]) < 0 {
		return 0, errors.New(`a backslash stands before one of , + " \ < > ; # = and space, or before two hex digits`)
	}
	c := p.in[0]
	p.in = p.in[1:]
	return c, nil
}

// encoded is a value in hex, which may be of a string all the same.
func (p *parser) encoded() (string, error) {
	end := strings.IndexAny(p.in, ",+")
	if end < 0 {
		end = len(p.in)
	}
	der, err := hex.DecodeString(strings.TrimRight(p.in[1:end], " "))
	var raw asn1.RawValue
	if rest, bad := asn1.Unmarshal(der, &raw); err != nil || bad != nil || len(rest) > 0 {
		return "", errors.New(`a value that begins with # is DER in hex — write \# for the character`)
	}
	p.in = p.in[end:]
	return valueOf(der), nil
}
