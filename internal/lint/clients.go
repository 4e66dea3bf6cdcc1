package lint

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/config"
)

func (a *audit) client(c *config.Client) {
	a.open(c.RateLimits, []string{"clients", c.ID, "rate_limit"}, nil)
	for i, s := range c.Secrets {
		made, known := date(s.Created)
		ended := !s.NotAfter.IsZero() && !a.now.Before(s.NotAfter)
		used := c.Auth == "" || strings.HasPrefix(c.Auth, "client_secret_") // else the load warns of it
		if known && used && !ended && !c.Disabled && a.now.Sub(made) > oldSecret {
			a.find("A07", a.place([]string{"clients", c.ID, "secrets", strconv.Itoa(i), "created"}), "gatehouse client rotate "+c.ID,
				"this secret of %s is %d days old", c.ID, int(a.now.Sub(made)/(24*time.Hour)))
		}
	}
	for _, api := range a.cfg.APIs {
		scopes, granted := c.Grants[api.Name]
		if granted && active(c) && !slices.ContainsFunc(api.Routes, func(r config.Route) bool { return r.MetBy(scopes) }) {
			at, _ := a.cfg.PlaceOfKey("clients", c.ID, "grants", api.Name)
			a.find("A11", at, "grant what a route needs, or remove it: gatehouse client revoke-grant "+c.ID+" "+api.Name, "with it, %s passes no route of %s", c.ID, api.Name)
		}
	}
}

// date reads what stands in created; people may write anything there.
func date(created string) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, created); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// unused looks for clients that got no token for long. That takes as long a memory, and a client that is new is given time.
func (a *audit) unused(use *Use) {
	if use == nil {
		a.note("A06 not checked: it takes a running gatehouse, which knows who got tokens; name it with --admin")
		return
	}
	since, ok := date(use.Since)
	if !ok || a.now.Sub(since) < unusedFor {
		a.note("A06 not checked: tokens have been noted since %s alone, which is less than 90 days", use.Since)
		return
	}
	for _, c := range a.cfg.Clients {
		day, known := use.Days[c.ID]
		last, ever := date(day)
		if !known || !active(&c) || ever && a.now.Sub(last) < unusedFor || slices.ContainsFunc(c.Secrets, a.young) {
			continue
		}
		text := "none since " + use.Since
		if ever {
			text = "the last on " + use.Days[c.ID]
		}
		a.find("A06", c.Pos, "gatehouse client disable "+c.ID+", and remove it later", "%s got no token for 90 days: %s", c.ID, text)
	}
}

// young reports whether a secret was made within the time after which a client counts as unused.
func (a *audit) young(s config.ClientSecret) bool {
	made, known := date(s.Created)
	return known && a.now.Sub(made) < unusedFor
}
