package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// maxSmall bounds secrets, keys and certificates, in bytes.
const maxSmall = 1 << 20

// watch is which files and directories were named, and the hash of the content of each file that was read.
type watch struct {
	named   []string
	sums    map[string][32]byte
	instead map[string][]byte // Options.Instead
}

// file reads a file of at most limit bytes.
func (w *watch) file(path string, limit int64) ([]byte, error) {
	w.name(path)
	return w.read(path, limit)
}

func (w *watch) name(path string) {
	if !slices.Contains(w.named, path) {
		w.named = append(w.named, path)
	}
}

// dir lists the files directly in a directory, without those whose names start with a dot, in byte order of their names. A
// link counts as what it points to, since Kubernetes mounts are links.
func (w *watch) dir(path string) ([]string, error) {
	w.name(path)
	return listDir(path)
}

func (w *watch) read(path string, limit int64) ([]byte, error) {
	content, given := w.instead[filepath.Clean(path)]
	var err error
	if !given {
		content, err = readFile(path, limit)
	}
	if err == nil {
		w.sums[path] = sha256.Sum256(content)
	}
	return content, err
}

// hash is over every file's name and content.
func (w *watch) hash() string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(w.sums)) {
		sum := w.sums[path]
		fmt.Fprintf(h, "%d:%s%x", len(path), path, sum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened, since to open a pipe is to wait for a writer
	if err != nil {
		return nil, plainError(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, plainError(path, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, plainError(path, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %s, which is the most that is read", path, bytesText(limit))
	}
	return content, nil
}

func listDir(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, plainError(path, err)
	}
	var out []string
	for _, e := range entries {
		full := filepath.Join(path, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := os.Stat(full); err != nil || info.Mode().IsRegular() {
			out = append(out, full) // one that can't be looked at is named when it is read
		}
	}
	return out, nil
}

// plainError says in our words what the system said of a file.
func plainError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be read by this user", path)
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// Fingerprint hashes what stands now in the files and directories of Config.Watched. It equals Config.Hash while nothing
// has changed since Load. A file that is gone or can't be read is left out, and so changes the fingerprint.
func Fingerprint(watched []string) string {
	w := watch{sums: make(map[string][32]byte)}
	for _, path := range watched {
		files := []string{path}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			files, _ = listDir(path)
		}
		for _, f := range files {
			_, _ = w.read(f, maxFile) // one that can't be read has no sum
		}
	}
	return w.hash()
}

// near is a file name from the configuration, relative to the file that names it.
func near(at node, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(at.doc.name), name)
}

// secretFile reads a secret from a file: its content without one trailing newline. It warns where others can read it.
func (r *reader) secretFile(x val[string]) string {
	if !x.set {
		return ""
	}
	path := near(x.at, x.v)
	content, err := r.files.file(path, maxSmall)
	if err != nil {
		r.fail(x.at, "%v", err)
		return ""
	}
	s, cut := strings.CutSuffix(string(content), "\n")
	if cut {
		s = strings.TrimSuffix(s, "\r")
	}
	if s == "" {
		r.fail(x.at, "%s is empty", path)
	}
	r.warnOpenFile(x.at, path)
	return s
}

// warnOpenFile warns of a secret that anyone on the machine can read. It is no error, since mounts of Kubernetes are so.
func (r *reader) warnOpenFile(at node, path string) {
	info, err := os.Stat(path)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		r.warn(at, "%s has mode %04o, so that others can use it — chmod 600 %s", path, info.Mode().Perm(), path)
	}
}

// warnWritable warns of a file of the configuration that everybody may write: who does so opens what they like.
func (r *reader) warnWritable(d *document) {
	info, err := os.Stat(d.name)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0 {
		r.warnings.add(d, 0, 0, fmt.Sprintf("%s has mode %04o, so that everybody on this machine can change it — chmod o-w %s", d.name, info.Mode().Perm(), d.name))
	}
}

var privateKey = regexp.MustCompile(`PRIVATE KEY-----|"d"\s*:`)

// keyFiles reads the names of the files in key_dir. What the keys are is for the key ring to judge.
func (r *reader) keyFiles(x val[string]) (dir string, names []string) {
	if !x.set {
		return "", nil
	}
	dir = near(x.at, x.v)
	files, err := r.files.dir(dir)
	if err != nil {
		r.fail(x.at, "%v", err)
		return dir, nil
	}
	if len(files) == 0 {
		r.fail(x.at, "%s holds no keys — put PEM or JWK files there, or remove key_dir to have keys generated", dir)
	}
	for _, f := range files {
		content, err := r.files.read(f, maxSmall)
		if err != nil {
			r.fail(x.at, "%v", err)
			continue
		}
		if privateKey.Match(content) {
			r.warnOpenFile(x.at, f)
		}
		names = append(names, filepath.Base(f))
	}
	return dir, names
}
