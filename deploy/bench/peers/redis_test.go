package main

import "testing"

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
