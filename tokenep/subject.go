package tokenep

import (
	"crypto/x509"
	"encoding/asn1"
	"net"
	"net/netip"
	"slices"
	"strings"

	"gatehouse/internal/dn"
)

// Subject is what the certificate of a client must name (RFC 8705 §2.1.2). The zero value is named by none.
type Subject struct {
	Kind  string // dn, san_dns, san_uri, san_ip or san_email
	Value string // a dn as package dn writes it, a name of DNS in lower case, an address as netip writes it
}

// namedBy reports whether the certificate names s. Wildcards in it stand for nothing.
func (s Subject) namedBy(c *x509.Certificate) bool {
	if s.Value == "" {
		return false
	}
	switch s.Kind {
	case "dn":
		name, err := dn.OfCertificate(c.RawSubject)
		return err == nil && name == s.Value
	case "san_dns":
		return slices.ContainsFunc(c.DNSNames, func(n string) bool { return strings.EqualFold(strings.TrimSuffix(n, "."), s.Value) })
	case "san_email":
		return slices.Contains(c.EmailAddresses, s.Value)
	case "san_uri":
		return slices.Contains(urisOf(c), s.Value)
	case "san_ip":
		return slices.ContainsFunc(c.IPAddresses, func(ip net.IP) bool {
			a, ok := netip.AddrFromSlice(ip)
			return ok && a.Unmap().String() == s.Value
		})
	}
	return false
}

var altNames = asn1.ObjectIdentifier{2, 5, 29, 17}

// urisOf are the URIs among the certificate's alternative names, byte for byte: net/url, which c.URIs went through, takes
// "spiffe://a/b#" and "SPIFFE://a/b" for "spiffe://a/b".
func urisOf(c *x509.Certificate) (uris []string) {
	const uri = 6 // the tag of RFC 5280 §4.2.1.6
	for _, e := range c.Extensions {
		var names []asn1.RawValue
		if !e.Id.Equal(altNames) {
			continue
		}
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			return nil
		}
		for _, n := range names {
			if n.Class == asn1.ClassContextSpecific && n.Tag == uri && !n.IsCompound {
				uris = append(uris, string(n.Bytes))
			}
		}
	}
	return uris
}
