package lean

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// defaultUserAgent is what http.Transport sends where a request names no User-Agent. An empty one is not sent.
const defaultUserAgent = "Go-http-client/1.1"

// head is a request's line and fields on their way to the wire.
type head struct {
	b      []byte
	fields []field // only while it is built
}

type field struct {
	name   string
	values []string
}

var heads = sync.Pool{New: func() any { return &head{b: make([]byte, 0, atOnce)} }}

// maxKept bounds the memory that an unusual head leaves behind.
const maxKept = 16 << 10

// free gives h back; nobody may use it any more.
func (h *head) free() {
	if cap(h.b) > maxKept {
		return
	}
	clear(h.fields)
	h.fields = h.fields[:0]
	heads.Put(h)
}

// build writes the head as http.Transport does, its fields in the order of their names. It is false for a request that
// http.Transport would refuse, and for one that is not of the plain case.
func (h *head) build(r *http.Request, host string) bool {
	if r.Host != "" && r.Host != host {
		host = r.Host
		if !plainHost(host) {
			return false
		}
	}
	method, target := orDefault(r.Method, http.MethodGet), r.URL.RequestURI()
	if method == http.MethodConnect || !isToken(method) || hasControl(target) || !h.collect(r.Header) {
		return false
	}
	b := append(h.b[:0], method...)
	b = append(append(b, ' '), target...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), host...)
	b = append(b, "\r\n"...)
	if agent := userAgent(r.Header); agent != "" {
		b = appendField(b, "User-Agent", agent)
	}
	if hasBody(r) || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.ContentLength, 10), "\r\n"...)
	}
	for _, f := range h.fields {
		for _, v := range f.values {
			b = appendField(b, f.name, v)
		}
	}
	h.b = append(b, "\r\n"...)
	return true
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, trim(value)...), "\r\n"...)
}

// userAgent is what is sent; "": nothing.
func userAgent(h http.Header) string {
	values, ok := h["User-Agent"]
	switch {
	case !ok:
		return defaultUserAgent
	case len(values) == 0:
		return ""
	}
	return values[0]
}

// collect checks all fields and keeps those that are written from the map, by name. It is false where one is malformed
// or makes the request something other than plain.
func (h *head) collect(header http.Header) bool {
	clear(h.fields)
	h.fields = h.fields[:0]
	for name, values := range header {
		if !isToken(name) {
			return false
		}
		for _, v := range values {
			if !isValue(v) {
				return false
			}
		}
		switch name {
		case "Connection", "Upgrade", "Expect":
			return false
		case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer": // written from the request's own fields
		default:
			h.fields = append(h.fields, field{name, values})
		}
	}
	slices.SortFunc(h.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return true
}

// trim takes optional white space away, as textproto.TrimString does.
func trim(s string) string {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// isToken is RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenBytes = bytesOf("!#$%&'*+-.^_`|~", alphanumeric)

// isValue reports whether s may be a field's value: no control bytes but the tab.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func hasControl(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// plainHost reports whether host is written to the wire as it is: no zone to be removed, nothing to be encoded.
func plainHost(host string) bool {
	for i := range len(host) {
		if !hostBytes[host[i]] {
			return false
		}
	}
	return host != ""
}

var hostBytes = bytesOf("-._:[]", alphanumeric)

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func bytesOf(sets ...string) (table [256]bool) {
	for _, set := range sets {
		for i := range len(set) {
			table[set[i]] = true
		}
	}
	return table
}
