// Package adminapi is what the admin listener and the commands say to each other under /api/v1: the JSON documents, and
// nothing that acts. Times are RFC 3339.
package adminapi

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Key is one signing key, in the answer to GET /api/v1/keys, which is a list of them.
type Key struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"alg"`
	State     string    `json:"state"` // next, current, retiring; verifying for a file of key_dir that does not sign
	Created   time.Time `json:"created"`
	Signs     time.Time `json:"signs,omitzero"` // from when it signs; absent for files
	Until     time.Time `json:"until,omitzero"` // current: when its successor is due; retiring: when it stops to verify
}

// RotateRequest is the body of POST /api/v1/keys/rotate. The zero value rotates every algorithm in use.
type RotateRequest struct {
	Algorithm     string `json:"alg,omitempty"`            // "": each in use
	PublishBefore string `json:"publish_before,omitempty"` // a duration; "": as configured
	Revoke        bool   `json:"revoke,omitempty"`         // withdraw the key that signs, at once
	Reason        string `json:"reason,omitempty"`         // for people
}

// Rotation is what became of one algorithm; the answer is a list of them.
type Rotation struct {
	Algorithm string    `json:"alg"`
	Old       string    `json:"old_kid,omitempty"`
	New       string    `json:"new_kid"`
	Published time.Time `json:"published"`           // when the new key was
	Signs     time.Time `json:"signs"`               // when it signs
	OldUntil  time.Time `json:"old_until,omitzero"`  // when the old key stops to verify
	Withdrawn []string  `json:"withdrawn,omitempty"` // kids whose tokens are refused from now on
	Note      string    `json:"note,omitempty"`      // what is left to do
}

// RevokeRequest is the body of POST /api/v1/revocations. Exactly one of Token, JTI, Client, KID and All says what ends.
type RevokeRequest struct {
	Token   string `json:"token,omitempty"`
	JTI     string `json:"jti,omitempty"`
	Expires Time   `json:"expires,omitzero"` // with JTI: when that token expires
	Client  string `json:"client,omitempty"` // every token issued to it so far
	KID     string `json:"kid,omitempty"`    // every token signed by it so far
	All     bool   `json:"all,omitempty"`    // every token issued so far
	Issuer  string `json:"issuer,omitempty"` // its name in the configuration, or its iss; "" is local: our own
	Reason  string `json:"reason,omitempty"` // for people; it goes to the log
}

// Named is how many things q names to be ended.
func (q RevokeRequest) Named() (n int) {
	for _, named := range []bool{q.Token != "", q.JTI != "", q.Client != "", q.KID != "", q.All} {
		if named {
			n++
		}
	}
	return n
}

// Revoked is the answer.
type Revoked struct {
	Kind    string `json:"kind"`    // token, client, key, all
	Local   bool   `json:"local"`   // on this node's disk
	Shared  bool   `json:"shared"`  // Redis has it; false when embedded, and while it waits for Redis
	Queued  bool   `json:"queued"`  // it waits for Redis, and is shared once that takes it
	Applied int    `json:"applied"` // nodes that refuse the tokens already, this one included
	Live    int    `json:"live"`    // nodes that there are
}

// Error is the answer where something is wrong.
type Error struct {
	Error string `json:"error"`
}

// Time is a moment, read from RFC 3339 or from seconds since 1970, as an exp claim has it. The zero value is none.
type Time struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(data []byte) error {
	text := string(data)
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		t.Time = time.Unix(seconds, 0).UTC()
		return nil
	}
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("a time is RFC 3339 text or whole seconds since 1970")
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("a time is RFC 3339 text or whole seconds since 1970")
	}
	t.Time = at
	return nil
}
