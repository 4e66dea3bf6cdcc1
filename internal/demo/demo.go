// Package demo is the API behind `gatehouse dev`: something to call, which shows what an upstream learns of its callers.
package demo

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// maxEcho bounds what the echo answers, in bytes.
const maxEcho = 1 << 20

// Handler serves GET /demo/hello and POST /demo/echo. It believes the identity headers, as an upstream may that only the
// gateway can reach.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /demo/hello", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, "hello from behind Gatehouse")
	})
	mux.HandleFunc("POST /demo/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEcho))
		if err != nil {
			http.Error(w, "the body is larger than 1 MiB or broke off", http.StatusBadRequest)
			return
		}
		answer(w, r, string(body))
	})
	return mux
}

func answer(w http.ResponseWriter, r *http.Request, message string) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(struct {
		Message   string   `json:"message"`
		Client    string   `json:"client"`
		Scopes    []string `json:"scopes"`
		RequestID string   `json:"request_id"`
	}{message, r.Header.Get("X-Client-Id"), strings.Fields(r.Header.Get("X-Token-Scopes")), r.Header.Get("X-Request-Id")})
}
