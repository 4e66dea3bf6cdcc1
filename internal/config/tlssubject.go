package config

import (
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"

	"gatehouse/internal/dn"
)

// The methods in which a client shows a certificate (RFC 8705 section 2).
const (
	tlsClientAuth  = "tls_client_auth"
	selfSignedAuth = "self_signed_tls_client_auth"
)

// TLSSubject is what a client's certificate must name, in one of the ways of RFC 8705 section 2.1.2. The zero value names nothing.
type TLSSubject struct {
	Kind string // dn, san_dns, san_uri, san_ip or san_email; "": none
	// Value is in the form in which it is compared: a dn as package dn writes it, a name of DNS in lower case, an address as netip
	// writes it, and all else as it stands in the file.
	Value string
}

type rawTLSSubject struct{ dn, dns, uri, ip, email val[string] }

var tlsSubjectForm = object(
	is("dn", parsed("distinguished name", dn.Parse), func(s *rawTLSSubject) *val[string] { return &s.dn }).
		says("The whole subject, as RFC 4514 writes it: openssl x509 -noout -subject -nameopt RFC2253.").such(`"CN=billing,O=Example"`),
	is("san_dns", parsed("host name", readSubjectDNS).like("^[^/ *]+$"), func(s *rawTLSSubject) *val[string] { return &s.dns }).
		says("A name of DNS among the certificate's alternative names; wildcards stand for nothing.").such("billing.internal"),
	is("san_uri", parsed("URI", readSubjectURI), func(s *rawTLSSubject) *val[string] { return &s.uri }).
		says("A URI among them, byte for byte.").such("spiffe://example.com/billing"),
	is("san_ip", parsed("address", readSubjectIP), func(s *rawTLSSubject) *val[string] { return &s.ip }).
		says("An IP address among them.").such("192.0.2.7"),
	is("san_email", parsed("email address", readSubjectEmail), func(s *rawTLSSubject) *val[string] { return &s.email }).
		says("An email address among them, byte for byte.").such("billing@example.com"),
).oneOf("dn", "san_dns", "san_uri", "san_ip", "san_email")

func readSubjectDNS(s string) (string, error) {
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return "", fmt.Errorf("%q is an address, which certificates do not name as a host — write san_ip", clipText(s))
	}
	if !isHost(s) {
		return "", fmt.Errorf("%q is not a name of DNS — write one as the certificate has it, without a wildcard and a dot at its end", clipText(s))
	}
	return strings.ToLower(s), nil
}

func readSubjectURI(s string) (string, error) {
	if u, err := url.Parse(s); err != nil || !u.IsAbs() {
		return "", fmt.Errorf("%q is not an absolute URI — write one such as spiffe://example.com/billing", clipText(s))
	}
	return s, nil
}

func readSubjectIP(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return "", fmt.Errorf("%q is not an IP address", clipText(s))
	}
	return a.Unmap().String(), nil
}

func readSubjectEmail(s string) (string, error) {
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
		return "", fmt.Errorf("%q is not an email address", clipText(s))
	}
	return s, nil
}

// subject is the one that is set.
func (s *rawTLSSubject) subject() TLSSubject {
	for kind, x := range map[string]val[string]{"dn": s.dn, "san_dns": s.dns, "san_uri": s.uri, "san_ip": s.ip, "san_email": s.email} {
		if x.set {
			return TLSSubject{kind, x.v}
		}
	}
	return TLSSubject{}
}

// buildTLSSubject finds what is missing for a client to authenticate by a certificate.
func (r *reader) buildTLSSubject(c *Config, e entry[*rawClient]) (out TLSSubject) {
	raw := e.v
	if raw.tlsSubject.v != nil {
		one := 0
		for _, x := range []val[string]{raw.tlsSubject.v.dn, raw.tlsSubject.v.dns, raw.tlsSubject.v.uri, raw.tlsSubject.v.ip, raw.tlsSubject.v.email} {
			if x.present() {
				one++
			}
		}
		if one != 1 {
			r.fail(raw.tlsSubject.at, "expected exactly one of dn, san_dns, san_uri, san_ip and san_email")
		}
		out = raw.tlsSubject.v.subject()
	}
	switch auth := raw.auth; {
	case auth.v == tlsClientAuth && !raw.tlsSubject.present():
		r.fail(auth.at, "any certificate of server.tls.client_ca_file would do — add tls_subject, such as tls_subject: {san_dns: %s.internal}", clipText(e.name))
	case auth.v == tlsClientAuth && (c.Server.TLS == nil || c.Server.TLS.ClientCAs == nil):
		r.fail(auth.at, "needs server.tls.client_ca_file in config.yaml, which says who signs the certificates of clients")
	case auth.v == selfSignedAuth && c.Server.TLS == nil:
		r.fail(auth.at, "needs server.tls in config.yaml: certificates are shown by TLS")
	case auth.v != tlsClientAuth && raw.tlsSubject.present():
		r.warn(raw.tlsSubject.at, "has no effect without auth: tls_client_auth")
	}
	return out
}
