package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/authz"
	"gatehouse/internal/redisx"
)

// stats is a collector over what the packages say of themselves, read at each scrape, so that nothing below this package
// knows of metrics.
type stats struct{ a *App }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gatehouse_"+name, help, labels, nil)
}

var (
	draining    = describe("draining", "1 while the process finishes what is in flight before it stops, else 0.")
	ready       = describe("ready", "1 where /-/ready answers 200, else 0.")
	revoked     = describe("revoked_entries", "Revocations in the set that every request is checked against.", "kind")
	revokedHere = describe("revocations_total", "Revocations that were asked of this node.", "kind")
	staleness   = describe("revocation_staleness_seconds", "Time since this node last heard of the fleet's revocations; 0 when embedded.")
	stalest     = describe("revocation_max_staleness_seconds", "How old an API lets the fleet's revocations be; beyond it, on_stale says what its requests get.", "api", "on_stale")
	fleet       = describe("fleet_nodes", "Nodes that share this Redis, as this one sees it; 1 when embedded.")
	clocks      = describe("clock_offset_seconds", "How far a clock is ahead of the fleet's time: Redis's, and this node's.", "clock")
	outbox      = describe("revocation_outbox_entries", "Revocations journalled here that Redis has not acknowledged yet.")
	journalErrs = describe("revocation_journal_errors_total", "Revocations that the disk did not take at first; those asked of this node were answered 503, and count all the same.")
	passedOver  = describe("revocation_entries_ignored_total", "Entries in Redis that have no effect here: rules that lie in the future, and what is not understood.", "reason")
	limitKeys   = describe("rate_limit_keys", "Rate limit buckets in the memory of this node.")
	limitShared = describe("rate_limit_overflow_total", "Charges that went to a common bucket since there were too many keys.")
	limitKnown  = describe("rate_limit_known", "Subjects of which this node knows what Redis said last.")
	limitAlone  = describe("rate_limit_unknown_total", "Checks that went to Redis by themselves since too many subjects were known.")
	limitTrips  = describe("rate_limit_round_trips_total", "Round trips to Redis for rate limits.")
	limitCalls  = describe("rate_limit_calls_total", "Calls of the rate limit script in those round trips.")
	limitMerged = describe("rate_limit_merged_total", "Checks that shared the call of another.")
	limitCrowd  = describe("rate_limit_crowded_total", "Checks that did without Redis since too many waited for it.")
	limitHeld   = describe("rate_limit_leased_permits", "Permits that this node has taken from Redis in advance and not spent.")
	limitLeased = describe("rate_limit_permits_leased_total", "Permits that this node took from Redis in advance.")
	limitLost   = describe("rate_limit_permits_lost_total", "Permits that expired before they were spent.")
	keyState    = describe("signing_key_state", "The signing keys; always 1.", "kid", "alg", "state")
	auditLines  = describe("audit_lines_total", "Lines taken into the audit trail.")
	auditLost   = describe("audit_lines_lost_total", "Lines of the audit trail given up since the disk took none; the trail says how many.")
	auditFails  = describe("audit_write_failures_total", "Attempts to write the audit trail that failed.")
	auditDown   = describe("audit_failing", "1 while the audit trail can't be written, else 0.")
	keyCreated  = describe("signing_key_created_timestamp_seconds", "When the signing key was made.", "kid")
	keyExpiry   = describe("signing_key_expiry_timestamp_seconds", "When the successor of a current key is due, or a retiring key stops to verify.", "kid")
	keyTurns    = describe("signing_key_rotations_total", "Times that a signing key took the place of another.")
	keyFailures = describe("signing_key_failures_total", "Times that the signing keys could not be kept up, since Redis or the disk failed.")
	keyBroken   = describe("signing_key_unsealable", "Keys in Redis that do not unseal: changed there, or sealed under another ring_key_file.")
	tunnels     = describe("tunnels_open", "Connections that became WebSockets and are open.")
	certExpiry  = describe("tls_certificate_expiry_timestamp_seconds", "When the certificate of the public listener expires.", "name")
	logDropped  = describe("log_lines_dropped_total", "Log lines given up because nobody read the log.")
	poolWaiting = describe("slow_hashes_waiting", "Requests that wait for an argon2id secret to be compared.")
	poolRunning = describe("slow_hashes_running", "argon2id secrets that are being compared.")
	poolTotal   = describe("slow_hashes_total", "argon2id secrets by what became of them: compared, or refused since too many waited.", "result")
	keySets     = describe("client_key_sets", "Key sets of clients behind a jwks_uri: all, those never fetched yet, those whose last fetch failed.", "state")
	keySetAge   = describe("client_key_set_age_seconds", "Age of the key set that was fetched longest ago; 0 where there is none.")
	keySetLeft  = describe("client_key_set_unusable_keys", "Keys in fetched sets that can't be used.")
	keyFetches  = describe("client_key_set_fetches_total", "Fetches of key sets of clients.", "result")
	assertions  = describe("client_assertions_remembered", "Assertions that this node remembers so that they are used once.")
	replayed    = describe("client_assertion_checks_failed_total", "Assertions refused since they were used before, or since it could not be known.", "reason")
	lockoutKeys = describe("lockout_counters", "Counters of failures to authenticate in the memory of this node.")
	redisUp     = describe("redis_up", "1 where the last heartbeat could write to Redis, to every master of a cluster, else 0.")
	redisOpen   = describe("redis_breaker_open", "1 while requests do without Redis, in a cluster without some of its masters, else 0.")
	shardUp     = describe("redis_shard_up", "1 where the last heartbeat could write to this master of the Redis Cluster, else 0.", "shard")
	shardOpen   = describe("redis_shard_breaker_open", "1 while requests do without this master of the Redis Cluster, else 0.", "shard")
	redisErrors = describe("redis_errors_total", "Redis commands that failed.", "kind")
	redisTook   = describe("redis_command_duration_seconds", "Time that Redis took to answer, or was waited for: what requests wait for (and the heartbeat), and what happens beside them.", "op")
	redisPool   = describe("redis_pool_connections", "Connections to Redis.", "state")
)

// collectors are registered once, at start.
func collectors(a *App) []prometheus.Collector { return []prometheus.Collector{stats{a}, endpoints{a}} }

// Describe implements prometheus.Collector.
func (s stats) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{draining, ready, revoked, revokedHere, staleness, stalest, fleet, outbox, journalErrs, limitKeys, limitShared, keyState, keyCreated, keyExpiry, keyTurns, keyFailures, keyBroken, auditLines, auditLost, auditFails, auditDown, tunnels, certExpiry, logDropped,
		poolWaiting, poolRunning, poolTotal, keySets, keySetAge, keySetLeft, keyFetches, assertions, replayed, lockoutKeys, issuerAge, issuerReady, issuerFetches} {
		ch <- d
	}
	if s.a.redis != nil {
		for _, d := range []*prometheus.Desc{redisUp, redisOpen, shardUp, shardOpen, redisErrors, redisTook, redisPool, clocks, passedOver,
			limitKnown, limitAlone, limitTrips, limitCalls, limitMerged, limitCrowd, limitHeld, limitLeased, limitLost} {
			ch <- d
		}
	}
}

// Collect implements prometheus.Collector.
func (s stats) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	ok, _ := s.a.Ready()
	gauge(draining, truth(s.a.draining.Load()))
	gauge(ready, truth(ok))
	gauge(staleness, s.a.revocations.Staleness().Seconds())
	gauge(fleet, float64(s.a.revocations.Nodes()))
	r := s.a.revocations.Stats()
	gauge(revoked, float64(r.Tokens), "token")
	gauge(revoked, float64(r.Rules), "rule")
	for kind, n := range r.Revoked {
		counter(revokedHere, n, kind)
	}
	gauge(outbox, float64(r.Outbox))
	counter(journalErrs, r.JournalErrors)
	l := s.a.limiter.Stats()
	gauge(limitKeys, float64(l.Keys))
	counter(limitShared, l.Overflowed)
	counter(logDropped, s.a.opts.Log.Dropped())
	t := s.a.audit.Stats()
	counter(auditLines, t.Lines)
	counter(auditLost, t.Lost)
	counter(auditFails, t.Failures)
	gauge(auditDown, truth(t.Failing))
	if snap := s.a.current.Load(); snap != nil {
		for _, k := range snap.ring.Keys() {
			gauge(keyState, 1, k.ID, string(k.Algorithm), k.State)
			gauge(keyCreated, float64(k.Created.Unix()), k.ID)
			if !k.Until.IsZero() {
				gauge(keyExpiry, float64(k.Until.Unix()), k.ID)
			}
		}
		ring := snap.ring.Stats()
		counter(keyTurns, ring.Rotations)
		counter(keyFailures, ring.Failures)
		gauge(keyBroken, float64(ring.Unsealable))
		gauge(tunnels, float64(snap.gateway.Tunnels()))
		for _, api := range snap.cfg.APIs {
			then := "deny"
			if api.Revocation.AllowStale {
				then = "allow"
			}
			gauge(stalest, api.Revocation.MaxStaleness.Seconds(), api.Name, then)
		}
		if t := snap.cfg.Server.TLS; t != nil {
			gauge(certExpiry, float64(t.Certificate.Leaf.NotAfter.Unix()), "server")
		}
	}
	s.collectAuth(gauge, counter)
	s.collectIssuers(gauge, counter)
	if s.a.redis == nil {
		return
	}
	d := s.a.redis.Stats()
	gauge(redisUp, truth(d.Up))
	gauge(redisOpen, truth(d.Open))
	counter(passedOver, r.Ignored, "future")
	counter(passedOver, r.Unreadable, "unreadable")
	gauge(clocks, (r.ClockOffset - r.FleetOffset).Seconds(), "redis")
	gauge(clocks, -r.FleetOffset.Seconds(), "node")
	for _, m := range d.Shards {
		gauge(shardUp, truth(m.Up), m.Name)
		gauge(shardOpen, truth(m.Open), m.Name)
	}
	for kind, n := range d.Errors {
		counter(redisErrors, n, kind)
	}
	for op, l := range map[string]redisx.Latency{"request": d.Prompt, "background": d.Calm} {
		within := make(map[float64]uint64, len(l.Within))
		for i, n := range l.Within {
			within[redisx.LatencyBounds[i]] = n
		}
		ch <- prometheus.MustNewConstHistogram(redisTook, l.Count, l.Sum.Seconds(), within, op)
	}
	idle := d.Cmd.IdleConns + d.Stream.IdleConns
	gauge(redisPool, float64(idle), "idle")
	gauge(redisPool, float64(d.Cmd.TotalConns+d.Stream.TotalConns-idle), "used")
	gauge(limitKnown, float64(l.Known))
	gauge(limitHeld, float64(l.Held))
	for desc, n := range map[*prometheus.Desc]int64{limitAlone: l.Unknown, limitTrips: l.RoundTrips, limitCalls: l.Calls,
		limitMerged: l.Merged, limitCrowd: l.Crowded, limitLeased: l.Leased, limitLost: l.Lost} {
		counter(desc, n)
	}
}

// collectAuth is what authenticating clients says of itself.
func (s stats) collectAuth(gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, int64, ...string)) {
	p := s.a.auth.pool.Stats()
	gauge(poolWaiting, float64(p.Waiting))
	gauge(poolRunning, float64(p.Running))
	counter(poolTotal, p.Done, "compared")
	counter(poolTotal, p.Refused, "refused")
	k := s.a.auth.keySets.Stats()
	gauge(keySets, float64(k.Sets), "all")
	gauge(keySets, float64(k.Empty), "never_fetched")
	gauge(keySets, float64(k.Failing), "failing")
	gauge(keySetAge, k.Oldest.Seconds())
	gauge(keySetLeft, float64(k.LeftOut))
	counter(keyFetches, k.Fetched, "ok")
	counter(keyFetches, k.Failed, "failed")
	r := s.a.auth.replays.Stats()
	gauge(assertions, float64(r.Entries))
	counter(replayed, r.Replays, "used_before")
	counter(replayed, r.Failed, "unknown")
	gauge(lockoutKeys, float64(s.a.auth.failures.Keys()))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func reasonNames() []string {
	var names []string
	for _, r := range authz.Reasons() {
		names = append(names, string(r))
	}
	return names
}
