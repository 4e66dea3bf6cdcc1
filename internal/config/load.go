package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/internal/secret"
)

// Options is what Load takes from its surroundings.
type Options struct {
	// Getenv looks up an environment variable. Nil is os.LookupEnv.
	Getenv func(name string) (value string, set bool)
	// Instead is content that counts in place of what a file holds, by the file's clean name, whether or not there is such a file: to
	// judge a change before it is made. Nil is none.
	Instead map[string][]byte
}

// Load reads config.yaml at path, and the clients file, the apis_dir and the secrets that it names. What is wrong is
// reported all at once, as Errors; beside them stands a Config that holds File, Hash and Watched alone, so that a caller can
// tell when another try is worth it. Files are named in problems as path names them: relative where it is relative.
func Load(path string, o Options) (*Config, error) {
	r := newReader(o)
	c := r.load(path)
	if len(r.problems) > 0 {
		return &Config{File: path, Hash: r.files.hash(), Watched: r.files.named}, Errors(r.problems.sorted())
	}
	c.Hash = r.files.hash()
	c.Watched = r.files.named
	c.Warnings = r.warnings.sorted()
	return c, nil
}

func newReader(o Options) *reader {
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	return &reader{getenv: o.Getenv, files: watch{sums: make(map[string][32]byte), instead: o.Instead}, elsewhere: elsewhere}
}

// ClientsFile is the clients file that config.yaml at path names, whether or not it exists. The rest of config.yaml is
// not judged.
func ClientsFile(path string, o Options) (string, error) {
	r := newReader(o)
	if _, raw := r.readConfig(path); raw != nil && raw.clientsFile.set {
		return near(raw.clientsFile.at, raw.clientsFile.v), nil
	}
	return "", Errors(r.problems.sorted())
}

// Addresses are where the process that runs by config.yaml at path is reached: the admin listener, and the issuer as it is
// written, which is empty where the file has none that can be used. The rest of the file is not judged: it may be broken while
// that process serves on by what it loaded.
func Addresses(path string, o Options) (admin, issuer string, err error) {
	r := newReader(o)
	_, raw := r.readConfig(path)
	if raw == nil {
		return "", "", Errors(r.problems.sorted())
	}
	admin = DefaultAdminListen
	if raw.admin.v != nil {
		admin = raw.admin.v.listen.or(admin)
	}
	if raw.server.v != nil {
		issuer = raw.server.v.publicURL.v.issuer
	}
	return admin, issuer, nil
}

// AdminToken is what the admin.token_file holds that config.yaml at path names; empty where it names none, or none that can be
// read. The rest of the file is not judged, as with Addresses.
func AdminToken(path string, o Options) secret.Text {
	r := newReader(o)
	if _, raw := r.readConfig(path); raw != nil && raw.admin.v != nil {
		return secret.Hide(r.secretFile(raw.admin.v.tokenFile))
	}
	return secret.Text{}
}

// readConfig returns nil where config.yaml can't be read at all.
func (r *reader) readConfig(path string) (node, *rawConfig) {
	content, err := r.files.file(path, maxFile)
	if err != nil {
		r.add(&document{name: path}, 0, 0, err.Error())
		return node{}, nil
	}
	root, ok := r.parse(path, content)
	if !ok {
		return node{}, nil
	}
	raw, _ := configForm.read(r, root)
	return root, raw
}

// load returns nil where config.yaml can't be read at all. What it returns counts only where no problem was found.
func (r *reader) load(path string) *Config {
	root, raw := r.readConfig(path)
	if raw == nil {
		return nil
	}
	apis := r.allAPIs(root, raw)
	c := &Config{File: path, places: make(map[string]node)}
	r.buildServer(c, raw)
	r.buildAdmin(c, raw)
	r.buildState(c, raw)
	r.buildAudit(c, raw)
	r.buildTokens(c, raw)
	c.Revocation = revocationOf(raw.revocation, Revocation{MaxStaleness: defaultStaleness})
	c.Log = Log{Level: "info", Format: "json"}
	if l := raw.log.v; l != nil {
		c.Log = Log{Level: l.level.or("info"), Format: l.format.or("json")}
	}
	r.buildIssuers(c, raw)
	r.buildAPIs(c, raw, apis)
	clientsRoot, clients := r.readClients(raw.clientsFile)
	r.buildClients(c, clients, apis)
	c.remember(root, raw)
	c.sources = &sources{root, apis, clientsRoot, r.getenv}
	return c
}

// allAPIs are the APIs of config.yaml and of the files in apis_dir, sorted by name.
func (r *reader) allAPIs(root node, raw *rawConfig) []entry[*rawAPI] {
	all := slices.Clone(raw.apis.v)
	if raw.apisDir.set {
		all = append(all, r.readAPIsDir(raw.apisDir)...)
	}
	first := make(map[string]node)
	var out []entry[*rawAPI]
	for _, e := range all {
		if other, twice := first[e.name]; twice {
			r.fail(e.key, "API %q is set twice — first set at %s", e.name, other.ref())
			continue
		}
		first[e.name] = e.key
		if e.set {
			out = append(out, e)
		}
	}
	if len(all) == 0 && (!raw.apis.present() || raw.apis.set && len(raw.apis.at.Content) == 0) {
		r.fail(root, "no API is declared — add one under apis, or name an apis_dir that holds one")
	}
	slices.SortFunc(out, func(a, b entry[*rawAPI]) int { return strings.Compare(a.name, b.name) })
	return out
}

func (r *reader) readAPIsDir(x val[string]) []entry[*rawAPI] {
	dir := near(x.at, x.v)
	files, err := r.files.dir(dir)
	if err != nil {
		r.fail(x.at, "%v", err)
		return nil
	}
	var out []entry[*rawAPI]
	for _, f := range files {
		content, err := r.files.read(f, maxFile)
		if ext := filepath.Ext(f); ext != ".yaml" && ext != ".yml" {
			continue
		}
		if err != nil {
			r.fail(x.at, "%v", err)
			continue
		}
		if root, ok := r.parse(f, content); ok {
			if extra, ok := extraForm.read(r, root); ok {
				out = append(out, extra.apis.v...)
			}
		}
	}
	return out
}
