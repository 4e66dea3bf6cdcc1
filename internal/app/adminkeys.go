package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/admin"
	"gatehouse/internal/adminapi"
	"gatehouse/internal/keyring"
	"gatehouse/internal/revoke"
	"gatehouse/internal/token"
)

func unprocessable(format string, args ...any) error {
	return &admin.Error{Status: http.StatusUnprocessableEntity, Message: fmt.Sprintf(format, args...)}
}

// listKeys is GET /api/v1/keys.
func (a *App) listKeys() []adminapi.Key {
	list := []adminapi.Key{}
	for _, k := range a.current.Load().ring.Keys() {
		list = append(list, adminapi.Key{ID: k.ID, Algorithm: string(k.Algorithm), State: k.State, Created: k.Created, Signs: k.Signs, Until: k.Until})
	}
	return list
}

// rotateKeys is POST /api/v1/keys/rotate.
func (a *App) rotateKeys(ctx context.Context, q adminapi.RotateRequest) ([]adminapi.Rotation, error) {
	algs, lead, err := a.checkRotation(q)
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx) // a caller that hangs up must not leave it half done
	out := []adminapi.Rotation{}
	for _, alg := range algs {
		done, err := a.rotateOne(ctx, alg, lead, q)
		a.recordRotation(alg, done, q, err)
		if err != nil {
			return nil, rotationError(alg, err, out)
		}
		out = append(out, done)
	}
	return out, nil
}

// checkRotation returns the algorithms to rotate and how long their new keys are published before they sign.
func (a *App) checkRotation(q adminapi.RotateRequest) (algs []token.Algorithm, lead time.Duration, err error) {
	algs = algorithms(a.current.Load().cfg)
	slices.Sort(algs)
	if q.Algorithm != "" {
		if !slices.Contains(algs, token.Algorithm(q.Algorithm)) {
			return nil, 0, unprocessable("alg: no API uses %q; those in use are %v", q.Algorithm, algs)
		}
		algs = []token.Algorithm{token.Algorithm(q.Algorithm)}
	}
	if q.PublishBefore == "" {
		return algs, 0, nil
	}
	if q.Revoke {
		return nil, 0, unprocessable("publish_before and revoke exclude each other: after a key is withdrawn, a new one signs at once")
	}
	lead, err = time.ParseDuration(q.PublishBefore)
	if err != nil || lead <= 0 || lead > 30*24*time.Hour {
		return nil, 0, unprocessable("publish_before: expected a duration above 0 of at most 720h, such as 15m")
	}
	return algs, lead, nil
}

func (a *App) rotateOne(ctx context.Context, alg token.Algorithm, lead time.Duration, q adminapi.RotateRequest) (adminapi.Rotation, error) {
	ring := a.current.Load().ring
	var done keyring.Rotation
	var note string
	var err error
	switch {
	case !q.Revoke:
		done, err = ring.Rotate(ctx, alg, lead)
	case a.ring == nil:
		done, err = a.withdrawFile(ctx, alg)
		note = "only this node has withdrawn the key: do the same on every other, and remove its file everywhere"
	default:
		done, err = ring.Revoke(ctx, alg)
	}
	if err != nil {
		return adminapi.Rotation{}, err
	}
	for _, kid := range done.Withdrawn {
		// The nodes that have not heard of the withdrawal yet hear of this first.
		e := revoke.Entry{Kind: revoke.Key, Issuer: authz.Local, Name: kid, Reason: q.Reason}
		if _, err := a.revocations.Revoke(ctx, e); err != nil {
			return adminapi.Rotation{}, fmt.Errorf("the key %s is withdrawn here, but its revocation was not kept: %w", kid, err)
		}
	}
	return adminapi.Rotation{Algorithm: string(alg), Old: done.Old, New: done.New, Published: done.Published, Signs: done.Signs,
		OldUntil: done.Until, Withdrawn: done.Withdrawn, Note: note}, nil
}

// withdrawFile withdraws the file of key_dir that signs, where another can sign in its place.
func (a *App) withdrawFile(ctx context.Context, alg token.Algorithm) (keyring.Rotation, error) {
	a.reload.Lock()
	defer a.reload.Unlock()
	old := a.current.Load()
	kid := old.ring.Signer(alg).Public().ID()
	if !old.ring.CanReplace(kid) {
		return keyring.Rotation{}, &admin.Error{Status: http.StatusConflict, Message: fmt.Sprintf(
			"no other key in tokens.key_dir can sign %s: put a new private key there first, then withdraw %s", alg, kid)}
	}
	now := time.Now().UTC()
	if err := keyring.Withdraw(a.db, kid, now); err != nil {
		return keyring.Rotation{}, err
	}
	next, err := a.build(ctx, old.cfg, old)
	if err != nil {
		return keyring.Rotation{}, err
	}
	a.current.Store(next)
	old.retire()
	a.log.Warn("signing key withdrawn: its tokens are refused", "kid", kid, "alg", alg)
	return keyring.Rotation{Algorithm: alg, Old: kid, New: next.ring.Signer(alg).Public().ID(), Published: old.loaded.UTC(), Signs: now,
		Until: now, Withdrawn: []string{kid}}, nil
}

// rotationError says what failed, and what of the request was done before.
func rotationError(alg token.Algorithm, err error, done []adminapi.Rotation) error {
	status := http.StatusInternalServerError
	var known *admin.Error
	switch {
	case errors.Is(err, keyring.ErrUnavailable):
		status = http.StatusServiceUnavailable
	case errors.Is(err, keyring.ErrFiles):
		status = http.StatusConflict
	case errors.As(err, &known):
		status = known.Status
	}
	message := fmt.Sprintf("%s: %v", alg, err)
	var names []string
	for _, d := range done {
		names = append(names, d.Algorithm)
	}
	if len(names) > 0 {
		message += "; done before that: " + strings.Join(names, ", ")
	}
	return &admin.Error{Status: status, Message: message}
}
