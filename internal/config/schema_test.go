package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// unseen are the cases of testdata/bad that the schema lets pass, by what it would have to know.
var unseen = map[string][]string{
	"what files hold": {
		"admin-token", "admin-token-empty", "admin-token-missing", "apis-dir", "apis-dir-missing", "clients-empty", "clients-missing", "key-dir-empty",
		"key-dir-missing", "ring-key-lines", "ring-key-short", "ring-key-url",
	},
	"what the environment holds, and that a quoted variable stays text": {
		"env-null", "env-quoted-stays-text", "password-unset",
	},
	"how the YAML is written: its parser has resolved tags, merges and documents before": {
		"merge", "number-float", "second-document", "tag", "trailing-separator",
	},
	"what another key says, or that apis_dir may hold the APIs": {
		"admin-open", "clients-scope-short", "method-twice", "overlap", "overlap-hosts", "own-documents", "own-endpoints", "own-endpoints-host", "public-url-http",
		"redis-two-addresses", "redis-cluster", "redis-sentinel", "redis-standalone-sentinel", "ring-key-embedded", "ring-key-missing", "rotation-every", "rotation-order", "rotation-publish", "same-audience", "same-port",
		"scope-unknown", "scopes-not-declared", "signing-alone", "strip-prefix", "upgrade-http2", "upstream-admin-default", "upstream-own", "upstream-own-any",
		"no-api", "no-api-empty",
	},
	"that ports end at 65535, and that paths are clean": {
		"public-url-path", "public-url-port",
	},
}

func isUnseen(name string) bool {
	for _, names := range unseen {
		if slices.Contains(names, name) {
			return true
		}
	}
	return false
}

func compileSchema(t *testing.T, clients bool) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema(clients)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json") // checks it against the metaschema of its draft
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is YAML as an editor's server sees it: names are text, and so are times.
func asJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = asJSON(member)
		}
	case map[any]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[fmt.Sprint(name)] = asJSON(member)
		}
		return out
	case []any:
		for i, member := range v {
			v[i] = asJSON(member)
		}
	case time.Time:
		return v.Format(time.RFC3339)
	}
	return v
}

// validate is what a schema says of a file; also where it is no YAML, as an editor says that itself.
func validate(s *jsonschema.Schema, content string) error {
	var v any
	dec := yaml.NewDecoder(strings.NewReader(content))
	if err := dec.Decode(&v); err != nil {
		return err
	}
	return s.Validate(asJSON(v))
}

func TestSchemaFiles(t *testing.T) {
	t.Parallel()
	for name, clients := range map[string]bool{"gatehouse.schema.json": false, "gatehouse-clients.schema.json": true} {
		committed(t, filepath.Join("../../deploy", name), Schema(clients))
	}
}

// committed holds that a file is what the code makes, and writes it with -update.
func committed(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the declarations say; write it with: go test ./internal/config -update (%v)", path, err)
	}
}

// The referee is another's implementation of JSON Schema.
func TestSchemaTakesWhatLoads(t *testing.T) {
	t.Parallel()
	config, clients := compileSchema(t, false), compileSchema(t, true)
	files, err := filepath.Glob("testdata/good/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		a := readArchive(t, file)
		if err := validate(config, a.sections["config.yaml"]); err != nil {
			t.Errorf("%s: config.yaml: %v", file, err)
		}
		if text := a.sections["clients.yaml"]; text != "" {
			if err := validate(clients, text); err != nil {
				t.Errorf("%s: clients.yaml: %v", file, err)
			}
		}
	}
	example, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(config, string(example)); err != nil {
		t.Errorf("config.example.yaml: %v", err)
	}
}

// Each broken configuration is broken to the schema, too, or it is known why not.
func TestSchemaRefusesWhatDoesNotLoad(t *testing.T) {
	t.Parallel()
	config, clients := compileSchema(t, false), compileSchema(t, true)
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		a := readArchive(t, file)
		wrong := validate(config, a.sections["config.yaml"])
		if text, ok := a.sections["clients.yaml"]; ok && wrong == nil {
			wrong = validate(clients, text)
		}
		known := isUnseen(name)
		switch {
		case wrong == nil && !known:
			t.Errorf("%s: the schema takes it: see that it does not, or say in unseen why it can't", name)
		case wrong != nil && known:
			t.Errorf("%s: the schema refuses it: take it off unseen: %v", name, wrong)
		case wrong != nil:
			seen++
		}
	}
	t.Logf("%d of %d broken configurations are seen by the schema", seen, len(files))
}
