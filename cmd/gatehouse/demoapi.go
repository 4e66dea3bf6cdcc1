package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/demo"
)

// newDemoAPI is the API behind `gatehouse dev` as a process of its own, for deploy/compose.yaml. It is hidden: nobody needs
// it who has an API.
func newDemoAPI() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:    "demo-api",
		Short:  "Serve the built-in demo API alone: something to put behind a gateway",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := net.Listen("tcp", address)
			if err != nil {
				return err
			}
			fmt.Fprintf(talk(cmd), "the demo API listens on %s\n", l.Addr())
			return serveUntil(cmd.Context(), &http.Server{Handler: demo.Handler(), ReadHeaderTimeout: 5 * time.Second}, l)
		},
	}
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:9000", "address to listen on")
	return cmd
}

// serveUntil serves until ctx is done, and lets what is in flight finish.
func serveUntil(ctx context.Context, server *http.Server, l net.Listener) error {
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		drained <- server.Shutdown(ctx)
	})
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-drained
}
