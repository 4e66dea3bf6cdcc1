package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/app"
	"gatehouse/internal/trace"
)

func newCan() *cobra.Command {
	var q adminapi.ExplainRequest
	var scope, output string
	cmd := &cobra.Command{
		Use:   "can CLIENT [METHOD PATH]",
		Short: "Say whether a client may send a request, or list the routes that it may use; exit 4 where it may not",
		Long: `Say whether a client may send a request, by the configuration files and the code that serves requests: exit 0 where it may, 4 where
it may not. Without METHOD and PATH, list the routes that a client of ours may use, public ones included.`,
		Example: `  gatehouse can billing-worker POST /orders
  gatehouse can billing-worker`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 3 {
				return fmt.Errorf("accepts CLIENT, or CLIENT METHOD PATH; received %s", count(len(args), "argument"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(cmd, output); err != nil {
				return err
			}
			if len(args) == 1 {
				return reach(cmd, args[0], output)
			}
			q.Client, q.Method, q.URL = args[0], args[1], args[2]
			if err := target(cmd, q.URL); err != nil {
				return err
			}
			q.Scopes = strings.Fields(strings.ReplaceAll(scope, ",", " "))
			t, err := offline(cmd, func(o *app.Offline) (*trace.Trace, error) { return o.Explain(cmd.Context(), q) })
			if err != nil {
				return err
			}
			return printTrace(cmd, t, output)
		},
	}
	tokenOf(cmd, &q, &scope)
	outputFlag(cmd, &output)
	return cmd
}

func reach(cmd *cobra.Command, client, output string) error {
	rows, err := offline(cmd, func(o *app.Offline) ([]app.RouteRow, error) { return o.Reach(client) })
	switch {
	case err != nil:
		return err
	case isDocument(output):
		return printDocument(cmd.OutOrStdout(), output, rows)
	}
	return routeTable(cmd.OutOrStdout(), rows)
}

// whoCan is what who-can prints: who may, and where no route takes the request, why.
type whoCan struct {
	app.Access
	Trace *trace.Trace `json:"trace,omitempty"`
}

func newWhoCan() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "who-can METHOD PATH",
		Short: "List the clients that may send a request; exit 4 where nobody may",
		Long: `List the clients that may send a request, by the configuration files: ours by their ids, with all that they are granted, and those of
other issuers as a class. Exit 4 where nobody may.`,
		Example: `  gatehouse who-can DELETE /orders/1`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(cmd, output); err != nil {
				return err
			}
			if err := target(cmd, args[1]); err != nil {
				return err
			}
			who, err := offline(cmd, func(o *app.Offline) (who whoCan, err error) {
				who.Access, who.Trace, err = o.WhoCan(cmd.Context(), args[0], args[1])
				return who, err
			})
			switch {
			case err != nil:
				return err
			case isDocument(output):
				err = printDocument(cmd.OutOrStdout(), output, who)
			default:
				who.print(cmd.OutOrStdout(), talk(cmd))
			}
			if nobody := !who.Public && !who.Observe && len(who.Clients)+len(who.Others) == 0; err == nil && nobody {
				return &codedError{code: exitDenied}
			}
			return err
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

// print gives the callers to out, one a line, and talks to talk.
func (w whoCan) print(out, talk io.Writer) {
	if w.Trace != nil {
		io.WriteString(talk, w.Trace.Text(false))
		return
	}
	fmt.Fprintf(talk, "%s · %s  %s\n", w.API, w.Route, w.Where)
	switch {
	case w.Public:
		fmt.Fprintln(out, "anyone, without a token")
	case w.Observe:
		fmt.Fprintln(out, "anyone, while the route is only observed")
	}
	for _, id := range w.Clients {
		fmt.Fprintln(out, id)
	}
	for _, class := range w.Others {
		fmt.Fprintln(out, class)
	}
	if !w.Public && len(w.Clients)+len(w.Others) == 0 {
		fmt.Fprintln(talk, "no client may: gatehouse client grant gives one the scopes")
	}
}
