package statuspage

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"
)

type clientsData struct {
	Filter  string
	All     int // clients that there are
	Found   int // those that match the filter
	Clients []Client
	Last    lastTokens
	Now     time.Time
}

type clientData struct {
	*Client
	Last string // when it last got a token, in words
	Uses []Use
}

// Percent is how much is left, from 0 to 100.
func (u Use) Percent() int64 {
	if u.Of <= 0 {
		return 0
	}
	return int64(share(max(min(u.Left, u.Of), 0), u.Of) * 100)
}

// LastOf is when a client last got a token, in words.
func (d clientsData) LastOf(id string) string { return d.Last.of(id) }

// lastTokens are the days on which clients last got a token.
type lastTokens struct {
	known bool
	since string // the day from which on they were noted
	days  map[string]string
}

// lastTokens asks for the days. Redis may be away: the page then says that it does not know.
func (p *Page) lastTokens(ctx context.Context) lastTokens {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	all, err := p.o.LastTokens(ctx)
	if err != nil {
		return lastTokens{}
	}
	l := lastTokens{known: true, since: all.Since, days: map[string]string{}}
	for _, c := range all.Clients {
		l.days[c.ID] = c.LastTokenDay
	}
	return l
}

func (l lastTokens) of(id string) string {
	switch {
	case !l.known:
		return "not known now"
	case l.days[id] != "":
		return l.days[id]
	case l.since == "":
		return "none known"
	}
	return "none since " + l.since
}

func (p *Page) clientsData(ctx context.Context, q url.Values) clientsData {
	d := clientsData{Filter: clip(q.Get("q")), Now: time.Now(), Last: p.lastTokens(ctx)}
	all := p.o.Clients()
	d.All = len(all)
	for _, c := range all {
		if matches(d.Filter, c.words()...) {
			d.Clients = append(d.Clients, c)
		}
	}
	d.Found = len(d.Clients)
	d.Clients = d.Clients[:min(len(d.Clients), rows)]
	return d
}

func (c *Client) words() []string {
	words := []string{c.ID, c.Where, c.Keys}
	for _, g := range c.Grants {
		words = append(words, g.API, strings.Join(g.Scopes, " "))
	}
	return words
}

func (p *Page) client(id string) *Client {
	all := p.o.Clients()
	if i := slices.IndexFunc(all, func(c Client) bool { return c.ID == id }); i >= 0 {
		return &all[i]
	}
	return nil
}
