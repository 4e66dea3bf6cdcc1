package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestParseTraffic(t *testing.T) {
	const stats = "# Stats\r\ntotal_connections_received:5\r\ntotal_reads_processed:1234\r\ntotal_writes_processed:9\r\n"
	const commands = "# Commandstats\r\ncmdstat_evalsha:calls=10,usec=100,usec_per_call=10.00\r\ncmdstat_eval:calls=2,usec=1\r\ncmdstat_get:calls=900,usec=1\r\n"
	got, err := parseTraffic(stats, commands)
	if err != nil || got != (traffic{scripts: 12, reads: 1234}) {
		t.Errorf("got %+v, %v, want 12 scripts and 1234 reads", got, err)
	}
	for name, bad := range map[string][2]string{
		"no reads":      {"# Stats\r\n", commands},
		"strange reads": {"total_reads_processed:many\r\n", commands},
		"strange calls": {stats, "cmdstat_evalsha:calls=many,usec=1\r\n"},
	} {
		if got, err := parseTraffic(bad[0], bad[1]); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

func TestKeptTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "until")
	first, err := keptTime(path)
	if err != nil || first < time.Now().Add(2*time.Hour).Unix() {
		t.Fatalf("got %d, %v, want a time some hours ahead", first, err)
	}
	if again, err := keptTime(path); err != nil || again != first {
		t.Errorf("got %d, %v, want what was kept, %d", again, err, first)
	}
	soon := time.Now().Add(10 * time.Minute).Unix()
	if err := os.WriteFile(path, strconv.AppendInt(nil, soon, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	if later, err := keptTime(path); err != nil || later <= soon {
		t.Errorf("got %d, %v: the revocations would expire while they are measured", later, err)
	}
}
