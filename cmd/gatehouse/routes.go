package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/app"
	"gatehouse/internal/config"
	"gatehouse/internal/suggest"
)

func newRoutes() *cobra.Command {
	cmd := &cobra.Command{Use: "routes", Short: "See the routes of a configuration, and test them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newRoutesList(), newRoutesTest())
	return cmd
}

func newRoutesList() *cobra.Command {
	var f adminFlags
	var api string
	var public, unused bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the routes with what they require, and where they stand in the configuration",
		Long: `List the routes with what they require, and where they stand in the configuration. With --unused, those that the running gatehouse
has not taken a request for since it was started.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(cmd, f.output); err != nil {
				return err
			}
			cfg, err := loader(configPath(cmd))()
			if err != nil {
				return err
			}
			if api != "" && !slices.ContainsFunc(cfg.APIs, func(a config.API) bool { return a.Name == api }) {
				return fmt.Errorf("%s has no API %q%s: gatehouse routes list shows all", cfg.File, api, meantName(api, apiNames(cfg)))
			}
			hit := map[string]bool{}
			if unused {
				if hit, err = f.hits(cmd); err != nil {
					return err
				}
			}
			rows := slices.DeleteFunc(app.Routes(cfg), func(r app.RouteRow) bool {
				return api != "" && r.API != api || public && r.Auth != "public" || hit[r.API+" "+r.Match]
			})
			if isDocument(f.output) {
				return printDocument(cmd.OutOrStdout(), f.output, rows)
			}
			if unused && len(rows) == 0 {
				fmt.Fprintln(talk(cmd), "every route has had a request")
			}
			return routeTable(cmd.OutOrStdout(), rows)
		},
	}
	cmd.Flags().StringVar(&api, "api", "", "those of one API")
	cmd.Flags().BoolVar(&public, "public", false, "those that ask for no token")
	cmd.Flags().BoolVar(&unused, "unused", false, "those without a request since the running gatehouse was started")
	f.register(cmd)
	return cmd
}

// hits are the routes that the running gatehouse has taken requests for, by API and match.
func (f *adminFlags) hits(cmd *cobra.Command) (map[string]bool, error) {
	client, err := f.client(cmd)
	if err != nil {
		return nil, err
	}
	var list []adminapi.Route
	if err := client.Get(cmd.Context(), "/api/v1/routes", &list); err != nil {
		return nil, told(err)
	}
	hit := map[string]bool{}
	for _, r := range list {
		if !r.Last.IsZero() || r.Requests > 0 {
			hit[r.API+" "+r.Match] = true
		}
	}
	return hit, nil
}

// meantName is what to say of a name that is not there: ` — did you mean "x"?`, or "".
func meantName(got string, names []string) string {
	if meant := suggest.Nearest(got, slices.Values(names)); meant != "" {
		return fmt.Sprintf(" — did you mean %q?", meant)
	}
	return ""
}

func routeTable(w io.Writer, rows []app.RouteRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "API\tMETHOD\tHOST\tPATTERN\tNEEDS\tLIMIT\tUPSTREAM\tWHERE")
	for _, r := range rows {
		method, needs := r.Method, r.Needs()
		if method == "" {
			method = "ANY"
		}
		if r.Observe {
			needs += " (observed)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.API, method, dash(strings.Join(r.Hosts, " ")), r.Pattern, needs, dash(strings.Join(r.Limits, ", ")),
			strings.Join(r.Upstreams, " "), r.Where)
	}
	return t.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func newRoutesTest() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: "Run the policy tests of a file against a configuration; exit 1 where one fails",
		Long: `Run the policy tests of a file against a configuration, by the code that serves requests and without a running gatehouse. The file
is a list; each test is a request with what is to become of it:

  - {request: "GET /orders", client: billing-worker, want: allow}
  - {request: "POST /orders", client: billing-worker, want: insufficient_scope}
  - {request: "GET /orders/%2e%2e/admin", want: malformed_request}

client has a token with all that it is granted for the API of the route; scopes and audience say which token it is otherwise, issuer
whose client it is. host is the Host of the request. want is allow, a reason of the gateway, or the error with which the token
endpoint would refuse the token. A test that fails is printed with its trace.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(cmd, output); err != nil {
				return err
			}
			tests, err := config.LoadRouteTests(args[0])
			if err != nil {
				return err
			}
			results, err := offline(cmd, func(o *app.Offline) ([]app.RouteResult, error) { return o.Test(cmd.Context(), tests) })
			if err != nil {
				return err
			}
			return printResults(cmd, results, output)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func printResults(cmd *cobra.Command, results []app.RouteResult, output string) error {
	failed := app.Failed(results)
	w := cmd.OutOrStdout()
	if isDocument(output) {
		if err := printDocument(w, output, results); err != nil {
			return err
		}
	} else {
		for _, r := range failed {
			of := ""
			if r.Client != "" {
				of = " by " + r.Client
			}
			fmt.Fprintf(w, "FAIL %s: %s%s: want %s, got %s\n\n%s\n", r.Where, r.Request, of, r.Want, r.Got, r.Trace.Text(color(cmd)))
		}
		fmt.Fprintf(w, "%s, %d failed\n", count(len(results), "test"), len(failed))
	}
	switch {
	case len(results) == 0:
		return &codedError{exitFailed, errors.New("the file has no test")}
	case len(failed) > 0:
		return &codedError{code: exitFailed}
	}
	return nil
}
