package config

import (
	"strings"
	"testing"
)

func TestReferenceFile(t *testing.T) {
	t.Parallel()
	committed(t, "../../deploy/configuration.md", Markdown())
}

// Every key says what it is for, in whole sentences.
func TestEveryKeyIsDescribed(t *testing.T) {
	t.Parallel()
	for _, clients := range []bool{false, true} {
		for _, k := range Reference(clients) {
			if !strings.HasSuffix(k.Doc, ".") || len(k.Doc) < 8 {
				t.Errorf("%s: %q says too little", k.Path, k.Doc)
			}
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	keys := Reference(false)
	for path, want := range map[string]int{"server.listen": 1, "apis.orders.routes.match": 1, "apis.*.routes[].match": 1, "log": 3, "tokens.rotation": 3} {
		if found, _ := Find(keys, path); len(found) != want {
			t.Errorf("%s: %d keys, want %d: %+v", path, len(found), want, found)
		}
	}
	if found, meant := Find(keys, "server.lisen"); len(found) > 0 || meant != "server.listen" {
		t.Errorf("found %+v, meant %q", found, meant)
	}
}
