package blackbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDiskFull: on a node whose disk takes nothing any more, a revocation is answered 503, and yet counts: on this node, on the
// others, in Redis. Tokens are issued. The log, the metrics and the status say what is wrong. Once there is space everything
// works again without a restart, and what was owed to the disk is written: it outlives the process.
func TestDiskFull(t *testing.T) {
	for _, engine := range []string{embedded, fleet} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, plan{engine: engine, ring: true})
			c := &call{T: t, deployment: d, from: newSource()}
			c.diskFull(c.fillDisk, c.freeDisk)
		})
	}
}

// diskFull plays it on the first node, with ways to fill its disk and to make space again.
func (c *call) diskFull(fill, free func(*node)) {
	n := c.nodes[0]
	byClient, byAdmin, ofClient, later := c.token("c-narrow"), c.token("c-narrow"), c.token("c-many"), c.token("c-basic")
	fill(n)
	full := time.Now()

	a := c.post(revokePath, form("token", byClient.raw), "Authorization", basic("c-narrow", c.secrets["c-narrow"]))
	c.refused(a, 503, "temporarily_unavailable")
	for _, body := range []string{fmt.Sprintf(`{"token":%q}`, byAdmin.raw), `{"client":"c-many"}`} {
		a := c.adminPost(n, "/api/v1/revocations", body)
		if want := fmt.Sprintf("refused from now on by %d of %d nodes", len(c.nodes), len(c.nodes)); a.status != 503 || !strings.Contains(a.body, want) {
			c.Errorf("revocation on a full disk: %d %s, want 503 with %q", a.status, a.body, want)
		}
	}
	if r := c.gatehouse("revoke", "--client", "c-many"); r.code != 1 || !strings.Contains(r.stderr, "free some space and repeat it") {
		c.Errorf("revoke: %+v", r)
	}
	refuse := func(what string) {
		c.Helper()
		for _, m := range c.nodes {
			for path, j := range map[string]jwt{"/n": byClient, "/n?": byAdmin, "/b": ofClient} {
				if m == n {
					c.denied(m, path, j, "revoked")
				} else {
					eventually(c, what, func() bool { return c.api(m, path, j.raw).status == http.StatusUnauthorized })
				}
			}
		}
	}
	refuse("the other node has heard of it")
	for _, id := range []string{"c-narrow", "c-many", "c-algs"} {
		c.issued(c.ask(id, "audience", map[string]string{"c-narrow": apiN, "c-many": apiB, "c-algs": apiP}[id])) // and for c-many after its revocation
	}
	c.passes(n, "/a", later)

	if v := n.metric("gatehouse_revocation_journal_errors_total"); v == "" || v == "0" {
		c.Errorf("gatehouse_revocation_journal_errors_total is %q", v)
	}
	eventually(c, "the audit trail says that it fails", func() bool { return n.metric("gatehouse_audit_failing") == "1" })
	if log := n.log.String(); !strings.Contains(log, `"level":"ERROR","msg":"revocation not on the disk`) {
		c.Errorf("the log says nothing of it:\n%s", tail(log, 4<<10))
	}
	if r := c.gatehouse("status"); r.code != 0 || !strings.Contains(r.stdout, "the journal FAILED to be written") || !strings.Contains(r.stdout, "audit ") {
		c.Errorf("status: %+v", r)
	}
	c.Logf("on a full disk for %s", time.Since(full).Round(time.Millisecond))

	free(n)
	eventually(c, "what was owed to the disk is written, unasked", func() bool { return strings.Contains(n.log.String(), "journal of revocations works again") })
	if a := c.adminPost(n, "/api/v1/revocations", fmt.Sprintf(`{"token":%q}`, later.raw)); a.status != 200 {
		c.Errorf("with space again: %d %s", a.status, a.body)
	}
	eventually(c, "the audit trail works again", func() bool { return n.metric("gatehouse_audit_failing") == "0" })
	if v := n.metric("gatehouse_audit_lines_lost_total"); v != "0" {
		c.Errorf("%s lines of the audit trail are lost", v)
	}
	eventually(c, "nothing waits for Redis", func() bool { return n.metric("gatehouse_revocation_outbox_entries") == "0" })
	if c.redis != nil {
		c.redis.Restart(false) // what the disk owes must come from the disk
	}
	n.stop()
	if err := n.start(); err != nil {
		c.Fatal(err)
	}
	refuse("it outlives a restart of the node that had no space")
	c.denied(n, "/a", later, "revoked")
	if r := command(c, nil, "audit", "verify", n.state+"/audit.log"); r.code != 0 {
		c.Errorf("the audit trail: %+v", r)
	}
}
