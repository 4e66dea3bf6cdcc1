package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/config"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Get a token, or look into one", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newTokenGet(), newTokenInspect())
	return cmd
}

// tokenRequest is what `token get` asks for.
type tokenRequest struct {
	url, client, scope, audience string
	secretFile                   string
	secretStdin, header          bool
}

func newTokenGet() *cobra.Command {
	var q tokenRequest
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Get an access token by client credentials; prints the token alone",
		Long: `Get an access token by client credentials; prints the token alone, so that
  curl -H "Authorization: Bearer $(gatehouse token get)" …
works. The secret is read from GATEHOUSE_CLIENT_SECRET, --secret-file or --secret-stdin, never from a flag.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.client == "" {
				q.client = os.Getenv("GATEHOUSE_CLIENT_ID")
			}
			if q.client == "" {
				return usage(cmd, errors.New("which client? use --client or set GATEHOUSE_CLIENT_ID"))
			}
			secret, err := readSecret(cmd, q)
			if err != nil {
				return err
			}
			if q.url == "" {
				_, issuer, err := config.Addresses(configPath(cmd), config.Options{})
				switch {
				case err != nil:
					return fmt.Errorf("%w\nor say where the token endpoint is: --url https://…/oauth/token", err)
				case issuer == "":
					return fmt.Errorf("%s has no server.public_url that can be used: run gatehouse check, or use --url", configPath(cmd))
				}
				q.url = strings.TrimSuffix(issuer, "/") + "/oauth/token"
			}
			access, err := q.get(cmd.Context(), secret)
			if err != nil {
				return err
			}
			if q.header {
				access = "Authorization: Bearer " + access
			}
			fmt.Fprintln(cmd.OutOrStdout(), access)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.client, "client", "", "client id (GATEHOUSE_CLIENT_ID)")
	f.StringVar(&q.scope, "scope", "", "scopes, separated by spaces; none: all that is granted")
	f.StringVar(&q.audience, "audience", "", "audience of the API; none: the client's only one")
	f.StringVar(&q.url, "url", "", "token endpoint; none: that of the configuration's public_url")
	f.StringVar(&q.secretFile, "secret-file", "", "file that holds the secret")
	f.BoolVar(&q.secretStdin, "secret-stdin", false, "read the secret from standard input")
	f.BoolVar(&q.header, "header", false, "print a whole Authorization header line")
	cmd.MarkFlagsMutuallyExclusive("secret-file", "secret-stdin")
	return cmd
}

func readSecret(cmd *cobra.Command, q tokenRequest) (string, error) {
	var data []byte
	var err error
	switch {
	case q.secretFile != "":
		data, err = os.ReadFile(q.secretFile)
	case q.secretStdin:
		data, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), 64<<10))
	default:
		data = []byte(os.Getenv("GATEHOUSE_CLIENT_SECRET"))
	}
	if err != nil {
		return "", err
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if secret == "" {
		return "", usage(cmd, errors.New("no secret: set GATEHOUSE_CLIENT_SECRET, or use --secret-file or --secret-stdin"))
	}
	return secret, nil
}

// get asks the token endpoint. Its errors never hold the secret.
func (q tokenRequest) get(ctx context.Context, secret string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if q.scope != "" {
		form.Set("scope", q.scope)
	}
	if q.audience != "" {
		form.Set("audience", q.audience)
	}
	if u, err := url.Parse(q.url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", &codedError{exitUsage, fmt.Errorf("--url %q: want a URL such as http://127.0.0.1:8080/oauth/token", q.url)}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, q.url, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(q.client), url.QueryEscape(secret)) // RFC 6749 section 2.3.1
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if errors.Is(err, context.Canceled) {
		return "", err
	}
	if err != nil {
		return "", &codedError{exitUnreachable, fmt.Errorf("%w\nis it running? start it with: gatehouse run", err)}
	}
	defer res.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer)
	if err != nil || answer.AccessToken == "" && answer.Error == "" {
		return "", fmt.Errorf("%s answered %s, and not the JSON of a token endpoint: is --url right?", q.url, res.Status)
	}
	if res.StatusCode != http.StatusOK || answer.AccessToken == "" {
		refused := fmt.Errorf("%s refused: %s: %s", q.url, answer.Error, answer.Description)
		if wait := res.Header.Get("Retry-After"); wait != "" {
			refused = fmt.Errorf("%w; try again in %s s", refused, wait)
		}
		return "", &codedError{exitDenied, refused}
	}
	return answer.AccessToken, nil
}
