package adminapi

import "time"

// Status is the answer to GET /api/v1/status: one node, as it is now, and what it knows of the others. Seconds are fractions of
// seconds on the node's own clock. It is read from memory alone, so that it comes as fast while Redis is away; what it says of
// the fleet is then as old as State.Redis.FleetAge tells.
type Status struct {
	Version string    `json:"version"`
	Mode    string    `json:"mode"` // run, or dev: not for production
	Node    string    `json:"node"` // this node's name in the fleet: its host and the port that it serves on
	Listen  string    `json:"listen"`
	Admin   string    `json:"admin"`
	Now     time.Time `json:"now"`
	Started time.Time `json:"started"`
	Uptime  float64   `json:"uptime_seconds"`
	Ready   bool      `json:"ready"`
	Why     string    `json:"why_not_ready,omitempty"`

	Config      ConfigStatus     `json:"config"`
	State       StateStatus      `json:"state"`
	Revocations RevocationStatus `json:"revocations"`
	Fleet       []FleetNode      `json:"fleet"` // every node known, this one included
	Limits      LimitStatus      `json:"limits"`
	Audit       *AuditStatus     `json:"audit,omitempty"` // absent where the trail is switched off
	Keys        []Key            `json:"keys"`
	Upstreams   []UpstreamStatus `json:"upstreams"`
	Denials     []Denial         `json:"denials"` // the last ten of this node, the newest first
}

// ConfigStatus is the configuration in force, and the last attempt to load one.
type ConfigStatus struct {
	Hash    string     `json:"hash"`
	Loaded  time.Time  `json:"loaded"`
	APIs    int        `json:"apis"`
	Routes  int        `json:"routes"`
	Clients int        `json:"clients"`
	Last    ReloadInfo `json:"last_load"`
}

// ReloadInfo is one attempt to load the configuration.
type ReloadInfo struct {
	Result  string    `json:"result"`  // ok, or refused: the one before serves on
	Trigger string    `json:"trigger"` // start, watch, sighup, api
	At      time.Time `json:"at"`
	Changes string    `json:"changes,omitempty"` // what it changed
	Errors  []Problem `json:"errors,omitempty"`  // why it was refused
}

// Problem is one error of a refused configuration. Line and column are 0 where it has no place in a file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"col"`
	Message string `json:"message"`
}

// StateStatus is where the node keeps what must be remembered.
type StateStatus struct {
	Engine string       `json:"engine"` // embedded, redis
	Redis  *RedisStatus `json:"redis,omitempty"`
}

// RedisStatus is the connection to Redis. Its addresses hold no user and no password.
type RedisStatus struct {
	Mode          string           `json:"mode"`                  // standalone, sentinel, cluster
	Master        string           `json:"master_name,omitempty"` // what Sentinels call the master
	Addrs         []string         `json:"addrs"`                 // as configured
	Up            bool             `json:"up"`                    // the last heartbeat could write
	BreakerOpen   bool             `json:"breaker_open"`          // requests do without Redis
	BreakerOpened int64            `json:"breaker_opened_total"`  // how often, since the start
	Errors        map[string]int64 `json:"errors_total"`          // failed commands by kind, those of 0 left out
	ClockOffset   float64          `json:"clock_offset_seconds"`  // how far Redis's clock is ahead of this node's
	Masters       []MasterStatus   `json:"masters,omitempty"`     // of a cluster
	FleetAge      *float64         `json:"fleet_seconds_ago"`     // when Redis last told of the fleet; null: it never did
	Reconciled    int64            `json:"reconciliations_total"` // times that all revocations were compared with Redis
}

// MasterStatus is one master of a Redis Cluster.
type MasterStatus struct {
	Name        string `json:"name"` // its address
	Up          bool   `json:"up"`
	BreakerOpen bool   `json:"breaker_open"`
}

// RevocationStatus is what the node knows of revocations.
type RevocationStatus struct {
	Tokens        int           `json:"tokens"`            // entries for one token
	Rules         int           `json:"rules"`             // entries for a client, a key, or all
	Staleness     *float64      `json:"staleness_seconds"` // since this node last knew all that the fleet knew; 0 when embedded; null: it never did
	Outbox        int           `json:"outbox"`            // revocations of this node that Redis has not acknowledged
	JournalErrors int64         `json:"journal_errors_total"`
	Policies      []StalePolicy `json:"policies"` // by API
}

// StalePolicy is what an API does when the revocations are too old.
type StalePolicy struct {
	API          string  `json:"api"`
	MaxStaleness float64 `json:"max_staleness_seconds"`
	OnStale      string  `json:"on_stale"` // deny, allow
}

// FleetNode is one node, as it was when Redis last told of it.
type FleetNode struct {
	Name    string   `json:"name"`    // "" for a node too old to tell it
	Version string   `json:"version"` // likewise
	ID      string   `json:"id"`      // of its process
	Self    bool     `json:"self"`
	Live    bool     `json:"live"` // heard recently enough to count as one of the fleet
	Heard   float64  `json:"heard_seconds_ago"`
	Applied string   `json:"applied,omitempty"`              // the last entry of the log of revocations by which it refuses
	Behind  *float64 `json:"behind_seconds"`                 // how much older that entry is than the last there is; 0: it is the last; null: it is reading all anew
	Clock   *float64 `json:"clock_offset_seconds,omitempty"` // how far its clock was ahead of the fleet's time; absent: it does not say
}

// LimitStatus is how limits are decided on this node.
type LimitStatus struct {
	Nodes     int              `json:"fleet_nodes"`     // how many nodes share a limit while Redis is away, this one included: as last known, restarts included
	Keys      int              `json:"keys"`            // buckets in its memory
	Decisions map[string]int64 `json:"decisions_total"` // since the start, by where they were made: memory, redis, local, open, closed …
}

// AuditStatus is the audit trail.
type AuditStatus struct {
	Failing bool  `json:"failing"`
	Lost    int64 `json:"lines_lost_total"`
}

// UpstreamStatus is one server behind an API.
type UpstreamStatus struct {
	API      string `json:"api"`
	Endpoint string `json:"endpoint"`
	Up       bool   `json:"up"`
	Why      string `json:"why_down,omitempty"`
	Breaker  string `json:"breaker,omitempty"` // closed, half_open, open; absent where it has none
	InFlight int64  `json:"in_flight"`
}
