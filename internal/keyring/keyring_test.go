package keyring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/statedb"
	"gatehouse/internal/token"

	"go.etcd.io/bbolt"
)

func openDB(t *testing.T, dir string) *bbolt.DB {
	t.Helper()
	db, err := statedb.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func openRing(t *testing.T, db *bbolt.DB, need ...token.Algorithm) *Ring {
	t.Helper()
	r, err := Open(t.Context(), Options{DB: db}, Use{Algorithms: need})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func generate(t *testing.T, alg token.Algorithm) *token.PrivateKey {
	t.Helper()
	k, err := token.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// consistent checks that every view of r shows the same keys.
func consistent(t *testing.T, r *Ring) {
	t.Helper()
	var set struct {
		Keys []struct{ Kid, Alg string }
	}
	if err := json.Unmarshal(r.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	infos := r.Keys()
	if len(set.Keys) != len(infos) {
		t.Fatalf("%d keys published, %d known", len(set.Keys), len(infos))
	}
	for i, info := range infos {
		if set.Keys[i].Kid != info.ID || set.Keys[i].Alg != string(info.Algorithm) {
			t.Errorf("published %v, known %v", set.Keys[i], info)
		}
		if k := r.Key(info.ID); k == nil || k.ID() != info.ID || k.Algorithm() != info.Algorithm {
			t.Errorf("Key(%q) = %v", info.ID, k)
		}
		s := r.Signer(info.Algorithm)
		if signs := s != nil && s.Public().ID() == info.ID; signs != (info.State == Current) {
			t.Errorf("%q signs %v, and its state is %q", info.ID, signs, info.State)
		}
	}
	if r.Key("") != nil || r.Key("nobody") != nil || r.Signer("") != nil || r.Signer("none") != nil {
		t.Error("a key that is not there")
	}
}

func TestGeneratedKeysSurvive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all := []token.Algorithm{token.ES256, token.RS256, token.PS256, token.EdDSA}
	db := openDB(t, dir)
	first := openRing(t, db, all...)
	consistent(t, first)
	if len(first.Keys()) != 4 {
		t.Fatalf("%d keys", len(first.Keys()))
	}
	for _, info := range first.Keys() {
		if age := time.Since(info.Created); info.State != Current || age < 0 || age > time.Hour {
			t.Errorf("%+v", info)
		}
	}
	raw, err := first.Signer(token.ES256).Issue(token.Issue{Issuer: "i", Client: "c", Audience: "a", ID: "j", IssuedAt: 1, Expires: 2, Dialect: token.RFC9068})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()

	second := openRing(t, openDB(t, dir), token.ES256)
	consistent(t, second)
	if !bytes.Equal(first.JWKS(), second.JWKS()) || !slices.EqualFunc(first.Keys(), second.Keys(), sameInfo) {
		t.Errorf("before %v, after the restart %v", first.Keys(), second.Keys())
	}
	tok, err := token.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tok.Verify(second.Key(tok.KeyID)); err != nil {
		t.Errorf("a token from before the restart: %v", err)
	}
}

func sameInfo(a, b Info) bool {
	return a.ID == b.ID && a.Algorithm == b.Algorithm && a.State == b.State && a.Created.Equal(b.Created)
}

func TestEnsure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	r := openRing(t, db)
	consistent(t, r)
	if string(r.JWKS()) != `{"keys":[]}` || r.Signer(token.ES256) != nil {
		t.Fatalf("a ring of no keys: %s", r.JWKS())
	}
	before := r.Generation()
	if err := r.Ensure(t.Context(), Use{Algorithms: []token.Algorithm{token.ES256, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	es := r.Signer(token.ES256)
	if es == nil || len(r.Keys()) != 1 {
		t.Fatalf("keys %v", r.Keys())
	}
	grown := r.Generation()
	if grown <= before {
		t.Errorf("generation %d, then %d", before, grown)
	}
	if err := r.Ensure(t.Context(), Use{Algorithms: []token.Algorithm{token.ES256}}); err != nil || r.Generation() != grown {
		t.Errorf("nothing lacked: %v, generation %d, then %d", err, grown, r.Generation())
	}
	if err := r.Ensure(t.Context(), Use{Algorithms: []token.Algorithm{token.EdDSA, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	if r.Signer(token.ES256).Public().ID() != es.Public().ID() || r.Signer(token.EdDSA) == nil || r.Generation() <= grown {
		t.Errorf("keys %v, generation %d, then %d", r.Keys(), grown, r.Generation())
	}
	consistent(t, r)
	jwks := slices.Clone(r.JWKS())
	if err := r.Ensure(t.Context(), Use{Algorithms: []token.Algorithm{"none"}}); err == nil || !bytes.Equal(r.JWKS(), jwks) {
		t.Errorf("a key for none: %v", err)
	}
	// What cannot be stored is not used.
	db.Close()
	if err := r.Ensure(t.Context(), Use{Algorithms: []token.Algorithm{token.RS256}}); err == nil || r.Signer(token.RS256) != nil || !bytes.Equal(r.JWKS(), jwks) {
		t.Errorf("a key that is not on disk: %v, %v", err, r.Signer(token.RS256))
	}
}

// Ensure readers see whole sets while keys are added.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	r := openRing(t, openDB(t, t.TempDir()), token.ES256)
	es := r.Keys()[0].ID
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if r.Key(es) == nil || r.Signer(token.ES256) == nil || !bytes.Contains(r.JWKS(), []byte(es)) || len(r.Keys()) == 0 {
					t.Error("the first key went away")
				}
				if s := r.Signer(token.EdDSA); s != nil && r.Key(s.Public().ID()) == nil {
					t.Error("a key signs that does not verify")
				}
				r.Generation()
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			if err := r.Ensure(t.Context(), Use{Algorithms: []token.Algorithm{token.EdDSA}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(r.Keys()); n != 2 {
		t.Errorf("%d keys, want one for each algorithm", n)
	}
}

// Ensure a stored key that is not what it says stops the start, and is not quoted.
func TestOpenRefusesDamage(t *testing.T) {
	t.Parallel()
	text, err := generate(t, token.ES256).PEM()
	if err != nil {
		t.Fatal(err)
	}
	rec := func(alg string) string {
		doc, err := json.Marshal(map[string]any{"alg": alg, "created": time.Now(), "private": string(text)})
		if err != nil {
			t.Fatal(err)
		}
		return string(doc)
	}
	for name, value := range map[string]string{
		"not JSON":          "c4n4ry",
		"empty":             "",
		"no key":            `{"alg":"ES256"}`,
		"garbage for a key": `{"alg":"ES256","private":"c4n4ry"}`,
		"other algorithm":   rec("RS256"),
		"no algorithm":      rec(""),
		"other kid":         rec("ES256"),
	} {
		db := openDB(t, t.TempDir())
		err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(plainBucket)
			if err != nil {
				return err
			}
			return b.Put([]byte("kid"), []byte(value))
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(t.Context(), Options{DB: db}, Use{})
		if err == nil || r != nil {
			t.Errorf("%s: opened", name)
			continue
		}
		if !strings.HasPrefix(err.Error(), `signing keys in state.dir: key "kid": `) || strings.Contains(err.Error(), "c4n4ry") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// dir writes key files, by name, into a new directory.
func dir(t *testing.T, files map[string][]byte) string {
	t.Helper()
	d := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(d, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func pemOf(t *testing.T, k *token.PrivateKey) []byte {
	t.Helper()
	text, err := k.PEM()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// publicJWK is k's public half, as it is published.
func publicJWK(t *testing.T, k *token.PrivateKey) []byte {
	t.Helper()
	set, err := token.MarshalJWKS([]*token.PublicKey{k.Public()})
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(bytes.TrimPrefix(set, []byte(`{"keys":[`)), []byte(`]}`))
}

func TestLoad(t *testing.T) {
	t.Parallel()
	a, b, c, ed := generate(t, token.ES256), generate(t, token.ES256), generate(t, token.ES256), generate(t, token.EdDSA)
	d := dir(t, map[string][]byte{
		"2025.pem":   pemOf(t, a),
		"2026.pem":   pemOf(t, b),
		"Z.pem":      pemOf(t, ed),
		"old.jwk":    publicJWK(t, c),
		".hidden":    []byte("not a key"),
		".2024.pem~": pemOf(t, c),
	})
	if err := os.Mkdir(filepath.Join(d, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	need := []token.Algorithm{token.ES256, token.EdDSA}
	for _, tt := range []struct {
		name    string
		signing map[token.Algorithm]string
		signer  *token.PrivateKey
	}{
		{"the last name signs", nil, b},
		{"signing says which", map[token.Algorithm]string{token.ES256: "2025.pem"}, a},
	} {
		r, err := Load(d, tt.signing, need, nil)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		consistent(t, r)
		if got := r.Signer(token.ES256).Public().ID(); got != tt.signer.Public().ID() {
			t.Errorf("%s: %q signs", tt.name, got)
		}
		var ids []string
		for _, info := range r.Keys() {
			ids = append(ids, info.ID)
			if info.Created.IsZero() {
				t.Errorf("%s: no time for %q", tt.name, info.ID)
			}
		}
		want := []string{a.Public().ID(), b.Public().ID(), ed.Public().ID(), c.Public().ID()} // 2025 2026 Z old: byte order
		if !slices.Equal(ids, want) {
			t.Errorf("%s: keys %q, want %q", tt.name, ids, want)
		}
		if len(r.Warnings()) != 0 {
			t.Errorf("%s: warnings %q", tt.name, r.Warnings())
		}
		if err := r.Ensure(t.Context(), Use{Algorithms: need}); err != nil {
			t.Errorf("%s: Ensure: %v", tt.name, err)
		}
		if err := r.Ensure(t.Context(), Use{Algorithms: []token.Algorithm{token.RS256}}); err == nil || !strings.Contains(err.Error(), "RS256") {
			t.Errorf("%s: Ensure(RS256) = %v", tt.name, err)
		}
	}
}

// Ensure two rings never share a generation, so that what was remembered under one never counts under the other.
func TestGenerationsDiffer(t *testing.T) {
	t.Parallel()
	d := dir(t, map[string][]byte{"k.pem": pemOf(t, generate(t, token.ES256))})
	seen := map[uint64]bool{}
	for range 3 {
		r, err := Load(d, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if seen[r.Generation()] || r.Generation() == 0 {
			t.Errorf("generation %d again", r.Generation())
		}
		seen[r.Generation()] = true
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	es, ed := generate(t, token.ES256), generate(t, token.EdDSA)
	for _, c := range []struct {
		name    string
		files   map[string][]byte
		signing map[token.Algorithm]string
		need    token.Algorithm
		want    []string // each in the error; DIR stands for the directory
	}{
		{"no signer", map[string][]byte{"a.pem": pemOf(t, ed)}, nil, token.ES256, []string{"key_dir: DIR: no private key for [ES256]"}},
		{"only a public key", map[string][]byte{"a.jwk": publicJWK(t, es)}, nil, token.ES256, []string{"no private key for [ES256]"}},
		{"nothing", nil, nil, token.ES256, []string{"no private key for [ES256]"}},
		{"several problems", map[string][]byte{"a.pem": []byte("x"), "b.pem": nil, "c.pem": pemOf(t, es)}, nil, token.ES256,
			[]string{"key_dir: DIR/a.pem: neither a PEM", "key_dir: DIR/b.pem: neither a PEM"}},
		{"two keys in a file", map[string][]byte{"a.pem": append(pemOf(t, es), pemOf(t, ed)...)}, nil, token.ES256, []string{"DIR/a.pem: more than one PEM block"}},
		{"the same key twice", map[string][]byte{"a.pem": pemOf(t, es), "b.pem": pemOf(t, es)}, nil, token.ES256,
			[]string{"key_dir: DIR/b.pem: the same key as in a.pem"}},
		{"a key and its public half", map[string][]byte{"a.jwk": publicJWK(t, es), "b.pem": pemOf(t, es)}, nil, token.ES256, []string{"the same key as in a.jwk"}},
		{"signing names no file", map[string][]byte{"a.pem": pemOf(t, es)}, map[token.Algorithm]string{token.ES256: "b.pem"}, token.ES256,
			[]string{"signing: ES256: DIR/b.pem: no such key file"}},
		{"signing names a public key", map[string][]byte{"a.jwk": publicJWK(t, es)}, map[token.Algorithm]string{token.ES256: "a.jwk"}, token.ES256,
			[]string{"a public key, which cannot sign"}},
		{"signing names another algorithm", map[string][]byte{"a.pem": pemOf(t, es)}, map[token.Algorithm]string{token.EdDSA: "a.pem"}, token.ES256,
			[]string{"signing: EdDSA: DIR/a.pem: a key for ES256"}},
		{"signing names a hidden file", map[string][]byte{".a.pem": pemOf(t, es), "b.pem": pemOf(t, ed)}, map[token.Algorithm]string{token.ES256: ".a.pem"}, token.EdDSA,
			[]string{"no such key file"}},
		{"endless", map[string][]byte{"a.pem": bytes.Repeat([]byte("x"), 1<<20)}, nil, token.ES256, []string{"DIR/a.pem: longer than 64 KiB"}},
	} {
		d := dir(t, c.files)
		r, err := Load(d, c.signing, []token.Algorithm{c.need}, nil)
		if err == nil || r != nil {
			t.Errorf("%s: loaded", c.name)
			continue
		}
		for _, want := range c.want {
			if want = strings.ReplaceAll(want, "DIR", d); !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q, want it to say %q", c.name, err, want)
			}
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "absent"), nil, nil, nil); err == nil {
		t.Error("a directory that is not there loaded")
	}
}

// Ensure what is not a file cannot hang the start.
func TestLoadRefusesPipe(t *testing.T) {
	t.Parallel()
	d := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(d, "pipe"), 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := Load(d, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Load = %v", err)
	}
	if err := os.Symlink("nowhere", filepath.Join(d, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(d, nil, nil, nil); err == nil {
		t.Error("a dangling link loaded")
	}
}

// Ensure the way Kubernetes mounts a Secret works, and that its open modes are a warning.
func TestKubernetesMount(t *testing.T) {
	t.Parallel()
	d := t.TempDir()
	now := filepath.Join(d, "..2026_01_01")
	if err := os.Mkdir(now, 0o755); err != nil {
		t.Fatal(err)
	}
	es, old := generate(t, token.ES256), generate(t, token.ES256)
	for name, data := range map[string][]byte{"es.pem": pemOf(t, es), "zz-old.jwk": publicJWK(t, old)} {
		if err := os.WriteFile(filepath.Join(now, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(now, name), 0o644); err != nil { // whatever the umask is
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(d, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("..2026_01_01", filepath.Join(d, "..data")); err != nil {
		t.Fatal(err)
	}
	r, err := Load(d, map[token.Algorithm]string{token.ES256: "es.pem"}, []token.Algorithm{token.ES256}, nil)
	if err != nil {
		t.Fatal(err)
	}
	consistent(t, r)
	if r.Signer(token.ES256).Public().ID() != es.Public().ID() || r.Key(old.Public().ID()) == nil || len(r.Keys()) != 2 {
		t.Errorf("keys %v", r.Keys())
	}
	want := fmt.Sprintf("key_dir: %s: others can read this private key (mode 0644): chmod 600 it", filepath.Join(d, "es.pem"))
	if got := r.Warnings(); len(got) != 1 || got[0] != want {
		t.Errorf("warnings %q, want %q alone", got, want)
	}
}

func BenchmarkKey(b *testing.B) {
	k, err := token.Generate(token.ES256)
	if err != nil {
		b.Fatal(err)
	}
	set, err := assemble([]standing{{entry: entry{id: k.Public().ID(), alg: token.ES256, public: k.Public(), private: k}, state: Current}})
	if err != nil {
		b.Fatal(err)
	}
	r := &Ring{}
	r.now.Store(set)
	b.ReportAllocs()
	for b.Loop() {
		if r.Key(k.Public().ID()) == nil || r.Generation() == 0 {
			b.Fatal("no key")
		}
	}
}
