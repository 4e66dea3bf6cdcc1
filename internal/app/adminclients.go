package app

import (
	"context"
	"net/http"

	"gatehouse/internal/admin"
	"gatehouse/internal/adminapi"
)

// listClients is GET /api/v1/clients.
func (a *App) listClients(ctx context.Context) (adminapi.Clients, error) {
	days, since, err := a.lastUse.Days(ctx)
	if err != nil {
		return adminapi.Clients{}, &admin.Error{Status: http.StatusServiceUnavailable, Message: "the days of clients' last tokens are not known: " + err.Error()}
	}
	out := adminapi.Clients{Since: since, Clients: []adminapi.Client{}}
	for _, c := range a.current.Load().cfg.Clients {
		out.Clients = append(out.Clients, adminapi.Client{ID: c.ID, Disabled: c.Disabled, LastTokenDay: days[c.ID]})
	}
	return out, nil
}
