// Package clientsfile adds clients to clients.yaml. It writes text at the right place and leaves every other byte of the
// file alone, so that comments, order and blank lines stay; where a file is written in a way that does not allow that, it
// is formatted anew with its comments and order kept. The file holds hashes only, never a secret.
package clientsfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"time"
)

// NewClient is a client to be added, with one secret.
type NewClient struct {
	ID string // 1 to 128 printable ASCII characters
	// Grants are scopes by API name. An API with no scopes is a grant for routes that need no scope; nil is no grant.
	Grants  map[string][]string
	SHA256  [32]byte      // of the whole secret
	Created time.Time     // zero: not said
	Note    string        // for people; empty: none
	TTL     time.Duration // of the client's tokens, at least 1s; 0: the APIs' own
	Rate    Rate          // the client's own limit; the zero value: none
}

// Rate is a limit: so many requests, at least 1, in a time, at least 1s.
type Rate struct {
	Requests int64
	Per      time.Duration
}

// Create adds a client to the file at path, and makes the file where there is none. The file is replaced as a whole, so that
// a reader never sees half of it; its mode and owner stay, and a link stays a link. An id that is taken, and a file that does not
// parse, are errors that leave the file as it is. Edits of one file hold Lock.
func Create(path string, c NewClient) error {
	entry, err := entryOf(c)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := add(path, old, c.ID, entry)
	if err != nil {
		return err
	}
	return Replace(path, text)
}

// Snippet is the client as YAML, indented to be pasted under `clients:`.
func Snippet(c NewClient) (string, error) {
	entry, err := entryOf(c)
	if err != nil {
		return "", err
	}
	return textOf(entry, 2)
}

var (
	idText    = regexp.MustCompile(`^[\x21-\x7E]([\x20-\x7E]{0,126}[\x21-\x7E])?$`)
	nameText  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	scopeText = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`) // RFC 6749, section 3.3
)

func check(c NewClient) error {
	if !idText.MatchString(c.ID) {
		return fmt.Errorf("%q is not a client id: 1 to 128 printable ASCII characters, no space at either end", c.ID)
	}
	for api, scopes := range c.Grants {
		if !nameText.MatchString(api) {
			return fmt.Errorf("%q is not the name of an API: 1 to 64 letters, digits, - and _", api)
		}
		for _, s := range scopes {
			if !scopeText.MatchString(s) {
				return fmt.Errorf("%q is not a scope: printable ASCII without spaces, quotes and backslashes", s)
			}
		}
	}
	if c.TTL != 0 && (c.TTL < time.Second || c.TTL > 24*time.Hour) {
		return fmt.Errorf("a ttl of %s is not between 1s and 24h", c.TTL)
	}
	if c.Rate != (Rate{}) && (c.Rate.Requests < 1 || c.Rate.Per < time.Second) {
		return fmt.Errorf("a limit of %d per %s is not at least 1 request in at least 1s", c.Rate.Requests, c.Rate.Per)
	}
	return nil
}
