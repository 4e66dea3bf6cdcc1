// Package statedb opens the one bbolt file in state.dir, in which a node keeps what must survive a restart: its signing
// keys and the journal of revocations. Each of their packages has its own bucket.
package statedb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	dbName  = "gatehouse.db"
	pidName = "gatehouse.pid" // who holds the database, for the error that a second process gets
	newName = "gatehouse.db.compact"

	// looks times lockWait stays under the second that Open may take to find the directory in use.
	looks    = 3
	lockWait = 300 * time.Millisecond

	// compactFrom is the size, in bytes, below which a file is not worth rewriting.
	compactFrom = 1 << 20
	// compactBatch bounds what one transaction of a compaction holds in memory, in bytes.
	compactBatch = 1 << 20
)

// Open opens dir/gatehouse.db, making both where they are missing: the directory with mode 0700, the file with 0600, which
// it also gets back where it was widened. A file of more than 1 MiB that is more than half free is compacted first. Only
// one process may have a directory open: a second gets an error, at most a second later, that names the first where it
// is known. The caller closes the database.
func Open(dir string) (*bbolt.DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state.dir %s: %w", dir, err)
	}
	path := filepath.Join(dir, dbName)
	db, err := openCurrent(path)
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, inUse(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("state.dir %s: %w", dir, err)
	}
	if wasteful(db) && rewrite(db, dir) == nil { // where it cannot be rewritten, for want of space perhaps, it serves as it is
		if err := db.Close(); err != nil {
			return nil, fmt.Errorf("state.dir %s: %w", dir, err)
		}
		if db, err = openCurrent(path); err != nil {
			return nil, fmt.Errorf("state.dir %s: %w", dir, err)
		}
	}
	if err := settle(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("state.dir %s: %w", dir, err), db.Close())
	}
	return db, nil
}

// openCurrent opens the file that path names. A compaction by another process may have put a new file there while we
// waited for the lock of the old one; then the lock that we got protects nothing, and we look again.
func openCurrent(path string) (*bbolt.DB, error) {
	if err := inspect(path); err != nil {
		return nil, err
	}
	for range looks {
		db, file, err := open(path)
		if err != nil {
			return nil, err
		}
		if current(file, path) {
			return db, nil
		}
		if err := db.Close(); err != nil {
			return nil, err
		}
	}
	return nil, bolterrors.ErrTimeout
}

// current reports whether path still names the file that is open.
func current(file *os.File, path string) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(ours, named)
}

// open is bbolt's Open with our options. It also returns the file that the database holds.
func open(path string) (db *bbolt.DB, file *os.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(fmt.Errorf("%w (%v)", errDamaged, r), file.Close())
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:        lockWait,
		FreelistType:   bbolt.FreelistMapType,
		NoFreelistSync: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			file = f
			return f, err
		},
	})
	return db, file, err
}

// settle makes the file private and its name durable, and tells others who has it.
func settle(dir string) error {
	if err := os.Chmod(filepath.Join(dir, dbName), 0o600); err != nil {
		return err
	}
	// Where this cannot be written, the error of a second process lacks a number, and no more.
	_ = os.WriteFile(filepath.Join(dir, pidName), fmt.Appendln(nil, os.Getpid()), 0o600)
	return syncDir(dir)
}

// syncDir makes the names in dir durable, as fsync of a file alone does not.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func inUse(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, pidName))
	if err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return fmt.Errorf("state.dir %s is in use by another gatehouse (pid %d)", dir, pid)
		}
	}
	return fmt.Errorf("state.dir %s is in use by another gatehouse", dir)
}

// wasteful reports whether more than half of a file that is worth it is free.
func wasteful(db *bbolt.DB) bool {
	var size int64
	err := db.View(func(tx *bbolt.Tx) error {
		size = tx.Size()
		return nil
	})
	free := int64(db.Stats().FreePageN) * int64(db.Info().PageSize)
	return err == nil && size > compactFrom && free > size/2
}

// rewrite puts a compacted copy of db in the place of its file. db itself stays open, and so locked, on the old one.
func rewrite(db *bbolt.DB, dir string) error {
	temp := filepath.Join(dir, newName)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	copied, _, err := open(temp)
	if err != nil {
		return err
	}
	err = errors.Join(bbolt.Compact(copied, db, compactBatch), copied.Close())
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, filepath.Join(dir, dbName))
}
