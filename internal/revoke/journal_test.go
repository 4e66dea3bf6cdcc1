package revoke

import (
	"encoding/binary"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/internal/statedb"
)

// openDB opens the state in dir for as long as the test runs, unless it closes it before.
func openDB(t testing.TB, dir string) *bbolt.DB {
	t.Helper()
	db, err := statedb.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func openJournal(t testing.TB, dir string) (*Journal, *bbolt.DB) {
	t.Helper()
	db := openDB(t, dir)
	j, err := OpenJournal(db)
	if err != nil {
		t.Fatal(err)
	}
	return j, db
}

// load returns all that the journal holds at now, in no order.
func load(t testing.TB, j *Journal, now int64) (entries, queue []Entry) {
	t.Helper()
	queue, err := j.Load(now, func(e ...Entry) { entries = append(entries, e...) })
	if err != nil {
		t.Fatal(err)
	}
	return entries, queue
}

func sameEntries(a, b []Entry) bool {
	if len(a) != len(b) {
		return false
	}
	for _, e := range a {
		if !slices.Contains(b, e) {
			return false
		}
	}
	return true
}

func TestJournalOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, db := openJournal(t, dir)
	if err := j.Put(false, someEntries[:2]...); err != nil {
		t.Fatal(err)
	}
	if err := j.Put(true, someEntries[2:]...); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	j, _ = openJournal(t, dir)
	entries, queue := load(t, j, 10)
	if !sameEntries(entries, someEntries) || !sameEntries(queue, someEntries[2:]) {
		t.Errorf("loaded %+v, queue %+v", entries, queue)
	}
	if err := j.Unqueue(someEntries[2:4]); err != nil {
		t.Fatal(err)
	}
	if _, queue = load(t, j, 10); !sameEntries(queue, someEntries[4:]) {
		t.Errorf("queue %+v, wanted %+v", queue, someEntries[4:])
	}
}

func TestJournalKeepsTheLargerOfEach(t *testing.T) {
	t.Parallel()
	j, _ := openJournal(t, t.TempDir())
	e := Entry{Kind: Client, Issuer: "local", Name: "c", NotBefore: 200, Expires: 5000}
	older := e
	older.NotBefore, older.Expires = 100, 9000
	for _, put := range []Entry{older, e, older} {
		if err := j.Put(false, put); err != nil {
			t.Fatal(err)
		}
	}
	e.Expires = older.Expires
	if entries, _ := load(t, j, 10); !sameEntries(entries, []Entry{e}) {
		t.Errorf("loaded %+v, wanted %+v", entries, e)
	}
}

func TestJournalDropsWhatExpired(t *testing.T) {
	t.Parallel()
	j, db := openJournal(t, t.TempDir())
	live := []Entry{token("live", 200), {Kind: Client, Issuer: "local", Name: "live", NotBefore: 1, Expires: 200}}
	dead := []Entry{token("dead", 100), {Kind: Client, Issuer: "local", Name: "dead", NotBefore: 1, Expires: 100}}
	for n := range uint64(dropBatch + 10) {
		dead = append(dead, Entry{Kind: Token, ID: id(n), Expires: 1 + int64(n%100)})
	}
	if err := j.Put(true, append(dead, live...)...); err != nil {
		t.Fatal(err)
	}
	if entries, queue := load(t, j, 100); !sameEntries(entries, live) || !sameEntries(queue, live) {
		t.Errorf("%d entries and %d queued loaded, wanted the two that live", len(entries), len(queue))
	}
	if err := j.Drop(100); err != nil {
		t.Fatal(err)
	}
	err := db.View(func(tx *bbolt.Tx) error {
		for _, b := range []struct {
			name []byte
			want int
		}{{tokensBucket, 1}, {rulesBucket, 1}, {queueBucket, 2}} {
			if n := tx.Bucket(rootBucket).Bucket(b.name).Stats().KeyN; n != b.want {
				t.Errorf("bucket %s has %d keys, wanted %d", b.name, n, b.want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestJournalThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, db := openJournal(t, dir)
	db.Close()
	readOnly, err := bbolt.Open(filepath.Join(dir, "gatehouse.db"), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	j := &Journal{db: readOnly}
	if err := j.Put(false, someEntries...); err == nil {
		t.Error("Put into a file that takes no writes succeeded")
	}
	readOnly.Close()
	j.db = openDB(t, dir)
	if err := j.Drop(4000); err != nil {
		t.Fatal(err)
	}
	if entries, _ := load(t, j, 10); !sameEntries(entries, someEntries) {
		t.Errorf("once it takes writes it holds %+v, wanted %+v", entries, someEntries)
	}
}

func TestDamagedJournalIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		bucket     []byte
		key, value []byte
	}{
		{"token key too short", tokensBucket, binary.BigEndian.AppendUint64(nil, 5000), nil},
		{"token expiry out of range", tokensBucket, tokenKey(maxExpires+1, make([]byte, 16)), nil},
		{"rule of no kind", rulesBucket, []byte("none 5:localx"), make([]byte, 16)},
		{"rule without T", rulesBucket, []byte("client 5:localx"), make([]byte, 16)},
		{"rule value too short", rulesBucket, []byte("client 5:localx"), make([]byte, 15)},
		{"queue", queueBucket, []byte("x"), nil},
	} {
		j, db := openJournal(t, t.TempDir())
		err := db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(rootBucket).Bucket(tt.bucket).Put(tt.key, tt.value) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Load(10, func(...Entry) {}); err == nil {
			t.Errorf("%s: loaded", tt.name)
		}
	}
}

func TestJournalKeepsTheLastSync(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, db := openJournal(t, dir)
	if _, ok, err := j.lastSync(); ok || err != nil {
		t.Fatalf("lastSync = %v, %v before the first", ok, err)
	}
	want := synced{time.Unix(1_700_000_000, 5), -3 * time.Second, 3, streamID{1_700_000_000_000, 7}}
	if err := j.putSync(want); err != nil {
		t.Fatal(err)
	}
	db.Close()
	j, _ = openJournal(t, dir)
	if got, ok, err := j.lastSync(); !ok || err != nil || !got.at.Equal(want.at) || got.offset != want.offset || got.nodes != want.nodes || got.applied != want.applied {
		t.Errorf("lastSync = %v, %v, %v, wanted %v", got, ok, err, want)
	}
}

// BenchmarkLoad says how long a start takes with a million revocations in the journal.
func BenchmarkLoad(b *testing.B) {
	j, db := openJournal(b, b.TempDir())
	db.NoSync = true
	var batch []Entry
	for e := range million(24).All() {
		if batch = append(batch, e); len(batch) == 50000 {
			if err := j.Put(false, batch...); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		var s Set
		if _, err := j.Load(0, s.Add); err != nil {
			b.Fatal(err)
		}
		if n, _ := s.Len(); n != 1_000_000 {
			b.Fatalf("%d entries loaded", n)
		}
	}
}
