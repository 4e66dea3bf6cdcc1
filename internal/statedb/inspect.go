package statedb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// errDamaged is the error of a file that is no longer what was written: a disk failed, or a copy of it is not whole.
var errDamaged = errors.New(dbName + " is damaged: put back a copy of it that was made while gatehouse was stopped, or move it away to " +
	"start anew, without what it alone held (revocations and signing keys; those of a fleet come back from Redis)")

// inspect reads all that is in the file at path, as bbolt does when it is opened to be written, and returns errDamaged where
// that cannot be. bbolt itself would end the process, some of it from a goroutine of its own.
func inspect(path string) (err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockWait})
	if errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) {
		return fmt.Errorf("%w (%w)", errDamaged, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bbolt.Tx) error {
		if now, err := os.Stat(path); err != nil || now.Size() < tx.Size() {
			return errors.Join(err, fmt.Errorf("%w (it should have %d bytes)", errDamaged, tx.Size()))
		}
		return whole(tx)
	})
}

// whole reads every page of keys. What is no such page panics, and one that cannot be read at all faults.
func whole(tx *bbolt.Tx) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer damaged(&err)
	return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return read(b) })
}

func read(b *bbolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		if v != nil {
			return nil
		}
		if inner := b.Bucket(k); inner != nil {
			return read(inner)
		}
		return nil
	})
}

// damaged makes an error of a panic over what is in the file. It is to be deferred.
func damaged(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w (%v)", errDamaged, r)
	}
}
