//go:build unix

package clientsfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Lock keeps other edits of the file at path waiting until unlock, those of other processes too. It is a lock on the folder,
// since the file itself is replaced.
func Lock(path string) (unlock func(), err error) {
	d, err := os.Open(filepath.Dir(target(path)))
	if err != nil {
		return nil, err
	}
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX)
	}
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		d.Close()
		return nil, &fs.PathError{Op: "lock", Path: d.Name(), Err: err}
	}
	return func() { d.Close() }, nil // which unlocks
}
