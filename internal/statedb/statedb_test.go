package statedb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// holdDir names the directory that a second copy of this test binary is to open and hold.
const holdDir = "GATEHOUSE_TEST_HOLD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdDir); dir != "" {
		hold(dir)
		return
	}
	os.Exit(m.Run())
}

// hold opens dir, says so, and keeps it until its standard input ends.
func hold(dir string) {
	if _, err := Open(dir); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("held")
	bufio.NewReader(os.Stdin).ReadString('\n')
}

func mustOpen(t *testing.T, dir string) *bbolt.DB {
	t.Helper()
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestOpenModes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "state")
	mustOpen(t, dir).Close()
	file := filepath.Join(dir, dbName)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, file: 0o600, filepath.Join(dir, pidName): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %s = %o, want %o", filepath.Base(path), got, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(garbage, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(garbage, dbName), bytes.Repeat([]byte("not a database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{file, garbage} {
		db, err := Open(d)
		if err == nil {
			db.Close()
			t.Errorf("Open(%s) succeeded", filepath.Base(d))
			continue
		}
		if !strings.HasPrefix(err.Error(), "state.dir "+d+": ") {
			t.Errorf("Open(%s): %q does not begin with the directory", filepath.Base(d), err)
		}
	}
}

// Ensure a file that is not whole is refused with a word on what to do, and not with a panic; and that one half of bbolt's two
// headers is enough, since a crash may tear the other.
func TestDamaged(t *testing.T) {
	t.Parallel()
	const page = 4096
	zero := make([]byte, page)
	for name, damage := range map[string]func(t *testing.T, f *os.File, size int64){
		"cut to half":          func(_ *testing.T, f *os.File, size int64) { f.Truncate(size / 2) },
		"cut to three pages":   func(_ *testing.T, f *os.File, _ int64) { f.Truncate(3 * page) },
		"both headers torn":    func(_ *testing.T, f *os.File, _ int64) { f.WriteAt(zero, 0); f.WriteAt(zero, page) },
		"all but headers zero": func(_ *testing.T, f *os.File, size int64) { fill(f, size, zero) },
		"all but headers noise": func(_ *testing.T, f *os.File, size int64) {
			fill(f, size, bytes.Repeat([]byte{0xa5}, page))
		},
		"all but headers small numbers": func(_ *testing.T, f *os.File, size int64) {
			fill(f, size, bytes.Repeat([]byte{2, 0, 0, 0}, page/4))
		},
		"first header torn":  nil,
		"second header torn": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			db := mustOpen(t, dir)
			for i := range 300 {
				put(t, db, "keep", fmt.Sprint("k", i), string(bytes.Repeat([]byte("v"), 1000)))
			}
			db.Close()
			f, err := os.OpenFile(filepath.Join(dir, dbName), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if damage == nil {
				f.WriteAt(zero, map[string]int64{"first header torn": 0, "second header torn": page}[name])
				db, err := Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if got := get(t, db, "keep", "k1"); len(got) != 1000 {
					t.Errorf("keep/k1 has %d bytes, want 1000", len(got))
				}
				return
			}
			damage(t, f, size(t, dir))
			db, err = Open(dir)
			if err == nil {
				db.Close()
				t.Fatal("Open succeeded")
			}
			if !strings.HasPrefix(err.Error(), "state.dir "+dir+": ") || !errors.Is(err, errDamaged) {
				t.Errorf("Open: %v", err)
			}
			if again, err := Open(dir); err == nil || !errors.Is(err, errDamaged) { // the lock was let go of
				t.Errorf("Open again: %v, %v", again, err)
			}
		})
	}
}

// fill writes a page over all but the headers.
func fill(f *os.File, size int64, page []byte) {
	for at := int64(2 * len(page)); at < size; at += int64(len(page)) {
		f.WriteAt(page, at)
	}
}

// Ensure another process is kept out, quickly, and told who is in.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdDir+"="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("the first process says %q, %v", line, err)
	}
	_, err = Open(dir)
	want := fmt.Sprintf("state.dir %s is in use by another gatehouse (pid %d)", dir, cmd.Process.Pid)
	if err == nil || err.Error() != want {
		t.Errorf("Open = %v, want %s", err, want)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir)
}

// Ensure a process that waited for the lock of a file which has lost its name does not take it for the database.
func TestReplacedWhileWaiting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, dbName)
	db, file, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if !current(file, path) {
		t.Error("a file that was just opened is not current")
	}
	if err := rewrite(db, dir); err != nil {
		t.Fatal(err)
	}
	if current(file, path) {
		t.Error("a file that a compaction has replaced is current")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if current(file, path) {
		t.Error("a file without a name is current")
	}
}

func TestCompacts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, dir)
	if db.NoSync || db.NoGrowSync {
		t.Error("what was written is not on the disk when a transaction ends")
	}
	put(t, db, "keep", "k", "v")
	big := string(bytes.Repeat([]byte("x"), 4<<20))
	put(t, db, "drop", "k", big)
	if err := db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("drop")) }); err != nil {
		t.Fatal(err)
	}
	db.Close()
	before := size(t, dir)
	// What a crash in the middle of an earlier compaction left behind must not be in the way.
	if err := os.WriteFile(filepath.Join(dir, newName), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}

	db = mustOpen(t, dir)
	if after := size(t, dir); after > before/2 {
		t.Errorf("the file had %d bytes, of which 4 MiB were free, and has %d", before, after)
	}
	if got := get(t, db, "keep", "k"); got != "v" {
		t.Errorf("keep/k = %q after compaction, want %q", got, "v")
	}
	if _, err := os.Stat(filepath.Join(dir, newName)); err == nil {
		t.Errorf("%s is still there", newName)
	}
	put(t, db, "keep", "k", "v2")
	db.Close()
	if got := get(t, mustOpen(t, dir), "keep", "k"); got != "v2" {
		t.Errorf("keep/k = %q after another start, want %q", got, "v2")
	}
}

// Ensure a process that is killed while it compacts leaves a directory that opens, with all that it held.
func TestKilledWhileCompacting(t *testing.T) {
	t.Parallel()
	made := t.TempDir()
	db := mustOpen(t, made)
	big := string(bytes.Repeat([]byte("x"), 2<<20))
	for i := range 4 {
		put(t, db, "keep", fmt.Sprint("k", i), big)
		put(t, db, "drop", fmt.Sprint("k", i), big+big)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("drop")) }); err != nil {
		t.Fatal(err)
	}
	db.Close()
	file, err := os.ReadFile(filepath.Join(made, dbName))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, dbName)
	middle := 0
	for round := range 6 {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), holdDir+"="+dir)
		stdin, err := cmd.StdinPipe() // which keeps it from ending by itself
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for begun, end := false, time.Now().Add(30*time.Second); !begun; { // a compaction that has written so much
			info, err := os.Stat(filepath.Join(dir, newName))
			begun = err == nil && info.Size() >= int64(round)<<20
			if now, err := os.Stat(path); err == nil && now.Size() < int64(len(file)) {
				break // it was over before we looked
			}
			if time.Now().After(end) {
				t.Error("no compaction in 30 s")
				break
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		stdin.Close()
		if _, err := os.Stat(filepath.Join(dir, newName)); err == nil {
			middle++
		}
		db, err := Open(dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for i := range 4 {
			if got := get(t, db, "keep", fmt.Sprint("k", i)); got != big {
				t.Errorf("round %d: k%d has %d bytes, want %d", round, i, len(got), len(big))
			}
		}
		db.Close()
	}
	if middle == 0 {
		t.Error("no process was killed in the middle of a compaction")
	}
	t.Logf("%d of 6 were killed in the middle", middle)
}

// Ensure a state directory in which nothing can be compacted still opens, with all that it holds.
func TestCompactionImpossible(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, dir)
	put(t, db, "keep", "k", "v")
	put(t, db, "drop", "k", string(bytes.Repeat([]byte("x"), 4<<20)))
	if err := db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("drop")) }); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if err := os.MkdirAll(filepath.Join(dir, newName, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := get(t, mustOpen(t, dir), "keep", "k"); got != "v" {
		t.Errorf("keep/k = %q, want %q", got, "v")
	}
}

func size(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, dbName))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func put(t *testing.T, db *bbolt.DB, bucket, key, value string) {
	t.Helper()
	err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucket))
		if err != nil {
			return err
		}
		return b.Put([]byte(key), []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, db *bbolt.DB, bucket, key string) (value string) {
	t.Helper()
	err := db.View(func(tx *bbolt.Tx) error {
		value = string(tx.Bucket([]byte(bucket)).Get([]byte(key)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}
