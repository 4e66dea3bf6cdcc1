package dn

import (
	"encoding/asn1"
	"strings"
	"testing"
)

func oid(n ...int) asn1.ObjectIdentifier { return n }

var (
	cn   = oid(2, 5, 4, 3)
	org  = oid(2, 5, 4, 10)
	unit = oid(2, 5, 4, 11)
	dc   = oid(0, 9, 2342, 19200300, 100, 1, 25)
	mail = oid(1, 2, 840, 113549, 1, 9, 1)
)

// str is a value of an attribute, in one of the kinds of string there are.
func str(tag int, s string) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: []byte(s)} }

func utf(s string) asn1.RawValue { return str(asn1.TagUTF8String, s) }

// subject is the DER of a name, in the order of certificates: the most special part last.
func subject(t *testing.T, sets ...rawSET) []byte {
	t.Helper()
	der, err := asn1.Marshal(sets)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func one(o asn1.ObjectIdentifier, v asn1.RawValue) rawSET { return rawSET{{o, v}} }

// TestSame: what people write for a certificate is the name that the certificate has.
func TestSame(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		der  []byte
	}{
		{"CN=billing,O=Example", subject(t, one(org, utf("Example")), one(cn, utf("billing")))},
		{" cn = billing , o = Example ", subject(t, one(org, utf("Example")), one(cn, str(asn1.TagPrintableString, "billing")))},
		{"2.5.4.3=billing", subject(t, one(cn, utf("billing")))},
		{"OID.2.5.4.3=billing", subject(t, one(cn, utf("billing")))},
		{"CN=billing,O=Example Inc.", subject(t, one(org, utf("Example Inc.")), one(cn, utf("billing")))},
		{"O=Example Inc.", subject(t, one(org, utf("Example Inc.")))},
		{`O=Example\, Inc.`, subject(t, one(org, utf("Example, Inc.")))},
		{`O=Example\2C Inc.`, subject(t, one(org, utf("Example, Inc.")))},
		{`O=M\C3\BCller`, subject(t, one(org, utf("Müller")))},
		{"O=Müller", subject(t, one(org, str(asn1.TagBMPString, "\x00M\x00\xfc\x00l\x00l\x00e\x00r")))},
		{`CN=\ a\ ,O=x`, subject(t, one(org, utf("x")), one(cn, utf(" a ")))},
		{`CN=a\00b`, subject(t, one(cn, utf("a\x00b")))},
		{"CN=a=b#c", subject(t, one(cn, utf("a=b#c")))},
		{`CN=\#0401`, subject(t, one(cn, utf("#0401")))},
		{"CN=#0c0161", subject(t, one(cn, utf("a")))},
		{"CN=#020105", subject(t, one(cn, asn1.RawValue{Tag: asn1.TagInteger, Bytes: []byte{5}}))},
		{"DC=corp,DC=example", subject(t, one(dc, str(asn1.TagIA5String, "example")), one(dc, str(asn1.TagIA5String, "corp")))},
		{"emailAddress=a@example.com,CN=a", subject(t, one(cn, utf("a")), one(mail, str(asn1.TagIA5String, "a@example.com")))},
		{"1.2.3.4=x", subject(t, one(oid(1, 2, 3, 4), utf("x")))},
		{"OU=b+CN=a,O=x", subject(t, one(org, utf("x")), rawSET{{cn, utf("a")}, {unit, utf("b")}})},
		{"CN=a+OU=b,O=x", subject(t, one(org, utf("x")), rawSET{{cn, utf("a")}, {unit, utf("b")}})},
	} {
		want, err := OfCertificate(tt.der)
		if err != nil {
			t.Fatalf("%s: %v", tt.text, err)
		}
		got, err := Parse(tt.text)
		if err != nil || got != want {
			t.Errorf("%s is %q, %v; the certificate has %q", tt.text, got, err, want)
		}
		if again, err := Parse(want); err != nil || again != want {
			t.Errorf("%q read back is %q, %v", want, again, err)
		}
	}
}

// TestOther: names of others, which an authority might sign.
func TestOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		der  []byte
	}{
		{"O=Example Inc.", subject(t, one(org, utf("Example Inc")))},
		{"CN=a,O=x", subject(t, one(cn, utf("a,O=x")))},
		{"CN=a,O=x", subject(t, rawSET{{cn, utf("a")}, {org, utf("x")}})},
		{"CN=a,O=x", subject(t, one(cn, utf("a")), one(org, utf("x")))},
		{"CN=a+O=x", subject(t, one(cn, utf("a+O=x")))},
		{`CN=a\ ,O=x`, subject(t, one(cn, utf("a,O=x")))},
		{"CN=a", subject(t, one(cn, utf("A")))},
		{"CN=a", subject(t, one(cn, utf("a\x00")))},
		{"CN=a", subject(t, one(cn, utf("a ")))},
		{"CN=a", subject(t, one(unit, utf("a")))},
		{"CN=a", subject(t, one(cn, utf("a")), one(cn, utf("a")))},
		{"CN=#020105", subject(t, one(cn, utf("5")))},
		{"CN=5", subject(t, one(cn, asn1.RawValue{Tag: asn1.TagInteger, Bytes: []byte{5}}))},
		{"CN=#020105", subject(t, one(cn, utf("#020105")))},
		{`CN=\ufffd`, subject(t, one(cn, str(asn1.TagT61String, "\xff")))},
	} {
		other, err := OfCertificate(tt.der)
		if got, bad := Parse(strings.ReplaceAll(tt.text, `\ufffd`, "\ufffd")); err != nil || bad != nil || got == other {
			t.Errorf("%s is %q, %v, and the certificate of another has %q, %v", tt.text, got, bad, other, err)
		}
	}
}

func TestNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "billing", "/CN=billing/O=Example", "CN=", "CN=a,", ",CN=a", "CN=a+", "=a", `CN="a"`, "CN=a;O=b", "CN=<a>", `CN=a\`, `CN=a\x`,
		`CN=\ff`, "CN=#", "CN=#0c", "CN=#0c0161zz", "CN=#0c016161", "XX=a", "3.1=a", "2.05=a", "C\x00N=a", `C\4e=a`} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is %q, want an error", text, got)
		}
	}
	for name, der := range map[string][]byte{"empty": subject(t), "an empty part": subject(t, rawSET{}), "nothing": nil, "no DER": []byte("CN=a"),
		"more": append(subject(t, one(cn, utf("a"))), 5, 0)} {
		if got, err := OfCertificate(der); err == nil {
			t.Errorf("%s: %q, want an error", name, got)
		}
	}
}

// FuzzParse: what is taken is taken again as it was written, and is the same name then.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"CN=a,O=b", `CN=\ a\2c\ +OU=#0c0161`, "1.2.3=#0500"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := Parse(s)
		if err != nil {
			return
		}
		if twice, err := Parse(once); err != nil || twice != once {
			t.Errorf("%q is %q, and that is %q, %v", s, once, twice, err)
		}
	})
}
