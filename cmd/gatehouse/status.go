package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/adminclient"
)

const (
	watchEvery  = time.Second
	statusLimit = 5 * time.Second // the server answers from memory
)

func newStatus() *cobra.Command {
	var f adminFlags
	var watch, open bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the running gatehouse does: configuration, Redis, fleet, keys, upstreams, last denials",
		Long: `Show how the running gatehouse does, on one screen: version and readiness, the configuration in force and the last attempt to load
one, Redis, revocations, the nodes of the fleet, limits, keys, upstreams, and the last ten denials.

What is shown is what this node knows, also while Redis is away: the fleet is then as Redis last told of it.`,
		Example: `  gatehouse status
  gatehouse status --watch
  gatehouse status --open         # the status page, in a browser
  gatehouse status -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch && f.output != "table" {
				return usage(cmd, errors.New("--watch goes with -o table: one document is all that a command prints"))
			}
			if watch && open {
				return usage(cmd, errors.New("--watch is for this terminal, --open for a browser: choose one"))
			}
			client, err := f.client(cmd)
			if err != nil {
				return err
			}
			if open {
				return openPage(cmd, client)
			}
			if watch {
				return watchStatus(cmd, client)
			}
			s, err := getStatus(cmd.Context(), client)
			if err != nil {
				return err
			}
			if isDocument(f.output) {
				return printDocument(cmd.OutOrStdout(), f.output, s)
			}
			return screen(cmd.OutOrStdout(), s)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it anew every second, until interrupted")
	cmd.Flags().BoolVar(&open, "open", false, "open the status page in a browser, by a link that logs in once and within a minute")
	return cmd
}

func getStatus(ctx context.Context, client *adminclient.Client) (*adminapi.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	var s adminapi.Status
	err := client.Get(ctx, "/api/v1/status", &s)
	var refused *adminclient.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil, errors.New("this gatehouse is too old to tell its status: ask its /-/ready and /metrics")
	}
	if err != nil {
		return nil, told(err)
	}
	return &s, nil
}

// watchStatus shows the status until ctx ends. A gatehouse that stops to answer is waited for: it may be restarting.
func watchStatus(cmd *cobra.Command, client *adminclient.Client) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	show := repeat
	if file, ok := out.(*os.File); ok && isTerminal(file) {
		show = redraw
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		s, err := getStatus(ctx, client)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && first {
			return err
		}
		var text bytes.Buffer
		if err != nil {
			fmt.Fprintf(&text, "%s  %v\n", time.Now().Format(time.TimeOnly), err)
		} else if err := screen(&text, s); err != nil {
			return err
		}
		if err := show(out, text.String(), first); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// repeat writes one screen below the other.
func repeat(w io.Writer, text string, first bool) error {
	if !first {
		text = "\n" + text
	}
	_, err := io.WriteString(w, text)
	return err
}

// redraw writes a screen over the one before, line by line, so that nothing flickers.
func redraw(w io.Writer, text string, first bool) error {
	const home, clearLine, clearBelow, clearAll = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[2J"
	start := home
	if first {
		start = clearAll + home
	}
	_, err := io.WriteString(w, start+strings.ReplaceAll(text, "\n", clearLine+"\n")+clearBelow)
	return err
}
