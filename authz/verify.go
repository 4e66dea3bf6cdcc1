package authz

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gatehouse/internal/token"
)

// Keys are the keys of one issuer that verify. Safe for concurrent use; neither method blocks.
type Keys interface {
	// Key returns the key that kid names, the one for alg where several have that name; nil where the issuer has no such
	// key. That the key found is for alg need not be checked.
	Key(kid string, alg token.Algorithm) *token.PublicKey
	// Generation changes whenever a key is added or withdrawn, and never comes back to a value that it had.
	Generation() uint64
}

// Issuer is one source of tokens: its name in policies, and how its tokens are checked.
type Issuer struct {
	Name        string // Local for our own
	URL         string // iss, compared byte for byte
	Algorithms  []token.Algorithm
	Keys        Keys
	MaxLifetime time.Duration // the most that may lie between iat and exp
	// Profile says how tokens of somebody else are read. Nil: they are our own, which Dialect is for.
	Profile *Profile
	// Dialect tells in which dialect the API with that audience has its tokens; false for an audience of no API.
	Dialect func(audience string) (token.Dialect, bool)
	// Fetch looks once more for a key that Keys lacks: a node of a fleet may meet a token before the key that signed it. It
	// may block for a moment, and bounds for itself how often it looks. Nil: there is nowhere to look.
	Fetch func(kid string, alg token.Algorithm) *token.PublicKey
	// Ready is false while the issuer's keys were never read, or too long ago, so that a key which is not known says nothing
	// of the token.
	// Nil: always true.
	Ready func() bool
}

// Options are what a Verifier needs. Where CacheEntries or CacheBytes is 0, no token is remembered.
type Options struct {
	Issuers []Issuer
	// Claims are the names of further claims that a Principal is to have.
	Claims       []string
	CacheEntries int
	CacheBytes   int64
}

// Verifier turns bearer tokens into Principals. It is safe for concurrent use. It belongs to one configuration: another
// one makes another Verifier, so that nothing verified under the old rules is taken for verified under the new.
type Verifier struct {
	issuers map[string]*Issuer // by iss
	claims  []string
	cache   *cache
}

// NewVerifier checks the options and returns a Verifier. An issuer without a name, URL, algorithms, keys, maximal
// lifetime, or both dialect and profile, is an error; so are two with one URL or one name.
func NewVerifier(o Options) (*Verifier, error) {
	v := &Verifier{issuers: make(map[string]*Issuer, len(o.Issuers)), claims: o.Claims, cache: newCache(o.CacheEntries, o.CacheBytes)}
	names := map[string]bool{}
	for _, iss := range o.Issuers {
		if iss.Name == "" || iss.URL == "" || len(iss.Algorithms) == 0 || iss.Keys == nil || iss.MaxLifetime <= 0 ||
			iss.Profile == nil && iss.Dialect == nil || iss.Profile != nil && iss.Name == Local {
			return nil, fmt.Errorf("issuer %q (%q) needs a name, a URL, algorithms, keys, a maximal lifetime, and a dialect or a profile", iss.Name, iss.URL)
		}
		if v.issuers[iss.URL] != nil || names[iss.Name] {
			return nil, fmt.Errorf("two issuers have the URL %q or the name %q", iss.URL, iss.Name)
		}
		names[iss.Name] = true
		v.issuers[iss.URL] = &iss
	}
	return v, nil
}

// Verify returns what the token says once its signature and its form are found good, at the time now in seconds since
// 1970; hit tells that it had been verified before. Whether it has expired is Decide's to judge: an expired token has a
// Principal too, but is not remembered. Otherwise p is nil and f says why.
func (v *Verifier) Verify(raw string, now int64) (p *Principal, hit bool, f *Failure) {
	if p := v.cache.get(raw, now); p != nil {
		return p, true, nil
	}
	p, from, f := v.verify(raw, now)
	if f != nil {
		return nil, false, f
	}
	if now < p.Expires {
		v.cache.put(raw, p, from.keys, from.generation)
	}
	return p, false, nil
}

// Explain is Verify for another time than this one: it neither asks nor fills what is remembered, since a token that was good
// at a time that somebody made up is not for others.
func (v *Verifier) Explain(raw string, now int64) (*Principal, *Failure) {
	p, _, f := v.verify(raw, now)
	return p, f
}

// Suppose is Explain without a key: what the token would be worth if its signature were good. It is for those who explain and
// have no keys; nothing may be let through by it.
func (v *Verifier) Suppose(raw string, now int64) (*Principal, *Failure) {
	t, iss, f := v.read(raw)
	if f != nil {
		return nil, f
	}
	return v.principal(iss, t, t.Unverified(), now)
}

// source is the key set that verified a token, as it was.
type source struct {
	keys       Keys
	generation uint64
}

func (v *Verifier) verify(raw string, now int64) (*Principal, source, *Failure) {
	t, iss, f := v.read(raw)
	if f != nil {
		return nil, source{}, f
	}
	// Read before the key is: when a key is withdrawn while this goes on, what is remembered of it counts for nothing.
	generation := iss.Keys.Generation()
	alg := token.Algorithm(t.Algorithm)
	key := iss.Keys.Key(t.KeyID, alg)
	if key == nil && iss.Fetch != nil && iss.Fetch(t.KeyID, alg) != nil {
		generation = iss.Keys.Generation()
		key = iss.Keys.Key(t.KeyID, alg)
	}
	if key == nil {
		return nil, source{}, iss.unknown(t)
	}
	claims, err := t.Verify(key)
	if err != nil {
		f := failure(err)
		f.Said = said(t, iss)
		return nil, source{}, f
	}
	p, f := v.principal(iss, t, claims, now)
	return p, source{iss.Keys, generation}, f
}

// read is what can be judged of a token without a key.
func (v *Verifier) read(raw string) (*token.Token, *Issuer, *Failure) {
	t, err := token.Parse(raw)
	if err != nil {
		return nil, nil, failure(err)
	}
	iss := v.issuers[t.UnverifiedIssuer()]
	if iss == nil {
		return nil, nil, fail(t, nil, CheckKnown, WrongIssuer, "iss names no issuer that this gateway knows")
	}
	if !slices.Contains(iss.Algorithms, token.Algorithm(t.Algorithm)) {
		return nil, nil, fail(t, iss, CheckKey, UnsupportedAlg, "alg is none that this issuer signs with")
	}
	if t.ExtraHeader && iss.Profile == nil {
		return nil, nil, fail(t, iss, CheckForm, MalformedToken, "the header has members other than alg, kid and typ")
	}
	return t, iss, nil
}

// principal is what claims say, with what the routes may ask of them besides.
func (v *Verifier) principal(iss *Issuer, t *token.Token, claims token.Claims, now int64) (*Principal, *Failure) {
	p, f := iss.principal(t, claims, now)
	if f != nil {
		f.Said = said(t, iss)
		return nil, f
	}
	p.Algorithm, p.Claims = token.Algorithm(t.Algorithm), further(claims, v.claims)
	return p, nil
}

func (iss *Issuer) unknown(t *token.Token) *Failure {
	if iss.Ready != nil && !iss.Ready() {
		return fail(t, iss, CheckKey, StateUnavailable, "this gateway has not read the issuer's keys, or not for too long")
	}
	return fail(t, iss, CheckKey, UnknownKey, "kid names no key of this issuer")
}

// fail is a failure of a token that could be read. A nil iss is an issuer that is not known.
func fail(t *token.Token, iss *Issuer, at Check, reason Reason, detail string) *Failure {
	return &Failure{Reason: reason, Detail: detail, At: at, Said: said(t, iss)}
}

func said(t *token.Token, iss *Issuer) Said {
	s := Said{Algorithm: t.Algorithm, KeyID: t.KeyID, IssuerURL: t.UnverifiedIssuer()}
	if iss != nil {
		s.Issuer = iss.Name
	}
	return s
}

// failure is an error of the token package as a failure of its own: it is shared with nobody.
func failure(err error) *Failure {
	var e *token.Error
	if !errors.As(err, &e) {
		return &Failure{Reason: MalformedToken, At: CheckForm, Detail: "the token cannot be read"}
	}
	switch e.Kind {
	case token.UnsupportedAlg:
		return &Failure{Reason: UnsupportedAlg, At: CheckKey, Detail: e.Detail}
	case token.BadSignature:
		return &Failure{Reason: BadSignature, At: CheckSignature, Detail: e.Detail}
	}
	return &Failure{Reason: MalformedToken, At: CheckForm, Detail: e.Detail}
}
