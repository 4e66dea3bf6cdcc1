package tokenep

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Why a client did not authenticate, for metrics. The caller learns nothing of it.
const (
	failNone        = "no_credentials"
	failMalformed   = "malformed"
	failUnknown     = "unknown_client"
	failSecret      = "wrong_secret"
	failSecretTime  = "secret_not_live"
	failMethod      = "wrong_method"
	failDisabled    = "client_disabled"
	failAssertion   = "invalid_assertion"
	failReplayed    = "assertion_replayed"
	failCertificate = "invalid_certificate"
	failLocked      = "locked_out"
	failBusy        = "busy"        // too many slow hashes: not tried
	failKeys        = "no_keys"     // its keys could not be fetched: not tried
	failState       = "state_error" // nobody knows whether the assertion was used
)

// AuthFailures returns the closed set of reasons why clients did not authenticate. The caller owns the slice.
func AuthFailures() []string {
	return []string{failNone, failMalformed, failUnknown, failSecret, failSecretTime, failMethod, failDisabled, failAssertion,
		failReplayed, failCertificate, failLocked, failBusy, failKeys, failState}
}

// wrong is badClient with the client that was named.
func wrong(client *Client, failure, detail string) *refusal {
	return badClient(failure, fmt.Sprintf("client %q: %s", client.ID, detail))
}

// busy refuses what was not tried.
func busy(err error) *refusal {
	ref := unavailable(err.Error())
	ref.failure = failBusy
	if errors.Is(err, context.Canceled) {
		ref.detail = "the caller went away before its secret was compared"
	}
	return ref
}

// lockedOut refuses whoever failed too often, whatever it presents now.
func lockedOut(wait time.Duration) *refusal {
	return &refusal{status: http.StatusTooManyRequests, word: tooManyRequests, failure: failLocked, retry: wait,
		description: "too many failures to authenticate: wait for as long as Retry-After says"}
}
