package tokenep

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"gatehouse/internal/secret"
)

// Secret is the hash of one whole secret, and when it is good. A zero time is no bound.
type Secret struct {
	SHA256    [sha256.Size]byte
	Argon2id  *secret.Argon2id // in place of SHA256; nil: there is none
	NotBefore time.Time        // good from here
	NotAfter  time.Time        // no longer good from here
}

func (s *Secret) live(now time.Time) bool {
	return !now.Before(s.NotBefore) && (s.NotAfter.IsZero() || now.Before(s.NotAfter))
}

// SlowHashes runs what takes long, a few at once. Safe for concurrent use.
type SlowHashes interface {
	// Do runs f, or returns an error where it did not. Callers of one source wait for each other.
	Do(ctx context.Context, source string, f func()) error
}

// match is whether a secret of the client has been presented, and whether one of those that were is good now.
type match struct{ known, live bool }

func (m *match) add(equal bool, s *Secret, now time.Time) {
	m.known = m.known || equal
	m.live = m.live || equal && s.live(now)
}

// fast compares the secret's digest with as many others for every client, each in constant time.
func (r *Registry) fast(client *Client, presented string, now time.Time) (m match) {
	digest := sha256.Sum256([]byte(presented))
	for i := range r.width {
		s, own := &r.filler, false
		if i < len(client.fast) {
			s, own = client.fast[i], true
		}
		equal := subtle.ConstantTimeCompare(digest[:], s.SHA256[:]) == 1
		m.add(equal && own, s, now)
	}
	return m
}

// slow compares the secret with one argon2id hash of every cost that any client has, as often as any has that cost: with
// the client's own hash where it has one, else with a dummy. The work is the same for every client.
func (r *Registry) slow(client *Client, presented string, now time.Time) (m match) {
	for i, dummy := range r.dummies {
		s, own := dummy, false
		if client.slow != nil && client.slow[i] != nil {
			s, own = client.slow[i], true
		}
		equal := s.Argon2id.Matches(presented)
		m.add(equal && own, s, now)
	}
	return m
}

// needsSlow reports whether slow has to decide about the secret: never for one that has the whole form of those that we
// generate, whoever it is said to belong to, and for no other where nobody has an argon2id hash.
func (r *Registry) needsSlow(presented string) bool {
	return len(r.dummies) > 0 && !secret.Whole(presented)
}

// arrange sorts the clients' secrets by their kind, and finds the work that is the same for all of them.
func (r *Registry) arrange() {
	most := map[secret.Argon2idCost]int{}
	var costs []secret.Argon2idCost // in the order in which they are found
	for _, c := range r.clients {
		has := map[secret.Argon2idCost]int{}
		for i := range c.Secrets {
			s := &c.Secrets[i]
			if s.Argon2id == nil {
				c.fast = append(c.fast, s)
				continue
			}
			cost := s.Argon2id.Cost()
			if has[cost]++; has[cost] > most[cost] {
				most[cost]++
				costs = append(costs, cost)
			}
		}
		r.width = max(r.width, len(c.fast))
	}
	for _, cost := range costs {
		r.dummies = append(r.dummies, &Secret{Argon2id: secret.DummyArgon2id(cost)})
	}
	for _, c := range r.clients {
		c.place(costs)
	}
}

// place puts each argon2id hash of the client where a dummy of its cost stands.
func (c *Client) place(costs []secret.Argon2idCost) {
	for i := range c.Secrets {
		s := &c.Secrets[i]
		if s.Argon2id == nil {
			continue
		}
		if c.slow == nil {
			c.slow = make([]*Secret, len(costs))
		}
		for at, cost := range costs {
			if c.slow[at] == nil && cost == s.Argon2id.Cost() {
				c.slow[at] = s
				break
			}
		}
	}
}
