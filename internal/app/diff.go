package app

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gatehouse/internal/config"
)

// named is how many of the APIs and clients that changed are named: the trail should say whose secrets and grants they were.
const named = 10

// diff says what changed between two configurations, in the manner of "+1 API (users) +2 routes ~1 client (billing-worker)".
func diff(old, new *config.Config) string {
	parts := changes("API", apisByName(old), apisByName(new), named)
	parts = append(parts, changes("route", routesByName(old), routesByName(new), 0)...)
	parts = append(parts, changes("client", clientsByID(old), clientsByID(new), named)...)
	if len(parts) > 0 {
		return strings.Join(parts, " ")
	}
	if old.Hash == new.Hash {
		return "nothing changed"
	}
	return "settings changed"
}

// changes counts what came, went and differs, and names the first of them.
func changes(what string, was, is map[string]any, names int) (parts []string) {
	changed := map[string][]string{}
	for name, v := range is {
		if w, ok := was[name]; !ok {
			changed["+"] = append(changed["+"], name)
		} else if !reflect.DeepEqual(v, w) {
			changed["~"] = append(changed["~"], name)
		}
	}
	for name := range was {
		if _, ok := is[name]; !ok {
			changed["-"] = append(changed["-"], name)
		}
	}
	for _, sign := range []string{"+", "-", "~"} {
		list := changed[sign]
		if len(list) == 0 {
			continue
		}
		part := fmt.Sprintf("%s%d %s", sign, len(list), plural(what, len(list)))
		if names > 0 {
			slices.Sort(list)
			part += " (" + strings.Join(list[:min(len(list), names)], ", ")
			if len(list) > names {
				part += ", …"
			}
			part += ")"
		}
		parts = append(parts, part)
	}
	return parts
}

// apisByName are the APIs by themselves, without their routes and their place: one that only moved down its file does not count
// as changed.
func apisByName(cfg *config.Config) map[string]any {
	out := map[string]any{}
	for _, api := range cfg.APIs {
		api.Pos, api.Routes = config.Pos{}, nil
		out[api.Name] = api
	}
	return out
}

// routesByName are the routes, without their place. What a route takes from its API is part of it.
func routesByName(cfg *config.Config) map[string]any {
	out := map[string]any{}
	for _, api := range cfg.APIs {
		for _, r := range api.Routes {
			r.Pos = config.Pos{}
			out[api.Name+" "+r.Match] = r
		}
	}
	return out
}

func clientsByID(cfg *config.Config) map[string]any {
	out := map[string]any{}
	for _, c := range cfg.Clients {
		c.Pos, c.Keys.Pos = config.Pos{}, config.Pos{}
		out[c.ID] = c
	}
	return out
}

func plural(noun string, n int) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
