package app

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"

	"gatehouse/internal/config"
)

// onlyRestrict are the keys whose absence gives access that their presence refuses: each exists to restrict, and a
// configuration without it means to do without. A key stands for all below it; behind "=" is the only value for which it
// may. TestDeletion sees each of them at work, so that none is listed that need not be.
var onlyRestrict = map[string]string{
	"admin":                          "without the section the listener is on the loopback, which needs no token, and no longer where others reach it",
	"admin.token_file":               "may be left out on the loopback alone; elsewhere its absence is an error",
	"apis.*.dialect":                 "says which form the API's tokens have; those of the other form are good without it, and nobody has one",
	"apis.*.hook":                    "is there to leave scopes out of tokens, or to deny them; who has none issues what is granted",
	"apis.*.cors":                    "stands in place of the defaults' cors, which holds without it; it grants pages reading, and nobody a token",
	"apis.*.routes[]":                "a route that is more specific than another takes its requests; without it they are the other's",
	"apis.*.routes[].scopes[]":       "each member is one more demand; without any, the route does not load",
	"apis.*.routes[].scopes.all":     "a demand besides any; without both, the route does not load",
	"apis.*.routes[].scopes.all[]":   "each member is one more demand besides any",
	"apis.*.routes[].scopes.any":     "a demand besides all; without both, the route does not load",
	"apis.*.routes[].scopes.any[][]": "each member of a member is one more demand",
	"apis.*.routes[].mode=enforce":   "takes a route out of its API's observe mode",
	"issuers.*.typ":                  "restricts which of an issuer's tokens are for access",
	"issuers.*.max_lifetime":         "refuses tokens that live longer; without it they live a day at most",
	"issuers.*.jwks_uri":             "may name fewer keys than the issuer's own metadata, which hold in its place",
	"issuers.*.scope_claims":         "says which of an issuer's words are scopes; the defaults are words of the same issuer",
	"issuers.*.scope_claims[]":       "a claim that goes before another hides it; both are words of the same issuer",
	"issuers.*.client_claims":        "says which of an issuer's words is the client; the defaults are words of the same issuer",
	"issuers.*.client_claims[]":      "a claim that goes before another hides it, and with it who is revoked; both are words of the same issuer",
	"clients.*.auth":                 "restricts a client to one way to authenticate; each of them needs a credential of the client's",
	"clients.*.grant_types=":         "[] keeps a client, with its grants, from getting tokens",
	"clients.*.assertion_algorithms": "restricts which of its own keys a client signs with",
	"clients.*.disabled":             "switches a client off, with all that it may",
	"clients.*.secrets[].not_before": "a secret without it is good from now on",
	"clients.*.secrets[].not_after":  "a secret without it is good until it is removed",
}

// bounds are the keys that say how much, how long or where, and not who may do what. Nothing asks for their absence here.
// Each stands for all below it.
var bounds = map[string]string{
	"state":                   "where the state is: a running gatehouse refuses the change, and a new state knows of no revocation yet",
	"server.max_header_bytes": "size", "defaults.max_body": "size", "apis.*.max_body": "size", "apis.*.routes[].max_body": "size",
	"server.idle_timeout": "time", "server.drain": "time", "server.drain_delay": "time", "apis.*.routes[].close_on_expiry": "time", "tokens.ttl": "time", "apis.*.ttl": "time", "clients.*.ttl": "time",
	"defaults.timeout": "time", "apis.*.timeout": "time", "apis.*.routes[].timeout": "time",
	"defaults.cors.max_age": "time", "apis.*.cors.max_age": "time", "issuers.*.max_stale": "time",
	"tokens.lockout": "rate", "clients.*.quota": "rate", "clients.*.rate_limit": "rate", "apis.*.routes[].cost": "rate",
	"defaults.rate_limit": "rate", "apis.*.rate_limit": "rate", "apis.*.routes[].rate_limit": "rate",
	"revocation":           "how old the news of revocations may be: the default holds in its place",
	"apis.*.revocation":    "how old the news of revocations may be: the section for all APIs holds in its place",
	"tokens.ring_key_file": "the seal of a fleet's keys: without it a fleet does not load",
}

// onlyMoves are keys whose absence may move what is served to other hosts. What a credential may do there it must have been
// able to do on some host before.
var onlyMoves = []string{"apis.*", "apis_dir", "apis.*.hosts"}

// listed is the reason for which a key of this value only restricts.
func listed(key, value string) (reason string, ok bool) {
	if reason, ok = onlyRestrict[key]; !ok {
		reason, ok = onlyRestrict[key+"="+value]
	}
	return reason, ok
}

// isBound reports whether a key, or one above it, is among the bounds.
func isBound(key string) bool {
	for name := range bounds {
		if key == name || strings.HasPrefix(key, name+".") || strings.HasPrefix(key, name+"[") {
			return true
		}
	}
	return false
}

// deletion is a configuration file from which one key or one member of a list was taken.
type deletion struct {
	file, place string // "apis.orders.routes[0].match" in config.yaml
	key, value  string // the key in the manner of config.KeyPaths; the value where it is a scalar
	text        string
}

// deletions are all that can be made from a file. A place whose key is not in known is reported.
func deletions(t *testing.T, path string, known []string) (list []deletion) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(content, &root); err != nil {
		t.Fatal(err)
	}
	note := func(place, key string, value *yaml.Node) {
		text, err := yaml.Marshal(&root)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, deletion{filepath.Base(path), place, key, value.Value, string(text)})
	}
	var walk func(n *yaml.Node, place, key string)
	walk = func(n *yaml.Node, place, key string) {
		whole := n.Content
		step := 1
		if n.Kind == yaml.MappingNode {
			step = 2
		}
		for i := 0; i < len(whole); i += step {
			value := whole[i+step-1]
			in, below := fmt.Sprintf("%s[%d]", place, i), key+"[]"
			if step == 2 {
				in, below = strings.TrimPrefix(place+"."+whole[i].Value, "."), keyBelow(known, key, whole[i].Value)
			}
			if !slices.Contains(known, below) {
				t.Errorf("%s: %s is no key of config.KeyPaths", path, in)
				continue
			}
			n.Content = slices.Delete(slices.Clone(whole), i, i+step)
			note(in, below, value)
			n.Content = whole
			walk(value, in, below)
		}
	}
	walk(root.Content[0], "", "")
	return list
}

// keyBelow is the key of a map's member: its name, or * where people choose the names; a map may stand for a list of one.
func keyBelow(known []string, key, name string) string {
	for _, k := range []string{key + "." + name, key + ".*", key + "[]." + name} {
		if k = strings.TrimPrefix(k, "."); slices.Contains(known, k) {
			return k
		}
	}
	return key + "." + name
}

// Ensure that no key is one whose absence opens something: what is left when it is taken away, from a configuration that has
// every key, either does not load or allows nothing that was refused before. Keys that exist to restrict are listed above.
func TestDeletion(t *testing.T) {
	t.Parallel()
	tried, restricted := map[string]bool{}, map[string]bool{}
	var mu sync.Mutex
	configKeys, clientKeys := config.KeyPaths()
	t.Run("fixtures", func(t *testing.T) {
		for _, part := range []struct {
			fixture string
			half    int // of its deletions, so that two Apps share them
		}{{"full", 0}, {"full", 1}, {"generated", 0}, {"generated", 1}} {
			w := newDeletionWorld(t, part.fixture)
			var all, list []deletion
			for _, path := range slices.Sorted(maps.Keys(w.files)) {
				known := configKeys
				if filepath.Base(path) == "clients.yaml" {
					known = clientKeys
				}
				all = append(all, deletions(t, path, known)...)
			}
			for i, d := range all {
				tried[d.key] = true
				if i%2 == part.half {
					list = append(list, d)
				}
			}
			t.Run(fmt.Sprintf("%s %d", part.fixture, part.half+1), func(t *testing.T) {
				t.Parallel()
				seen := w.run(t, list)
				mu.Lock()
				defer mu.Unlock()
				maps.Copy(restricted, seen)
			})
		}
	})
	known := slices.Concat(configKeys, clientKeys)
	for _, key := range known {
		if !tried[key] && !isBound(key) {
			t.Errorf("%s is not in testdata/deletion: add it to a configuration there, with a value that refuses something", key)
		}
	}
	for _, entry := range slices.Concat(slices.Collect(maps.Keys(onlyRestrict)), slices.Collect(maps.Keys(bounds)), onlyMoves) {
		if key, _, _ := strings.Cut(entry, "="); !slices.Contains(known, key) {
			t.Errorf("%s is listed, and no key", entry)
		}
	}
	for entry, reason := range onlyRestrict {
		if !restricted[reason] {
			t.Errorf("%s is listed, and its absence was never seen to allow anything: take it off the list", entry)
		}
	}
}

// run takes one thing away at a time. It returns the reasons of the listed keys that were seen to restrict.
func (w *deletionWorld) run(t *testing.T, list []deletion) map[string]bool {
	before := w.mustLoad(t)
	refused := 0
	for _, p := range w.calls {
		if !before[p.name] {
			refused++
		}
	}
	if allowed := len(w.calls) - refused; allowed < 10 || refused < 200 || len(before) < allowed+8 {
		t.Fatalf("only %d calls allowed, %d refused, %d accesses in all: is the configuration whole?", allowed, refused, len(before))
	}
	restricted := map[string]bool{}
	loaded, failed := 0, 0
	for _, d := range list {
		if isBound(d.key) {
			continue
		}
		after, err := w.load(t, d, before)
		if err != nil {
			failed++
			continue
		}
		loaded++
		reason, only := listed(d.key, d.value)
		moves := slices.ContainsFunc(onlyMoves, func(key string) bool { return d.key == key || d.key == key+"[]" })
		for name, act := range after {
			switch {
			case before[name] || moves && w.everywhere[act]:
			case only:
				restricted[reason] = true
			default:
				t.Errorf("%s without %s (%s) allows %s", d.file, d.place, d.value, name)
			}
		}
	}
	if loaded < 5 || failed < 5 {
		t.Errorf("%d deletions load and %d do not: too few of one to be a test", loaded, failed)
	}
	t.Logf("%d deletions: %d do not load, %d load, %d are of bounds", len(list), failed, loaded, len(list)-failed-loaded)
	return restricted
}
