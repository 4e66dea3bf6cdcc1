package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"gatehouse/internal/adminapi"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 64 << 10

// Error is an error with the status that answers it. Any other error is answered 500 with its text.
type Error struct {
	Status  int
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// answer serves an endpoint that takes one JSON document, an In, and gives another. A body that is no JSON is 400; members
// that are unknown or of another type are 422.
func answer[In, Out any](serve func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := decode(http.MaxBytesReader(w, r.Body, maxBody), &in); err != nil {
			writeError(w, err)
			return
		}
		out, err := serve(r.Context(), in)
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, out)
	}
}

// view serves an endpoint that only shows an Out.
func view[Out any](serve func(context.Context) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, err := serve(r.Context())
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, out)
	}
}

// decode reads one document. No body at all is an empty one. What was sent is not repeated: it may hold a token.
func decode(body io.Reader, into any) error {
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return &Error{http.StatusBadRequest, "the body holds more than one JSON document"}
		}
		return nil
	}
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &Error{http.StatusRequestEntityTooLarge, "the body is larger than 64 KiB"}
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{http.StatusBadRequest, "the body is not JSON"}
	case errors.As(err, &wrong) && wrong.Field == "":
		return &Error{http.StatusUnprocessableEntity, "the body is not a JSON object"}
	case errors.As(err, &wrong):
		return &Error{http.StatusUnprocessableEntity, wrong.Field + ": expected a " + wrong.Type.String()}
	}
	return &Error{http.StatusUnprocessableEntity, strings.TrimPrefix(err.Error(), "json: ")} // an unknown member, or a bad time
}

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var known *Error
	if errors.As(err, &known) {
		status = known.Status
	}
	writeJSON(w, status, adminapi.Error{Error: err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // an error is a caller who has gone
}
