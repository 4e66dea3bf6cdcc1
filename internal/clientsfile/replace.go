package clientsfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace puts content in place of the file at path, through a new file beside it that is renamed once it is safely on
// disk. A link is followed. Mode and owner stay; a new file gets 0644, since it holds no secret.
func Replace(path string, content []byte) (err error) {
	path = target(path)
	mode := fs.FileMode(0o644)
	was, statErr := os.Stat(path)
	if statErr == nil {
		mode = was.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".clients-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if statErr == nil {
		if err := chown(f, was); err != nil {
			return err
		}
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// target is the file that a link leads to, whether or not it is there; path where there is no link.
func target(path string) string {
	if file, err := filepath.EvalSymlinks(path); err == nil {
		return file
	}
	file, err := os.Readlink(path)
	switch {
	case err != nil:
		return path
	case !filepath.IsAbs(file):
		return filepath.Join(filepath.Dir(path), file)
	}
	return file
}

// syncDir makes a rename survive a power cut, where the system can.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
