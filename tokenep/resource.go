package tokenep

import (
	"encoding/json"
	"net/http"
)

// ResourceDocument describes an API to those who want to call it (RFC 9728 §2).
type ResourceDocument struct {
	Resource string   `json:"resource"`                   // the audience
	Servers  []string `json:"authorization_servers"`      // issuers whose tokens it accepts
	Scopes   []string `json:"scopes_supported,omitempty"` // those that its routes ask for
	Methods  []string `json:"bearer_methods_supported"`   // filled in by Resource: the header, and nothing else
}

// Resource serves the document to GET and HEAD.
func Resource(d ResourceDocument) http.Handler {
	d.Methods = []string{"header"}
	body, err := json.Marshal(d)
	if err != nil {
		panic(err) // only strings are written
	}
	return get("metadata", func() []byte { return body }, nil)
}
