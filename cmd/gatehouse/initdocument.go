package main

// initDocument is -o json of init.
type initDocument struct {
	Files    []string `json:"files"`
	API      string   `json:"api"`
	Upstream string   `json:"upstream"`
	Routes   int      `json:"routes"`
	Public   int      `json:"public_routes"`
	Scopes   []string `json:"scopes"`
	Warnings []string `json:"warnings"` // of the OpenAPI document
	ID       string   `json:"client_id"`
	Secret   string   `json:"client_secret"` // shown this once
}

// document is what init says in words, for machines.
func (p *initProject) document(files []initFile, public int) initDocument {
	plan := p.config.Plan
	d := initDocument{API: p.config.API, Upstream: p.config.Upstream, Routes: len(plan.Routes), Public: public, Scopes: append([]string{}, plan.Scopes...),
		Warnings: []string{}, ID: p.client, Secret: p.secret}
	for _, f := range files {
		d.Files = append(d.Files, f.path)
	}
	for _, n := range plan.Warnings {
		d.Warnings = append(d.Warnings, n.String())
	}
	return d
}
