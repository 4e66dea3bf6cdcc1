package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/config"
	"gatehouse/internal/secret"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Get a token, or look into one", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newTokenGet(), newTokenInspect())
	return cmd
}

// tokenRequest is what `token get` asks for.
type tokenRequest struct {
	url, client, scope, audience string
	secretFile, output           string
	certFile, keyFile            string // of a certificate, in place of a secret
	secretStdin, header, curl    bool
}

func newTokenGet() *cobra.Command {
	var q tokenRequest
	cmd := &cobra.Command{
		Use:   "get [METHOD PATH]",
		Short: "Get an access token by client credentials; prints the token alone",
		Long: `Get an access token by client credentials; prints the token alone, so that
  curl -H "Authorization: Bearer $(gatehouse token get)" …
works. With --curl METHOD PATH it prints that whole command, for a request to the API. The secret is read from
GATEHOUSE_CLIENT_SECRET, --secret-file or --secret-stdin, never from a flag. A client that authenticates by TLS has --cert-file and
--key-file in its place.`,
		Example: `  gatehouse token get --client billing-worker --secret-file secret
  gatehouse token get --curl POST /orders
  gatehouse token get -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if q.curl && len(args) != 2 {
				return errors.New("--curl wants METHOD and PATH, such as: --curl GET /orders")
			}
			if !q.curl {
				return cobra.NoArgs(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return q.run(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&q.client, "client", "", "client id (GATEHOUSE_CLIENT_ID)")
	f.StringVar(&q.scope, "scope", "", "scopes, separated by spaces; none: all that is granted")
	f.StringVar(&q.audience, "audience", "", "audience of the API; none: the client's only one")
	f.StringVar(&q.url, "url", "", "token endpoint; none: that of the configuration's public_url")
	f.StringVar(&q.secretFile, "secret-file", "", "file that holds the secret")
	f.BoolVar(&q.secretStdin, "secret-stdin", false, "read the secret from standard input")
	f.StringVar(&q.certFile, "cert-file", "", "file that holds the client's certificate, in PEM, for auth: tls_client_auth and self_signed_tls_client_auth")
	f.StringVar(&q.keyFile, "key-file", "", "file that holds its key, in PEM")
	f.BoolVar(&q.header, "header", false, "print a whole Authorization header line")
	f.BoolVar(&q.curl, "curl", false, "print a curl command that sends METHOD PATH with the token")
	f.StringVarP(&q.output, "output", "o", "text", "text, json or yaml: the token alone, or what the endpoint answered")
	cmd.MarkFlagsMutuallyExclusive("secret-file", "secret-stdin", "cert-file")
	cmd.MarkFlagsRequiredTogether("cert-file", "key-file")
	cmd.RegisterFlagCompletionFunc("output", words("text", "json", "yaml"))
	return cmd
}

func (q *tokenRequest) run(cmd *cobra.Command, args []string) error {
	if err := oneOf(cmd, q.output, "text", "json", "yaml"); err != nil {
		return err
	}
	if (q.header && q.curl) || (q.header || q.curl) && isDocument(q.output) {
		return usage(cmd, errors.New("--header, --curl and -o are three ways to print one token: choose one"))
	}
	if q.client == "" {
		q.client = os.Getenv("GATEHOUSE_CLIENT_ID")
	}
	if q.client == "" {
		return usage(cmd, errors.New("which client? use --client or set GATEHOUSE_CLIENT_ID"))
	}
	prove, err := q.credential(cmd)
	if err != nil {
		return err
	}
	if err := q.find(cmd); err != nil {
		return err
	}
	began := time.Now()
	got, err := q.get(cmd.Context(), prove)
	verbose(cmd, "POST %s as %s: %s", q.url, q.client, time.Since(began).Round(time.Millisecond))
	if err != nil {
		return err
	}
	text := got.AccessToken
	switch {
	case isDocument(q.output):
		return printDocument(cmd.OutOrStdout(), q.output, got)
	case q.header:
		text = "Authorization: Bearer " + text
	case q.curl:
		text = q.curlLine(text, args[0], args[1])
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// find says where the token endpoint is, unless --url did.
func (q *tokenRequest) find(cmd *cobra.Command) error {
	if q.url != "" {
		return nil
	}
	_, issuer, err := config.Addresses(configPath(cmd), config.Options{})
	switch {
	case err != nil:
		return fmt.Errorf("%w\nor say where the token endpoint is: --url https://…/oauth/token", err)
	case issuer == "":
		return fmt.Errorf("%s has no server.public_url that can be used: run gatehouse check, or use --url", configPath(cmd))
	}
	q.url = strings.TrimSuffix(issuer, "/") + "/oauth/token"
	return nil
}

// curlLine is a command for a shell. A path is one on the token endpoint's host.
func (q *tokenRequest) curlLine(token, method, path string) string {
	if !strings.Contains(path, "://") {
		if u, err := url.Parse(q.url); err == nil {
			path = u.Scheme + "://" + u.Host + path
		}
	}
	line := "curl "
	if method = strings.ToUpper(method); method != http.MethodGet {
		line += "-X " + shellQuote(method) + " "
	}
	return line + "-H " + shellQuote("Authorization: Bearer "+token) + " " + shellQuote(path)
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
	word := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if word == "" {
		return "", usage(cmd, errors.New("no secret: set GATEHOUSE_CLIENT_SECRET, or use --secret-file or --secret-stdin"))
	}
	if strings.HasPrefix(word, "gatecs_") && !secret.Whole(word) {
		return "", usage(cmd, errors.New("this is not a whole Gatehouse secret: a part of it is missing or mistyped; nothing was sent"))
	}
	return word, nil
}

// credential is how the client authenticates.
type credential struct {
	secret      string
	certificate *tls.Certificate // in place of the secret
}

func (q *tokenRequest) credential(cmd *cobra.Command) (c credential, err error) {
	if q.certFile == "" {
		c.secret, err = readSecret(cmd, *q)
		return c, err
	}
	pair, err := tls.LoadX509KeyPair(q.certFile, q.keyFile)
	if err != nil {
		return c, fmt.Errorf("%s and %s: %w", q.certFile, q.keyFile, err)
	}
	c.certificate = &pair
	return c, nil
}

// client shows the certificate, if that is the credential. Redirects are not followed.
func (c credential) client() *http.Client {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c.certificate != nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		// Shown whatever authorities the server names: who gives it here means it.
		show := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate, nil }
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetClientCertificate: show}
		client.Transport = t
	}
	return client
}

// issued is what the token endpoint answers (RFC 6749, section 5.1).
type issued struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`      // seconds
	Scope       string `json:"scope,omitempty"` // what was granted
}

// get asks the token endpoint. Its errors never hold the secret.
func (q tokenRequest) get(ctx context.Context, prove credential) (out issued, err error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if q.scope != "" {
		form.Set("scope", q.scope)
	}
	if q.audience != "" {
		form.Set("audience", q.audience)
	}
	if u, err := url.Parse(q.url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return out, &codedError{exitUsage, fmt.Errorf("--url %q: want a URL such as http://127.0.0.1:8080/oauth/token", q.url)}
	}
	if prove.certificate != nil && !strings.HasPrefix(strings.ToLower(q.url), "https:") {
		return out, &codedError{exitUsage, fmt.Errorf("%s is no https URL: a certificate is shown in the TLS handshake, and nothing was sent", q.url)}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if prove.certificate != nil {
		form.Set("client_id", q.client) // RFC 8705 section 2
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, q.url, strings.NewReader(form.Encode()))
	if err != nil {
		return out, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if prove.certificate == nil {
		req.SetBasicAuth(url.QueryEscape(q.client), url.QueryEscape(prove.secret)) // RFC 6749 section 2.3.1
	}
	res, err := prove.client().Do(req)
	if errors.Is(err, context.Canceled) {
		return out, err
	}
	if unverified := new(tls.CertificateVerificationError); errors.As(err, &unverified) {
		return out, &codedError{exitUnreachable, fmt.Errorf("%w\nits certificate is none that this machine trusts: SSL_CERT_FILE may name a file of authorities", err)}
	}
	if err != nil {
		return out, &codedError{exitUnreachable, fmt.Errorf("%w\nis it running? start it with: gatehouse run", err)}
	}
	defer res.Body.Close()
	var answer struct {
		issued
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer)
	if err != nil || answer.AccessToken == "" && answer.Error == "" {
		return out, fmt.Errorf("%s answered %s, and not the JSON of a token endpoint: is --url right?", q.url, res.Status)
	}
	if res.StatusCode != http.StatusOK || answer.AccessToken == "" {
		refused := fmt.Errorf("%s refused: %s: %s", q.url, answer.Error, answer.Description)
		if wait := res.Header.Get("Retry-After"); wait != "" {
			refused = fmt.Errorf("%w; try again in %s s", refused, wait)
		}
		return out, &codedError{exitDenied, fmt.Errorf("%w\n%s", refused, q.after(answer.Error, res.Header.Get("X-Request-Id")))}
	}
	return answer.issued, nil
}

// ourRequest is what a request id of ours looks like.
var ourRequest = regexp.MustCompile(`^[0-9A-Z]{26}$`)

// after is what to do about a refusal, whose request has this id; what is none of ours is as good as none.
func (q tokenRequest) after(code, request string) string {
	why := "why: gatehouse status lists the last refusals"
	if ourRequest.MatchString(request) {
		why = "why: gatehouse explain " + request
	}
	id := shellQuote(q.client)
	switch code {
	case "invalid_client":
		if q.certFile != "" {
			return "what must its certificate name? gatehouse client show " + id
		}
		return "is the secret one of its own, and live? gatehouse client show " + id + "; another one: gatehouse client rotate " + id
	case "invalid_scope", "invalid_target", "unauthorized_client":
		return "what it is granted: gatehouse client show " + id + "; " + why
	}
	return why
}
