package token

import (
	"errors"
	"fmt"
	"slices"
)

// maxKeys is how many keys of a set are looked at.
const maxKeys = 100

// SetKey is a key of a JWK Set that came from outside, with the name that its owner gave it.
type SetKey struct {
	*PublicKey
	// Name is the JWK's kid; "" where it has none.
	Name string
}

// Unusable is why a member of a JWK Set was left out.
type Unusable struct {
	Index int // in the set, from 0
	// Private says that the member holds a private or a symmetric key, which nobody else should have seen.
	Private bool
	// Foreign says that the key is sound, but for another use or of a kind that we do not verify with.
	Foreign bool
	Err     error // what was wanted; never a part of the key
}

func (u Unusable) Error() string { return fmt.Sprintf("keys[%d]: %v", u.Index, u.Err) }

// ParseKeySet reads a JWK Set (RFC 7517 section 5) of others: the keys that verify signatures with one of our algorithms,
// and what was left out and why. An RSA key without alg is there twice, for RS256 and for PS256. Of two keys with one kid
// and algorithm the first counts. The error is for bytes that are no key set, or one of more than 100 keys.
func ParseKeySet(data []byte) (keys []SetKey, left []Unusable, err error) {
	members, err := scanObject(string(data), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("the key set's bytes %w", err)
	}
	set := Claims{members}
	list, _ := set.find("keys")
	docs, err := objects(list)
	if err != nil {
		return nil, nil, err
	}
	for i, doc := range docs {
		found, bad := parseSetKey(doc)
		for _, k := range found {
			if slices.ContainsFunc(keys, func(o SetKey) bool { return o.Name == k.Name && o.alg == k.alg && o.Name != "" }) {
				bad = &Unusable{Err: errors.New("its kid and alg are those of an earlier key")}
				continue
			}
			keys = append(keys, k)
		}
		if bad != nil {
			bad.Index = i
			left = append(left, *bad)
		}
	}
	return keys, left, nil
}

// objects are the elements of the array that is a set's keys.
func objects(m member) (docs []string, err error) {
	if m.kind != list {
		return nil, errors.New(`no JWK Set: want {"keys": […]}`)
	}
	s := scanner{in: m.value}
	err = s.array(1, func(k kind, v string) {
		if k == text {
			v = "" // a string that spells an object is none
		}
		docs = append(docs, v)
	})
	if err != nil {
		return nil, fmt.Errorf("the key set's bytes %w", err)
	}
	if len(docs) > maxKeys {
		return nil, fmt.Errorf("a key set of %d keys: want at most %d", len(docs), maxKeys)
	}
	return docs, nil
}

// parseSetKey reads one JWK of a set.
func parseSetKey(doc string) ([]SetKey, *Unusable) {
	members, err := scanObject(doc, nil)
	if err != nil {
		return nil, &Unusable{Err: fmt.Errorf("its bytes %w", err)}
	}
	jwk := Claims{members}
	if bad := forVerifying(jwk); bad != nil {
		return nil, bad
	}
	name, ok := jwk.Text("kid")
	if jwk.Has("kid") && !ok {
		return nil, &Unusable{Err: errors.New("kid: want a string")}
	}
	raw, err := parseMaterial(jwk, []byte(doc))
	if err != nil {
		return nil, &Unusable{Err: err}
	}
	var keys []SetKey
	for _, alg := range fitting(jwk) {
		k, err := newPublicKey(raw, alg)
		if err != nil {
			return nil, &Unusable{Err: err}
		}
		keys = append(keys, SetKey{k, name})
	}
	return keys, nil
}

// forVerifying refuses a JWK that is not the public key of one who signs.
func forVerifying(jwk Claims) *Unusable {
	for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if jwk.Has(secret) {
			return &Unusable{Private: true, Err: fmt.Errorf("it holds %s, a part of a private or symmetric key: want public keys alone, and this one is known to others now", secret)}
		}
	}
	if use, ok := jwk.Text("use"); jwk.Has("use") && (!ok || use != "sig") {
		return &Unusable{Foreign: true, Err: errors.New("use is not sig")}
	}
	if ops, ok := jwk.Texts("key_ops"); jwk.Has("key_ops") && (!ok || !slices.Contains(ops, "verify")) {
		return &Unusable{Foreign: true, Err: errors.New("key_ops is without verify")}
	}
	if alg, ok := jwk.Text("alg"); jwk.Has("alg") && (!ok || !Algorithm(alg).Known()) {
		return &Unusable{Foreign: true, Err: errors.New("alg is not ES256, RS256, PS256 or EdDSA")}
	}
	kty, _ := jwk.Text("kty")
	crv, _ := jwk.Text("crv")
	if kty != "RSA" && (kty != "EC" || crv != "P-256") && (kty != "OKP" || crv != "Ed25519") {
		return &Unusable{Foreign: true, Err: errors.New("it is neither RSA, nor EC on P-256, nor Ed25519")}
	}
	return nil
}

// fitting are the algorithms that a key of a set is for: its alg, else those of its type.
func fitting(jwk Claims) []Algorithm {
	if alg, ok := jwk.Text("alg"); ok {
		return []Algorithm{Algorithm(alg)}
	}
	switch kty, _ := jwk.Text("kty"); kty {
	case "RSA":
		return []Algorithm{RS256, PS256}
	case "EC":
		return []Algorithm{ES256}
	}
	return []Algorithm{EdDSA}
}
