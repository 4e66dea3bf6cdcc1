package ratelimit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
)

// Kind is what a subject is. Kinds never share a bucket. The zero value is ByClient.
type Kind uint8

// The kinds.
const (
	ByClient Kind = iota
	ByIP
	ByRoute
	ByIssuance // a client, as the one that tokens are issued to
	ByClaim    // the value of a claim
)

var kindNames = [...]string{ByClient: "client", ByIP: "ip", ByRoute: "route", ByIssuance: "issuance", ByClaim: "claim"}

// String is the kind as in the configuration, and in the digest that names a bucket.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Subject is whose bucket it is: a client or a claim's value with the issuer's name, an address as AddrSubject gives it, or a
// route.
type Subject struct {
	Kind          Kind
	Issuer, Value string
}

// Charge is a subject with the policies that count it. They are charged all or none.
type Charge struct {
	Subject  Subject
	Policies []*Policy
	// Exact has every check of a fleet ask Redis, so that what it says is left is what the fleet has left. In memory all
	// checks are exact.
	Exact bool
}

// digest tells subjects apart: each part is preceded by its length, so that no two subjects give the same bytes.
func (s *Subject) digest() [sha256.Size]byte {
	var stack [256]byte
	b := stack[:0]
	for _, part := range [...]string{s.Kind.String(), s.Issuer, s.Value} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// tag is 22 characters of a digest, 132 bits, in base64url: no value of a caller's choosing appears in a key.
func tag(digest *[sha256.Size]byte) string {
	return base64.RawURLEncoding.EncodeToString(digest[:])[:22]
}

// AddrSubject is the Value of an address: IPv4 as it is, also where it is mapped into IPv6, and IPv6 by its /64, which one
// caller has whole. Zones are ignored. The zero Addr gives "", one bucket for all that have no address.
func AddrSubject(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		if !a.IsValid() {
			return ""
		}
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}
