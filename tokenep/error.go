package tokenep

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"gatehouse/internal/exchange"
)

// The error words (RFC 6749 §5.2, RFC 8707 §2; access_denied for APIs of the dialect auth0; too_many_requests as Auth0 has
// it).
const (
	invalidRequest         = "invalid_request"
	invalidClient          = "invalid_client"
	unauthorizedClient     = "unauthorized_client"
	unsupportedGrantType   = "unsupported_grant_type"
	invalidScope           = "invalid_scope"
	invalidTarget          = "invalid_target"
	accessDenied           = "access_denied"
	tooManyRequests        = "too_many_requests"
	serverError            = "server_error"
	temporarilyUnavailable = "temporarily_unavailable"
)

// Errors returns the closed set of error words, for metrics. The caller owns the slice.
func Errors() []string {
	return []string{invalidRequest, invalidClient, unauthorizedClient, unsupportedGrantType, invalidScope, invalidTarget,
		accessDenied, tooManyRequests, serverError, temporarilyUnavailable}
}

// refusal is an error response: status and word travel together.
type refusal struct {
	status      int
	word        string
	description string        // for the caller: one of our own sentences, never a byte of the request
	detail      string        // for the log; empty: the description
	allow       string        // with 405: the methods there are
	retry       time.Duration // with 429 and 503: when to try again; 0: a second
	failure     string        // why the client did not authenticate; "" where that is not the reason
}

// refuse makes a 400, the status of every error that has no other (RFC 6749 §5.2).
func refuse(word, description string) *refusal {
	return &refusal{status: http.StatusBadRequest, word: word, description: description}
}

// badClient answers whoever failed to authenticate. The response is the same whatever was wrong; the log has the detail.
func badClient(failure, detail string) *refusal {
	return &refusal{status: http.StatusUnauthorized, word: invalidClient, failure: failure,
		description: "the client is not known, or its credentials are not right", detail: detail}
}

// unavailable is answered where a later try may work.
func unavailable(detail string) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, word: temporarilyUnavailable,
		description: "the request cannot be served now; try again", detail: detail}
}

// write is the one place where an error becomes a response.
func (f *refusal) write(w http.ResponseWriter, rec *exchange.Record) {
	rec.Reason, rec.Detail, rec.AuthFailure = f.word, f.detail, f.failure
	if rec.Detail == "" {
		rec.Detail = f.description
	}
	rec.Case = f.evidence(rec)
	switch h := w.Header(); f.status {
	case http.StatusUnauthorized:
		// RFC 6749 §5.2 wants it where Basic was tried, RFC 9110 §11.6.1 with every 401.
		h.Set("WWW-Authenticate", `Basic realm="gatehouse"`)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", f.allow)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", seconds(f.retry))
	}
	writeJSON(w, f.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{f.word, f.description})
}

// seconds is d for a Retry-After: whole seconds, rounded up, at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// writeJSON answers with a body that no cache may keep (RFC 6749 §5.1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings and numbers of ours are written
	}
	h := w.Header()
	noStore(h)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}
