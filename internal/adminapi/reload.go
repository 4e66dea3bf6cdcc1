package adminapi

import "time"

// Reloaded is the answer to POST /api/v1/reload: with status 200 where the configuration is in force, and 422 where it was
// refused.
type Reloaded struct {
	Result string    `json:"result,omitempty"` // what changed: "+2 routes ~1 client (billing-worker)"; "" where it was refused
	Errors []Problem `json:"errors,omitempty"` // what is wrong with the new configuration
	Loaded time.Time `json:"loaded,omitzero"`  // when the configuration that serves now was loaded
}

// Client is one client, in the answer to GET /api/v1/clients, which is a list of them by id.
type Client struct {
	ID       string `json:"id"`
	Disabled bool   `json:"disabled"`
	// LastTokenDay is the day on which it was last issued a token, as 2026-11-24 in UTC; "" where none is known.
	LastTokenDay string `json:"last_token_day"`
}

// Clients is that answer. Since is the day from which on tokens were noted; a client without a LastTokenDay got none since then.
type Clients struct {
	Since   string   `json:"since"`
	Clients []Client `json:"clients"`
}
