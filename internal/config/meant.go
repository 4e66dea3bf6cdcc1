package config

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// mostListed is how many keys a message lists.
const mostListed = 12

// keyMeant is what to say of an unknown key: the near one here, else where a key of that name belongs, else what there is here.
func (r *reader) keyMeant(name, at string, here iter.Seq[string]) string {
	if meant := didYouMean(name, here); meant != "" {
		return meant
	}
	if r.elsewhere != nil { // in one of the two files
		if meant := synonym(name, at); meant != "" {
			return meant
		}
		if meant := r.elsewhere(name, at); meant != "" {
			return meant
		}
	}
	list := slices.Sorted(here)
	if len(list) > mostListed {
		return " — see: gatehouse config doc" + strings.TrimSuffix(" "+at, " ")
	}
	return " — the keys here: " + strings.Join(list, ", ")
}

// elsewhere finds where a key belongs that was written above its place: ttl at the top is tokens.ttl, cert_file in server is
// server.tls.cert_file. At is the path of the section that it was found in, "" at the top of a file.
func elsewhere(name, at string) string {
	inConfig, inClients := KeyPaths()
	if at == "" && name == "clients" {
		return " — clients stand in a file of their own, which clients_file names"
	}
	if at == "" && slices.Contains(openAPIKeys, name) {
		return " — an OpenAPI document is read by: gatehouse init --openapi FILE"
	}
	if at == "" && slices.Contains(inConfig, name) {
		return " — it belongs into config.yaml"
	}
	if places := below(inConfig, name, at); len(places) > 0 {
		return fmt.Sprintf(" — did you mean %s?", strings.Join(places, ", or "))
	}
	if places := below(inClients, name, at); len(places) > 0 {
		return fmt.Sprintf(" — did you mean %s in the clients file?", strings.Join(places, ", or "))
	}
	return ""
}

// openAPIKeys are those at the top of an OpenAPI document.
var openAPIKeys = []string{"openapi", "swagger", "paths", "info", "components"}

// below are the first two paths that end with a key and lie below a section.
func below(paths []string, name, at string) (list []string) {
	section := strings.FieldsFunc(at, func(c rune) bool { return c == '.' })
	for _, p := range paths {
		p = strings.ReplaceAll(p, "[]", "")
		parts := strings.Split(p, ".")
		if parts[len(parts)-1] != name || len(parts) < len(section)+2 || len(list) == 2 {
			continue
		}
		under := true
		for i, s := range section {
			under = under && (parts[i] == s || parts[i] == "*")
		}
		if under {
			list = append(list, p)
		}
	}
	return list
}
