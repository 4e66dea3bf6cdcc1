package main

import "testing"

func TestParseMetric(t *testing.T) {
	const text = "# TYPE gatehouse_revoked_entries gauge\ngatehouse_revoked_entries{kind=\"rule\"} 3\ngatehouse_revoked_entries{kind=\"token\"} 1e+06\n"
	if got, err := parseMetric(text, `gatehouse_revoked_entries{kind="token"}`); err != nil || got != million {
		t.Errorf("got %v, %v, want a million", got, err)
	}
	if got, err := parseMetric(text, "gatehouse_revoked_entries"); err == nil {
		t.Errorf("got %v of a series that there is not", got)
	}
}
