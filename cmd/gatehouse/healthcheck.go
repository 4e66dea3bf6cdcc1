package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminclient"
	"gatehouse/internal/config"
)

func newHealthcheck() *cobra.Command {
	var ready bool
	var timeout time.Duration
	var address string
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the running gatehouse whether it is well; exit 0 or 1, for container health checks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			address, err := adminAddress(cmd, address)
			if err != nil {
				return &codedError{exitFailed, err}
			}
			path := "/-/healthy"
			if ready {
				path = "/-/ready"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			answer, err := askAdmin(ctx, address, path)
			if err != nil {
				return fmt.Errorf("%s: %w\nis it running? start it with: gatehouse run", address, err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), answer)
			return nil
		},
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "ask for readiness instead of liveness")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long to wait for the answer")
	cmd.Flags().StringVar(&address, "admin", "", "address of the admin listener, host:port or unix:/path (GATEHOUSE_ADMIN; else admin.listen of the configuration)")
	return cmd
}

// adminAddress is where the running process serves its admin listener.
func adminAddress(cmd *cobra.Command, flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if env := os.Getenv("GATEHOUSE_ADMIN"); env != "" {
		return env, nil
	}
	listen, _, err := config.Addresses(configPath(cmd), config.Options{})
	if err != nil { // %v: a check has two exit codes, and a bad configuration is no third
		return "", fmt.Errorf("%v\nsay where it listens with --admin or GATEHOUSE_ADMIN", err)
	}
	return listen, nil
}

func askAdmin(ctx context.Context, address, path string) (string, error) {
	transport := &http.Transport{DialContext: adminclient.Dialer(address)}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return "", err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return "", err
	}
	answer := strings.TrimSpace(string(body))
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s", answer)
	}
	return answer, nil
}
