package tokenep

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// maxBody is the most that a request to the token endpoints may be, in bytes.
const maxBody = 64 << 10

// known are the parameters that mean something here: the only ones that an error names, since the others are the
// caller's words.
var known = []string{"grant_type", "scope", "audience", "resource", "client_id", "client_secret", "client_assertion",
	"client_assertion_type", "token", "token_type_hint"}

// form holds the parameters of a request. A parameter that was sent empty is as good as not sent (RFC 6749 §3.2).
type form struct {
	values    map[string]string
	resources []string // the one parameter that may repeat (RFC 8707 §2)
}

func (f form) get(name string) string { return f.values[name] }

// ignored says for the log which parameter means nothing here, the first in byte order; "" where all mean something. A
// mistyped scopes= would else look like a request for everything that is granted.
func (f form) ignored() string {
	first := ""
	for name := range f.values {
		if !slices.Contains(known, name) && (first == "" || name < first) {
			first = name
		}
	}
	switch {
	case first == "":
		return ""
	case len(first) > 40 || strings.Contains(first, "gatecs_") || strings.Contains(first, "eyJ"):
		return "a parameter means nothing here and was ignored; its name is too long, or looks like a secret"
	}
	return fmt.Sprintf("the parameter %q means nothing here and was ignored", first)
}

// readForm reads the parameters from the body alone: what stands in the query counts for nothing (RFC 6749 §2.3.1).
func readForm(w http.ResponseWriter, r *http.Request) (form, *refusal) {
	parse, f := parserFor(r.Header)
	if f != nil {
		return form{}, f
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return form{}, &refusal{status: http.StatusRequestEntityTooLarge, word: invalidRequest, description: "the body is larger than 64 KiB"}
	}
	if err != nil {
		return form{}, refuse(invalidRequest, "the body could not be read to its end")
	}
	return parse(body)
}

// parserFor chooses by Content-Type: a form (RFC 6749 App. B), or JSON as Auth0's clients send it.
func parserFor(h http.Header) (func([]byte) (form, *refusal), *refusal) {
	if h.Get("Content-Encoding") != "" {
		return nil, refuse(invalidRequest, "the body must not be compressed")
	}
	wrong := refuse(invalidRequest, "Content-Type must be application/x-www-form-urlencoded or application/json, in UTF-8")
	types := h.Values("Content-Type")
	if len(types) != 1 {
		return nil, wrong
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, wrong
	}
	switch media {
	case "application/x-www-form-urlencoded":
		return parseForm, nil
	case "application/json":
		return parseJSON, nil
	}
	return nil, wrong
}
