package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminapi"
)

func newClientList() *cobra.Command {
	var f adminFlags
	var unused string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the clients; with --unused, those that have got no token for so long",
		Long: `List the clients of the clients file. With --unused 90d, list those that have got no token for so long; the running gatehouse is
asked, which notes for each the day of its last token.`,
		Example: `  gatehouse client list
  gatehouse client list --unused 90d`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(cmd, f.output); err != nil {
				return err
			}
			cfg, err := loader(configPath(cmd))()
			if err != nil {
				return err
			}
			list := []clientView{}
			for _, c := range cfg.Clients {
				list = append(list, viewOf(c, time.Now()))
			}
			if unused != "" {
				if list, err = f.unused(cmd, list, unused); err != nil {
					return err
				}
			}
			if isDocument(f.output) {
				return printDocument(cmd.OutOrStdout(), f.output, list)
			}
			return clientTable(cmd.OutOrStdout(), list, unused != "")
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&unused, "unused", "", "those without a token for so long: days such as 90d, or a duration")
	return cmd
}

// unused are the clients of a list that have got no token for some time. One of which the running gatehouse can't know, since it has
// noted tokens for less long than that, is left out, and that is said.
func (f *adminFlags) unused(cmd *cobra.Command, list []clientView, text string) ([]clientView, error) {
	days, err := daysOf(text)
	if err != nil {
		return nil, usage(cmd, err)
	}
	client, err := f.client(cmd)
	if err != nil {
		return nil, err
	}
	var known adminapi.Clients
	if err := client.Get(cmd.Context(), "/api/v1/clients", &known); err != nil {
		return nil, told(err)
	}
	limit := time.Now().UTC().AddDate(0, 0, -days).Format(time.DateOnly)
	last := map[string]string{}
	for _, c := range known.Clients {
		last[c.ID] = c.LastTokenDay
	}
	out, unknown := []clientView{}, 0
	for _, v := range list {
		v.LastTokenDay = last[v.ID]
		switch {
		case v.LastTokenDay == "" && known.Since > limit:
			unknown++
		case v.LastTokenDay <= limit:
			out = append(out, v)
		}
	}
	if len(out) == 0 && unknown == 0 {
		fmt.Fprintf(talk(cmd), "every client has got a token in the last %s\n", count(days, "day"))
	}
	if unknown > 0 {
		fmt.Fprintf(talk(cmd), "%s left out: tokens have been noted since %s alone, and none of theirs\n", count(unknown, "client"), clean(known.Since))
	}
	return out, nil
}

// daysOf reads 90d, or a duration, as whole days.
func daysOf(text string) (int, error) {
	if n, ok := strings.CutSuffix(text, "d"); ok {
		if days, err := strconv.Atoi(n); err == nil && days > 0 && days <= 36500 {
			return days, nil
		}
	} else if d, err := time.ParseDuration(text); err == nil && d >= 24*time.Hour {
		return int(d / (24 * time.Hour)), nil
	}
	return 0, errors.New("--unused wants days, at least one, such as 90d")
}

func clientTable(out io.Writer, list []clientView, last bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "ID\tSTATE\tGRANTS\tSECRETS"
	if last {
		head += "\tLAST TOKEN"
	}
	fmt.Fprintln(w, head)
	for _, v := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s", v.ID, v.state(), v.grants(), v.secrets(time.Now()))
		if last {
			day := v.LastTokenDay
			if day == "" {
				day = "none known"
			}
			fmt.Fprintf(w, "\t%s", clean(day))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
