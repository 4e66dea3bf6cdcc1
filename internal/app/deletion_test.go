package app

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"gatehouse/internal/config"
)

// onlyRestricts are the keys whose absence may give access that their presence refuses: each exists to restrict, what it
// restricts is safe by another key, and a configuration without it means to do without. A key stands for all below it;
// behind "=" is the only value for which it may. Nothing else may be added without such a reason.
var onlyRestricts = map[string]string{
	"admin":                          "without the section the listener is on the loopback, which needs no token, and no longer where others reach it",
	"admin.token_file":               "may be left out on the loopback alone; elsewhere its absence is an error",
	"state":                          "says where the state is; a running gatehouse refuses the change, and a new state knows of no revocation yet",
	"server.max_header_bytes":        "a bound on size",
	"server.idle_timeout":            "a bound on time",
	"server.drain":                   "a bound on time",
	"tokens.lockout":                 "a bound on guesses; the default holds in its place",
	"tokens.ttl":                     "a bound on time",
	"tokens.ring_key_file":           "without it a fleet does not load",
	"revocation":                     "says how old the news of revocations may be; the default holds in its place",
	"defaults.timeout":               "a bound on time",
	"defaults.max_body":              "a bound on size",
	"defaults.rate_limit":            "a bound on rate",
	"apis.*.ttl":                     "a bound on time",
	"apis.*.dialect":                 "says which form the API's tokens have: those of the other form become good, and there are none until it issues them",
	"apis.*.timeout":                 "a bound on time",
	"apis.*.max_body":                "a bound on size",
	"apis.*.rate_limit":              "a bound on rate",
	"apis.*.revocation":              "says how old the news of revocations may be; the section for all APIs holds in its place",
	"apis.*.routes[]":                "a route that is more specific than another takes its requests; without it they are the other's",
	"apis.*.routes[].scopes[]":       "each member is one more demand; without any, the route does not load",
	"apis.*.routes[].scopes.all":     "a demand besides any; without both, the route does not load",
	"apis.*.routes[].scopes.any":     "a demand besides all; without both, the route does not load",
	"apis.*.routes[].mode=enforce":   "takes a route out of its API's observe mode",
	"apis.*.routes[].timeout":        "a bound on time",
	"apis.*.routes[].max_body":       "a bound on size",
	"apis.*.routes[].cost":           "a bound on rate",
	"apis.*.routes[].rate_limit":     "a bound on rate",
	"clients.*.auth":                 "restricts a client to one way to authenticate; each of them needs a credential of the client's",
	"clients.*.grant_types":          "[] keeps a client, with its grants, from getting tokens",
	"clients.*.assertion_algorithms": "restricts which of its own keys a client signs with",
	"clients.*.ttl":                  "a bound on time",
	"clients.*.quota":                "a bound on rate",
	"clients.*.disabled":             "switches a client off, with all that it may",
	"clients.*.secrets[].not_before": "a bound on time",
	"clients.*.secrets[].not_after":  "a bound on time",
}

// onlyMoves are keys whose absence may move what is served to other hosts. What a credential may do there it must have been
// able to do on some host before.
var onlyMoves = []string{"apis.*", "apis_dir", "apis.*.hosts"}

// covers reports whether an entry of the lists above stands for a key that has this value.
func covers(entry, key, value string) bool {
	name, only, conditional := strings.Cut(entry, "=")
	return (key == name || strings.HasPrefix(key, name+".") || strings.HasPrefix(key, name+"[")) && (!conditional || value == only)
}

func restricts(key, value string) bool {
	for entry := range onlyRestricts {
		if covers(entry, key, value) {
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
	tried := map[string]bool{}
	configKeys, clientKeys := config.KeyPaths()
	t.Run("fixtures", func(t *testing.T) {
		for _, fixture := range []string{"full", "generated"} {
			w := newDeletionWorld(t, fixture)
			var list []deletion
			for path := range w.files {
				known := configKeys
				if filepath.Base(path) == "clients.yaml" {
					known = clientKeys
				}
				list = append(list, deletions(t, path, known)...)
			}
			for _, d := range list {
				tried[d.key] = true
			}
			t.Run(fixture, func(t *testing.T) {
				t.Parallel()
				w.run(t, list)
			})
		}
	})
	known := slices.Concat(configKeys, clientKeys)
	for _, key := range known {
		if !tried[key] && !restricts(key, "") {
			t.Errorf("%s is not in testdata/deletion, and is not known to only restrict: add it to a configuration there", key)
		}
	}
	for _, entry := range slices.Concat(slices.Collect(maps.Keys(onlyRestricts)), onlyMoves) {
		if key, _, _ := strings.Cut(entry, "="); !slices.Contains(known, key) {
			t.Errorf("%s is listed, and no key", entry)
		}
	}
}

// run takes one thing away at a time.
func (w *deletionWorld) run(t *testing.T, list []deletion) {
	before := w.mustLoad(t)
	everywhere := map[string]bool{} // before, without the hosts
	refused := 0
	for _, p := range w.calls {
		if before[p.name] {
			everywhere[p.act] = true
		} else {
			refused++
		}
	}
	if allowed := len(w.calls) - refused; allowed < 10 || refused < 200 || len(before) < allowed+8 {
		t.Fatalf("only %d calls allowed, %d refused, %d accesses in all: is the configuration whole?", allowed, refused, len(before))
	}
	loaded, failed := 0, 0
	for _, d := range list {
		if restricts(d.key, d.value) {
			continue
		}
		after, err := w.load(t, d, before)
		if err != nil {
			failed++
			continue
		}
		loaded++
		moves := slices.ContainsFunc(onlyMoves, func(key string) bool { return d.key == key || d.key == key+"[]" })
		for name, act := range after {
			if !before[name] && !(moves && everywhere[act]) {
				t.Errorf("%s without %s (%s) allows %s", d.file, d.place, d.value, name)
			}
		}
	}
	if loaded < 5 || failed < 5 {
		t.Errorf("%d deletions load and %d do not: too few of one to be a test", loaded, failed)
	}
	t.Logf("%d deletions: %d do not load, %d give no wider access, %d are of keys that only restrict",
		len(list), failed, loaded, len(list)-failed-loaded)
}
