package tokenep

import (
	"encoding/json"
	"strings"

	"gatehouse/internal/token"
)

// Claim is a claim that all tokens of an API have, by a name that is a URI.
type Claim struct {
	Name  string
	Value []string // the text, cut where the client's id stands: at least one part
}

// text is the value for a client.
func (c *Claim) text(client string) string { return strings.Join(c.Value, client) }

// claims are what a token says besides what every token does.
func (a *API) claims(client *Client) (list []token.Claim) {
	for i := range a.Claims {
		value, err := json.Marshal(a.Claims[i].text(client.ID))
		if err != nil {
			panic(err) // text always marshals
		}
		list = append(list, token.Claim{Name: a.Claims[i].Name, Value: value})
	}
	return list
}
