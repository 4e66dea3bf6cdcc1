// Package openapi reads OpenAPI 3.0 and 3.1 documents for what a gateway needs of them: operations, what each asks of its
// caller, scopes, servers. It turns them into routes, and says where routes and a document differ.
//
// A document may come from anybody. It is bounded in size, reaches no file outside its folder and no network, and what it does
// not say, or says in words that a gateway can't check, never makes a route public.
package openapi

import (
	"fmt"
	"strings"
)

// Document is what was read, as plain data.
type Document struct {
	File    string // as it was named
	Version string // "3.1.0"
	Title   string // as it stands there: it may hold anything
	// Server is the first server's URL, its variables filled in by their defaults. It is empty where there is none that can be an
	// upstream, for the reason in NoServer.
	Server, NoServer string
	Operations       []Operation // in the order of the document
	// Scopes are what its oauth2 flows declare, and what its operations ask for besides, with descriptions that may hold anything.
	Scopes   map[string]string
	Warnings []Note
}

// Operation is a method on a path.
type Operation struct {
	ID       string // operationId; empty: none. It may hold anything
	Method   string // upper case
	Path     string // the template as written
	Pos      Pos
	Security Security
}

// Label names an operation in comments and messages: its id, else method and path. It is one line of printable characters.
func (o Operation) Label() string {
	if id := printable(o.ID, 120); id != "" {
		return id
	}
	return printable(o.Method+" "+o.Path, 120)
}

// Security says what an operation asks of its caller: one of Alternatives.
type Security struct {
	Pos  Pos  // of the words that say it
	Said bool // the document says anything about it, for the operation or for all
	// Optional: calls without any credential are among the alternatives. With no other it is public.
	Optional     bool
	Alternatives []Alternative
}

// Alternative are demands that hold together.
type Alternative struct {
	Scopes []string
	// Other are the names of schemes that are no tokens with scopes: API keys, passwords, certificates.
	Other []string
}

// Pos is a place in a document. Line counts from 1; 0 is the document as a whole.
type Pos struct {
	File      string
	Line, Col int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Note is something to be told about a place in a document.
type Note struct {
	Pos
	Message string
}

func (n Note) String() string { return n.Pos.String() + ": " + n.Message }

// Errors are all reasons for which a document is refused.
type Errors []Note

// Error has a line for each.
func (e Errors) Error() string {
	var lines []string
	for _, n := range e {
		lines = append(lines, n.String())
	}
	return strings.Join(lines, "\n")
}
