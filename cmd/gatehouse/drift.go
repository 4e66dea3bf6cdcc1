package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/openapi"
)

// drift says where the routes of APIs are not what the OpenAPI documents of `openapi` ask for. It is an error to check, so that CI
// stops a change, and a warning to a process that serves: the routes are what the file says, the document gives nobody
// anything, and a gateway does not stay down for a line in it.
func drift(ctx context.Context, cfg *config.Config) (list config.Errors) {
	for _, api := range cfg.APIs {
		if api.OpenAPI == "" {
			continue
		}
		d, err := openapi.Read(ctx, api.OpenAPI, openapi.Options{Quick: true})
		var plan *openapi.Plan
		if err == nil {
			plan, err = d.Plan(api.Name, api.StripPrefix)
		}
		if err != nil {
			list = append(list, unread(api, err)...)
			continue
		}
		fix := fmt.Sprintf(" — see: gatehouse import openapi %s --api %s --diff", shellQuote(api.OpenAPI), api.Name)
		for _, diff := range plan.Compare(routesOf(api)) {
			at := api.OpenAPIPos
			if diff.Existing >= 0 {
				at = api.Routes[diff.Existing].Pos
			}
			list = append(list, config.Problem{Pos: at, Message: fmt.Sprintf("apis.%s: %s%s", api.Name, diff.Message, fix)})
		}
	}
	slices.SortStableFunc(list, func(a, b config.Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return list
}

// unread is why a document can't be compared with.
func unread(api config.API, err error) (list config.Errors) {
	var notes openapi.Errors
	if !errors.As(err, &notes) {
		return config.Errors{{Pos: api.OpenAPIPos, Message: fmt.Sprintf("apis.%s.openapi: %v", api.Name, err)}}
	}
	for _, n := range notes {
		list = append(list, config.Problem{Pos: api.OpenAPIPos, Message: fmt.Sprintf("apis.%s.openapi: %s", api.Name, n)})
	}
	return list
}

// routesOf are an API's routes as documents are compared with.
func routesOf(api config.API) []openapi.Existing {
	var out []openapi.Existing
	for _, r := range api.Routes {
		out = append(out, openapi.Existing{Method: r.Method, Pattern: r.Pattern, Requirement: openapi.RouteRequirement(r.Auth, r.All, r.Any)})
	}
	return out
}

// loader reads the configuration of a process that serves.
func loader(path string) func() (*config.Config, error) {
	return func() (*config.Config, error) {
		cfg, err := config.Load(path, config.Options{})
		if err == nil {
			cfg.Warnings = append(cfg.Warnings, drift(context.Background(), cfg)...)
		}
		return cfg, err
	}
}
