package jwks

import (
	"context"
	"errors"

	"gatehouse/internal/token"
)

// Probe fetches a set once, as a Cache would, and keeps nothing. It returns how many keys of it can be used; none is an error.
func Probe(ctx context.Context, from Source) (keys int, err error) {
	body, err := newFetcher(nil, nil).load(ctx, from)
	if err != nil {
		return 0, err
	}
	usable, _, err := token.ParseKeySet(body)
	if err == nil && len(usable) == 0 {
		err = errors.New("it holds no key that can be used")
	}
	return len(usable), err
}
