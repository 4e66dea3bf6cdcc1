package app

import (
	"errors"
	"net"
)

// Close releases what New opened. It is for after Run, and safe to call twice.
func (a *App) Close() error {
	var errs []error
	for _, l := range []net.Listener{a.public, a.admin} {
		if l != nil {
			l.Close() // already closed after Run
		}
	}
	if snap := a.current.Load(); snap != nil {
		snap.retire()
	}
	if a.auth != nil {
		a.auth.hooks.Close()
	}
	errs = append(errs, a.audit.Close())
	if a.ring != nil {
		a.ring.Close()
	}
	if a.revocations != nil {
		errs = append(errs, a.revocations.Close())
	}
	if a.redis != nil {
		errs = append(errs, a.redis.Close())
	}
	if a.db != nil {
		errs = append(errs, a.db.Close())
	}
	return errors.Join(errs...)
}
