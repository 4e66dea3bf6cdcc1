// Package dn brings distinguished names into one form, in which two are equal where their attributes are: from the text that
// people write (RFC 4514), and from a certificate. Values are compared byte for byte, whatever kind of string they are in.
package dn

import (
	"cmp"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// names are the types that have a name: those of RFC 4514 section 3, and those that OpenSSL writes.
var names = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "EMAILADDRESS",
	"2.5.4.4": "SN", "2.5.4.5": "SERIALNUMBER", "2.5.4.12": "TITLE", "2.5.4.13": "DESCRIPTION", "2.5.4.15": "BUSINESSCATEGORY",
	"2.5.4.17": "POSTALCODE", "2.5.4.41": "NAME", "2.5.4.42": "GN", "2.5.4.43": "INITIALS", "2.5.4.44": "GENERATIONQUALIFIER",
	"2.5.4.46": "DNQUALIFIER", "2.5.4.65": "PSEUDONYM", "2.5.4.97": "ORGANIZATIONIDENTIFIER",
}

// attribute is one of a name's. Its type is a name of names, or else a dotted number; its value is escaped, or #hex where it is
// no string.
type attribute struct{ kind, value string }

// join writes a name, its most special part first, with the attributes of a part in an order of their own: a set has none.
func join(parts [][]attribute) string {
	var out []string
	for _, part := range parts {
		var set []string
		for _, a := range part {
			set = append(set, a.kind+"="+a.value)
		}
		slices.Sort(set)
		out = append(out, strings.Join(set, "+"))
	}
	return strings.Join(out, ",")
}

type rawAttribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type rawSET []rawAttribute // encoding/asn1 knows a set by these last three letters

// OfCertificate is the name in the DER of a certificate's subject. The error is of a name without attributes, too.
func OfCertificate(subject []byte) (string, error) {
	var raw []rawSET
	if rest, err := asn1.Unmarshal(subject, &raw); err != nil || len(rest) > 0 {
		return "", errors.New("the subject is no distinguished name")
	}
	var parts [][]attribute
	for _, set := range slices.Backward(raw) {
		var part []attribute
		for _, a := range set {
			part = append(part, attribute{kindOf(a.Type.String()), valueOf(a.Value.FullBytes)})
		}
		if part == nil {
			return "", errors.New("the subject has a part without attributes")
		}
		parts = append(parts, part)
	}
	if parts == nil {
		return "", errors.New("the subject is empty")
	}
	return join(parts), nil
}

func kindOf(oid string) string { return cmp.Or(names[oid], oid) }

// valueOf is the value of an attribute by its DER.
func valueOf(der []byte) string {
	var s string
	if rest, err := asn1.Unmarshal(der, &s); err == nil && len(rest) == 0 && utf8.ValidString(s) {
		return escape(s)
	}
	const digits = "0123456789abcdef"
	out := []byte{'#'}
	for _, b := range der {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}

// special has the characters that stand for themselves only behind a backslash, wherever they are.
const special = `,+"\<>;`

// escape writes a string so that it can be read back (RFC 4514 section 2.4).
func escape(s string) string {
	var out strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c < ' ' || c == 0x7f:
			const digits = "0123456789ABCDEF"
			out.WriteByte('\\')
			out.WriteByte(digits[c>>4])
			c = digits[c&15]
		case strings.IndexByte(special, c) >= 0, c == ' ' && (i == 0 || i == len(s)-1), c == '#' && i == 0:
			out.WriteByte('\\')
		}
		out.WriteByte(c)
	}
	return out.String()
}
