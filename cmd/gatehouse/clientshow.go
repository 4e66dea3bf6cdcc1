package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/config"
)

// clientView is a client as list and show print it. It has no hash of a secret.
type clientView struct {
	ID         string              `json:"id"`
	Disabled   bool                `json:"disabled"`
	Auth       string              `json:"auth,omitempty"` // empty: the default
	Subject    map[string]string   `json:"tls_subject,omitempty"`
	Grants     map[string][]string `json:"grants"`
	TTL        string              `json:"ttl,omitempty"`
	Limits     []limitView         `json:"rate_limits"` // its own, in place of its APIs' by client
	Quotas     []quotaView         `json:"quotas"`
	Introspect []string            `json:"introspect"`
	Secrets    []secretView        `json:"secrets"`

	LastTokenDay string `json:"last_token_day,omitempty"` // of list --unused alone
}

type limitView struct {
	Requests int64  `json:"requests"`
	Per      string `json:"per"`
	Burst    int64  `json:"burst"`
}

type quotaView struct {
	Tokens int64  `json:"tokens"`
	Per    string `json:"per"`
	Mode   string `json:"mode"`
}

type secretView struct {
	State     string     `json:"state"` // live, not yet, ended
	Created   string     `json:"created,omitempty"`
	Note      string     `json:"note,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
}

func viewOf(c config.Client, now time.Time) clientView {
	v := clientView{ID: c.ID, Disabled: c.Disabled, Auth: c.Auth, Grants: map[string][]string{}, Introspect: append([]string{}, c.Introspect...),
		Limits: []limitView{}, Quotas: []quotaView{}, Secrets: []secretView{}}
	for api, scopes := range c.Grants {
		v.Grants[api] = append([]string{}, scopes...) // not null where there are none
	}
	if s := c.TLSSubject; s.Kind != "" {
		v.Subject = map[string]string{s.Kind: s.Value}
	}
	if c.TTL > 0 {
		v.TTL = c.TTL.String()
	}
	for _, l := range c.RateLimits {
		v.Limits = append(v.Limits, limitView{l.Requests, l.Per.String(), l.Burst})
	}
	for _, q := range c.Quotas {
		mode := "enforce"
		if q.Observe {
			mode = "observe"
		}
		v.Quotas = append(v.Quotas, quotaView{q.Tokens, q.Per.String(), mode})
	}
	for _, s := range c.Secrets {
		v.Secrets = append(v.Secrets, secretViewOf(s, now))
	}
	return v
}

func secretViewOf(s config.ClientSecret, now time.Time) secretView {
	v := secretView{State: "live", Created: s.Created, Note: s.Note}
	if !s.NotBefore.IsZero() {
		v.NotBefore = &s.NotBefore
		if now.Before(s.NotBefore) {
			v.State = "not yet"
		}
	}
	if !s.NotAfter.IsZero() {
		v.NotAfter = &s.NotAfter
		if !now.Before(s.NotAfter) {
			v.State = "ended"
		}
	}
	return v
}

func newClientShow() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a client: its grants, its secrets' ages and ends, its limits and quotas",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(cmd, output); err != nil {
				return err
			}
			cfg, err := loader(configPath(cmd))()
			if err != nil {
				return err
			}
			v, err := clientOf(cfg, args[0])
			if err != nil {
				return err
			}
			if isDocument(output) {
				return printDocument(cmd.OutOrStdout(), output, v)
			}
			return v.print(cmd.OutOrStdout())
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func clientOf(cfg *config.Config, id string) (clientView, error) {
	for _, c := range cfg.Clients {
		if c.ID == id {
			return viewOf(c, time.Now()), nil
		}
	}
	return clientView{}, fmt.Errorf("there is no client %q%s see: gatehouse client list", id, cmp.Or(meantName(id, clientIDs(cfg)), ";"))
}

func (v clientView) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("id", v.ID)
	row("state", v.state())
	row("auth", v.Auth)
	for kind, value := range v.Subject {
		row("names", kind+" "+value)
	}
	row("grants", v.grants())
	row("ttl", v.TTL)
	for _, l := range v.Limits {
		text := fmt.Sprintf("%d per %s", l.Requests, l.Per)
		if l.Burst != l.Requests {
			text += fmt.Sprintf(", burst %d", l.Burst)
		}
		row("limit", text)
	}
	for _, q := range v.Quotas {
		row("quota", fmt.Sprintf("%d tokens per %s, %s", q.Tokens, q.Per, q.Mode))
	}
	row("introspect", strings.Join(v.Introspect, " "))
	for _, s := range v.Secrets {
		row("secret", s.text(time.Now()))
	}
	return w.Flush()
}

func (v clientView) state() string {
	if v.Disabled {
		return "disabled"
	}
	return "enabled"
}

// grants is API:SCOPE,SCOPE as the commands take it.
func (v clientView) grants() string {
	var all []string
	for _, api := range slices.Sorted(maps.Keys(v.Grants)) {
		text := api
		if scopes := v.Grants[api]; len(scopes) > 0 {
			text += ":" + strings.Join(scopes, ",")
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, " ")
}

// secrets says how many are good, and how old they are; or what a client that needs none has in their place.
func (v clientView) secrets(now time.Time) string {
	if v.Auth != "" && !strings.HasPrefix(v.Auth, "client_secret_") {
		return "none: " + v.Auth
	}
	var ages []string
	live := 0
	for _, s := range v.Secrets {
		if s.State != "live" {
			continue
		}
		live++
		if a := age(s.Created, now); a != "" {
			ages = append(ages, a)
		}
	}
	text := fmt.Sprintf("%d live", live)
	if len(ages) > 0 {
		text += " (" + strings.Join(ages, ", ") + ")"
	}
	if rest := len(v.Secrets) - live; rest > 0 {
		text += fmt.Sprintf(", %d not", rest)
	}
	return text
}

func (s secretView) text(now time.Time) string {
	parts := []string{s.State}
	if a := age(s.Created, now); a != "" {
		parts = append(parts, a+" old")
	}
	if s.NotBefore != nil && s.State == "not yet" {
		parts = append(parts, "from "+s.NotBefore.UTC().Format(time.RFC3339))
	}
	if s.NotAfter != nil {
		parts = append(parts, "until "+s.NotAfter.UTC().Format(time.RFC3339))
	}
	if s.Note != "" {
		parts = append(parts, fmt.Sprintf("%q", s.Note))
	}
	return strings.Join(parts, ", ")
}

// age is how many days ago a date was; "" for what is no date.
func age(created string, now time.Time) string {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, created); err == nil {
			return fmt.Sprintf("%dd", max(0, int(now.Sub(t)/(24*time.Hour))))
		}
	}
	return ""
}
