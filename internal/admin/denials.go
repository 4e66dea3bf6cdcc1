package admin

import (
	"net/http"
	"strconv"

	"gatehouse/internal/adminapi"
)

// How many refusals are listed where the request does not say, and at most.
const (
	listed  = 100
	mostOf  = 1000
	longest = 64 // of a request id, in bytes
)

func (o Options) denials(w http.ResponseWriter, r *http.Request) {
	n := listed
	if text := r.URL.Query().Get("limit"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > mostOf {
			writeError(w, &Error{http.StatusUnprocessableEntity, "limit: wanted a whole number from 1 to 1000"})
			return
		}
	}
	writeJSON(w, http.StatusOK, o.Denials(n))
}

func (o Options) denial(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var d adminapi.Denial
	ok := len(id) <= longest
	if ok {
		d, ok = o.Denial(id)
	}
	if !ok {
		writeError(w, &Error{http.StatusNotFound, "this node has no refusal with this request id, or no longer: it keeps the last 1000 of known clients and the last 1000 of others. " +
			"Was the request let through, was it another node, or has this one been started anew since?"})
		return
	}
	writeJSON(w, http.StatusOK, d)
}
