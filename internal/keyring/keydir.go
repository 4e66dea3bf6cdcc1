package keyring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/internal/token"
)

// maxFile is the size of the largest key file that is read, in bytes: an RSA key of 8192 bits in PEM takes under 7 KiB.
const maxFile = 64 << 10

// Load reads the keys of tokens.key_dir: the files directly in dir, without those with a leading dot, one key each, PEM or
// JWK. Public keys verify only. Of an algorithm's private keys the one in the file that signing names signs, else the one
// in the last file by name, in byte order; the others verify. Every algorithm of need must have one that signs. The
// error names every problem, each with its file.
//
// The mounts of Kubernetes work: their files are symbolic links, and what they link to is behind a leading dot.
//
// Keys that withdrawn names are passed over, as if their files were not there.
func Load(dir string, signing map[token.Algorithm]string, need []token.Algorithm, withdrawn map[string]bool) (*Ring, error) {
	files, err := keyFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("key_dir: %w", err)
	}
	r := &Ring{}
	var entries []entry
	var errs []error
	for _, name := range files {
		e, warning, err := readKey(dir, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("key_dir: %s: %w", filepath.Join(dir, name), err))
			continue
		}
		if warning != "" {
			r.warnings = append(r.warnings, warning)
		}
		entries = append(entries, e)
	}
	errs = append(errs, duplicates(dir, entries)...)
	if len(errs) > 0 { // what follows might miss a key only because its file is wrong
		return nil, errors.Join(errs...)
	}
	entries, signing = usable(entries, signing, withdrawn)
	signers, errs := choose(dir, entries, signing)
	if lacking := lacks(need, signers); len(lacking) > 0 {
		errs = append(errs, fmt.Errorf("key_dir: %s: %w", dir, noSigner(lacking)))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	set, err := assemble(filed(entries, signers))
	if err != nil {
		return nil, fmt.Errorf("key_dir: %w", err)
	}
	r.spare = spares(entries)
	r.now.Store(set)
	return r, nil
}

// usable is what is left of the entries without those withdrawn, and of signing without what names one.
func usable(entries []entry, signing map[token.Algorithm]string, withdrawn map[string]bool) ([]entry, map[token.Algorithm]string) {
	if len(withdrawn) == 0 {
		return entries, signing
	}
	left, names := []entry{}, maps.Clone(signing)
	for _, e := range entries {
		if !withdrawn[e.id] {
			left = append(left, e)
			continue
		}
		maps.DeleteFunc(names, func(_ token.Algorithm, file string) bool { return file == e.file })
	}
	return left, names
}

// CanReplace reports whether a ring of files has another private key for the algorithm of the key kid.
func (r *Ring) CanReplace(kid string) bool { return r.spare[kid] }

// spares are the ids of the private keys in whose place another can sign.
func spares(entries []entry) map[string]bool {
	count := map[token.Algorithm]int{}
	for _, e := range entries {
		if e.private != nil {
			count[e.alg]++
		}
	}
	out := map[string]bool{}
	for _, e := range entries {
		if e.private != nil && count[e.alg] > 1 {
			out[e.id] = true
		}
	}
	return out
}

// filed are the entries with what they are when signers sign.
func filed(entries []entry, signers map[token.Algorithm]*token.PrivateKey) []standing {
	out := make([]standing, len(entries))
	for i, e := range entries {
		out[i] = standing{entry: e, state: Verifying}
		if s := signers[e.alg]; s != nil && s.Public().ID() == e.id {
			out[i].state = Current
		}
	}
	return out
}

// keyFiles are the names of the files in dir, in byte order. Directories are passed over.
func keyFiles(dir string) ([]string, error) {
	listed, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range listed {
		if strings.HasPrefix(f.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, f.Name())) // follows links
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			names = append(names, f.Name())
		}
	}
	return names, nil
}

// readKey reads one file. The warning is empty unless others can read a private key.
func readKey(dir, name string) (e entry, warning string, err error) {
	path := filepath.Join(dir, name)
	data, info, err := readFile(path)
	if err != nil {
		return entry{}, "", err
	}
	private, public, err := token.ParseKey(data)
	if err != nil {
		return entry{}, "", err
	}
	if mode := info.Mode().Perm(); private != nil && mode&0o044 != 0 {
		warning = fmt.Sprintf("key_dir: %s: others can read this private key (mode %04o): chmod 600 it", path, mode)
	}
	return entry{id: public.ID(), alg: public.Algorithm(), public: public, private: private, created: info.ModTime(), file: name}, warning, nil
}

// readFile reads a regular file of at most maxFile bytes. Anything else might never end.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, plain(err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, plain(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, plain(err)
	}
	if len(data) > maxFile {
		return nil, nil, fmt.Errorf("longer than %d KiB, which no key is", maxFile>>10)
	}
	return data, info, nil
}

// plain is err without the path, which the caller names.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// duplicates is an error for each key that stands in more than one file, be it as private and as public key.
func duplicates(dir string, entries []entry) []error {
	var errs []error
	first := map[string]string{}
	for _, e := range entries {
		if file, ok := first[e.id]; ok {
			errs = append(errs, fmt.Errorf("key_dir: %s: the same key as in %s", filepath.Join(dir, e.file), file))
			continue
		}
		first[e.id] = e.file
	}
	return errs
}

// choose finds the signer of each algorithm that has a private key.
func choose(dir string, entries []entry, signing map[token.Algorithm]string) (map[token.Algorithm]*token.PrivateKey, []error) {
	signers := map[token.Algorithm]*token.PrivateKey{}
	for _, e := range entries { // in byte order of their files: the last one stays
		if e.private != nil {
			signers[e.alg] = e.private
		}
	}
	var errs []error
	for _, alg := range slices.Sorted(maps.Keys(signing)) {
		key, err := named(entries, alg, signing[alg])
		if err != nil {
			errs = append(errs, fmt.Errorf("signing: %s: %s: %w", alg, filepath.Join(dir, signing[alg]), err))
			continue
		}
		signers[alg] = key
	}
	return signers, errs
}

// named is the private key for alg in the file that tokens.signing names.
func named(entries []entry, alg token.Algorithm, file string) (*token.PrivateKey, error) {
	i := slices.IndexFunc(entries, func(e entry) bool { return e.file == file })
	if i < 0 {
		return nil, errors.New("no such key file")
	}
	if got := entries[i].alg; got != alg {
		return nil, fmt.Errorf("a key for %s", got)
	}
	if entries[i].private == nil {
		return nil, errors.New("a public key, which cannot sign")
	}
	return entries[i].private, nil
}
