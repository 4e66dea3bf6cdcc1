package keyring

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/redisx"
	"gatehouse/internal/token"
)

var (
	//go:embed read.lua
	readSource string
	//go:embed propose.lua
	proposeSource string
	//go:embed offer.lua
	offerSource string

	readScript    = redisx.NewScript(readSource)
	proposeScript = redisx.NewScript(proposeSource)
	offerScript   = redisx.NewScript(offerSource)
)

// callLimit bounds one call to Redis.
const callLimit = 250 * time.Millisecond

// maxGap is how far a slot that is filled may be above the highest key that unseals. Slots are not sealed: one that is higher
// was made up, and would leave no numbers for the keys to come.
const maxGap = 1 << 20

// errAnswer is an answer of our own script that is not what it returns.
var errAnswer = errors.New("redis answered a script with something else than it returns")

// shared is the fleet's ring in Redis: one hash, of a field for each slot, such as "ES256:3", that says whose it is, and a
// field for each kid, with its sealed record. The first who fills a slot has it.
type shared struct {
	redis *redisx.Client
	key   string
	codec codec
}

// picture is what Redis held at one moment.
type picture struct {
	raw    map[string]string // all fields
	keys   map[string]entry
	broken []string                  // kids whose record does not unseal
	slots  map[token.Algorithm]int64 // the highest slot that is filled, as far as that is believed
}

func newShared(r *redisx.Client, c codec) *shared {
	return &shared{redis: r, key: r.Prefix() + ":{ring}:keys", codec: c}
}

func slotField(alg token.Algorithm, slot int64) string {
	return string(alg) + ":" + strconv.FormatInt(slot, 10)
}

// read returns all that Redis holds.
func (s *shared) read(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	list, err := s.redis.RunCalm(ctx, readScript, []string{s.key}).StringSlice()
	if err != nil {
		return nil, err
	}
	if len(list)%2 != 0 {
		return nil, errAnswer
	}
	raw := make(map[string]string, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		raw[list[i]] = list[i+1]
	}
	return raw, nil
}

// parse unseals what was read.
func (s *shared) parse(raw map[string]string) picture {
	p := picture{raw: raw, keys: map[string]entry{}, slots: map[token.Algorithm]int64{}}
	for field, value := range raw {
		if strings.Contains(field, ":") {
			continue // a slot, looked at below
		}
		e, err := s.codec.decode(field, []byte(value))
		if err != nil {
			p.broken = append(p.broken, field)
			continue
		}
		p.keys[field] = e
	}
	for field := range raw {
		name, number, ok := strings.Cut(field, ":")
		alg := token.Algorithm(name)
		if n, err := strconv.ParseInt(number, 10, 64); ok && err == nil && n <= topSlot(p.keys, alg)+maxGap {
			p.slots[alg] = max(p.slots[alg], n)
		}
	}
	return p
}

// propose tries to fill the slot of e, and if that was free withdraws what dead holds, all in one. won is false where
// another had the slot: then nothing was done.
func (s *shared) propose(ctx context.Context, e entry, dead []entry) (won bool, err error) {
	args := []any{slotField(e.alg, e.slot)}
	for _, k := range append([]entry{e}, dead...) {
		value, err := s.codec.encode(k)
		if err != nil {
			return false, err
		}
		args = append(args, k.id, value)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	n, err := s.redis.RunCalm(ctx, proposeScript, []string{s.key}, args...).Int64()
	return n == 1, err
}

// offer gives Redis what it lacks of give, and takes from it what drop holds; was is what it was seen to hold. What
// changed meanwhile is left alone, and looked at next time.
func (s *shared) offer(ctx context.Context, was map[string]string, give, drop []entry) error {
	if len(give) == 0 && len(drop) == 0 {
		return nil
	}
	var args []any
	for _, e := range give {
		value, err := s.codec.encode(e)
		if err != nil {
			return err
		}
		args = append(args, slotField(e.alg, e.slot), e.id, was[e.id], value)
	}
	for _, e := range drop {
		args = append(args, slotField(e.alg, e.slot), e.id, was[e.id], "")
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if err := s.redis.RunCalm(ctx, offerScript, []string{s.key}, args...).Err(); err != nil {
		return fmt.Errorf("signing keys offered to redis: %w", err)
	}
	return nil
}
