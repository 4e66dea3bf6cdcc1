//go:build unix

package clientsfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// chown gives f the owner of the file that it takes the place of. What runs as root would else leave a file that the
// gateway can't read. Who may not do that keeps the file.
func chown(f *os.File, was fs.FileInfo) error {
	old, ok1 := was.Sys().(*syscall.Stat_t)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	now, ok2 := info.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || old.Uid == now.Uid && old.Gid == now.Gid {
		return nil
	}
	if err = f.Chown(int(old.Uid), int(old.Gid)); errors.Is(err, fs.ErrPermission) {
		err = f.Chown(-1, int(old.Gid)) // only root gives files away
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}
