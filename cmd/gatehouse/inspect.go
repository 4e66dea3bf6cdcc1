package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/token"
)

// maxKeySet is the longest key set that is read, in bytes; skew is how many seconds another clock may be ahead.
const (
	maxKeySet = 1 << 20
	skew      = 30
)

// inspection is what is said of a token. The signature is no part of it: without one, what is printed opens nothing.
type inspection struct {
	Verified bool            `json:"verified"`
	Problem  string          `json:"problem,omitempty"` // why it is not good
	Keys     string          `json:"keys,omitempty"`    // where the keys came from
	Header   json.RawMessage `json:"header"`
	Claims   json.RawMessage `json:"claims"`

	token *token.Token
}

func newTokenInspect() *cobra.Command {
	var keys, output string
	var unverified bool
	cmd := &cobra.Command{
		Use:   "inspect [FILE|-]",
		Short: "Say what a token holds and whether it is good; exit 4 where it is not",
		Long: `Say what a token holds, and whether its signature and its times are good. The token is read from a file, or from standard
input, never from the command line, which every process can see. Whether it was revoked is not looked up: the gateway and
POST /oauth/introspect know.`,
		Example: `  gatehouse token get | gatehouse token inspect
  gatehouse token inspect token.jwt --jwks https://login.example.com/jwks`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(cmd, output); err != nil {
				return err
			}
			if unverified && keys != "" {
				return usage(cmd, errors.New("--no-verify looks at no keys, and takes no --jwks"))
			}
			raw, err := readToken(cmd, args)
			if err != nil {
				return err
			}
			i, err := dissect(raw)
			if err != nil {
				return &codedError{exitDenied, fmt.Errorf("this is no token that Gatehouse takes: %w", err)}
			}
			if unverified {
				fmt.Fprintln(cmd.ErrOrStderr(), "NOT VERIFIED: anybody may have written this token, and changed what it says")
				return i.print(cmd.OutOrStdout(), output)
			}
			if err := i.verify(cmd, keys); err != nil {
				return err
			}
			if err := i.print(cmd.OutOrStdout(), output); err != nil || i.Problem == "" {
				return err
			}
			if isDocument(output) {
				return &codedError{code: exitDenied}
			}
			return &codedError{exitDenied, errors.New(i.Problem)}
		},
	}
	cmd.Flags().StringVar(&keys, "jwks", "", "key set to verify with, a URL or a file; none: that of the configuration's public_url")
	cmd.Flags().BoolVar(&unverified, "no-verify", false, "only print what the token says of itself")
	outputFlag(cmd, &output)
	return cmd
}

// readToken reads the token, alone or as an Authorization header has it. Its errors never hold it.
func readToken(cmd *cobra.Command, args []string) (string, error) {
	var data []byte
	var err error
	switch {
	case len(args) == 0 || args[0] == "-":
		data, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), 64<<10))
	case strings.Count(args[0], ".") == 2 && strings.HasPrefix(args[0], "eyJ"):
		return "", usage(cmd, errors.New("a token on the command line is seen by every process: pipe it in, or name a file"))
	default:
		data, err = os.ReadFile(args[0])
	}
	if err != nil {
		return "", err
	}
	raw := strings.TrimSpace(string(data))
	raw = strings.TrimSpace(strings.TrimPrefix(raw, "Authorization:"))
	raw = strings.TrimSpace(strings.TrimPrefix(raw, "Bearer "))
	if raw == "" {
		return "", usage(cmd, errors.New("there is no token: pipe one in, or name a file"))
	}
	return raw, nil
}

// dissect splits a token by the gateway's own parser.
func dissect(raw string) (*inspection, error) {
	t, err := token.Parse(raw)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(raw, ".")
	i := &inspection{token: t}
	for n, into := range []*json.RawMessage{&i.Header, &i.Claims} {
		if *into, err = base64.RawURLEncoding.DecodeString(parts[n]); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// verify judges signature, issuer and times. The error is of getting at the keys; what is wrong with the token is the
// inspection's problem.
func (i *inspection) verify(cmd *cobra.Command, keys string) error {
	issuer := ""
	if keys == "" {
		cfg, err := loader(configPath(cmd))()
		if err != nil {
			return err
		}
		issuer = cfg.Server.Issuer
		keys = strings.TrimSuffix(issuer, "/") + "/.well-known/jwks.json"
	}
	i.Keys = keys
	set, err := readKeySet(cmd.Context(), keys)
	if err != nil {
		return err
	}
	key := set[i.token.KeyID]
	if key == nil && i.token.KeyID == "" && len(set) == 1 {
		for _, key = range set {
		}
	}
	if key == nil {
		i.Problem = "the signature is not verified: its kid is none of " + keys
		return nil
	}
	claims, err := i.token.Verify(key)
	if err != nil {
		i.Problem = err.Error()
		return nil
	}
	i.Verified = true
	i.Problem = judge(claims, issuer, time.Now().Unix())
	return nil
}

// judge says what is wrong with the claims of a token whose signature is good; "" for nothing. An empty issuer is not
// compared.
func judge(c token.Claims, issuer string, now int64) string {
	expires, present, ok := c.Int("exp")
	switch {
	case !present || !ok:
		return "the token has no exp that is a whole number"
	case now >= expires:
		return "the token has expired"
	}
	for _, name := range []string{"nbf", "iat"} {
		if at, present, ok := c.Int(name); present && (!ok || at > now+skew) {
			return "the token's " + name + " is in the future"
		}
	}
	if iss, _ := c.Text("iss"); issuer != "" && iss != issuer {
		return "the token's issuer is not the configuration's public_url"
	}
	return ""
}

// readKeySet reads the keys of a set (RFC 7517 section 5) that say their algorithm and that Gatehouse can use, by kid.
func readKeySet(ctx context.Context, from string) (map[string]*token.PublicKey, error) {
	data, err := keySetBytes(ctx, from)
	if err != nil {
		return nil, err
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(data, &set); err != nil || set.Keys == nil {
		return nil, fmt.Errorf("%s is not a key set (RFC 7517): is --jwks right?", from)
	}
	keys := map[string]*token.PublicKey{}
	for _, raw := range set.Keys {
		var named struct {
			ID string `json:"kid"`
		}
		_, key, err := token.ParseKey(raw)
		if json.Unmarshal(raw, &named) == nil && err == nil {
			keys[named.ID] = key
		}
	}
	return keys, nil
}

func keySetBytes(ctx context.Context, from string) ([]byte, error) {
	if !strings.HasPrefix(from, "http://") && !strings.HasPrefix(from, "https://") {
		return os.ReadFile(from)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return nil, &codedError{exitUnreachable, fmt.Errorf("%w\nis it running? start it with: gatehouse run; or verify with --jwks FILE", err)}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s: is --jwks right?", from, res.Status)
	}
	return io.ReadAll(io.LimitReader(res.Body, maxKeySet))
}

func (i *inspection) print(out io.Writer, output string) error {
	if isDocument(output) {
		return printDocument(out, output, i)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if i.Keys != "" {
		mark := "✗ no"
		if i.Verified {
			mark = "✓ yes"
		}
		fmt.Fprintf(w, "verified\t%s, by %s\n", mark, i.Keys)
	}
	if err := errors.Join(rows(w, "header ", i.Header), rows(w, "", i.Claims)); err != nil {
		return err
	}
	return w.Flush()
}

// rows prints the members of an object, with times for people.
func rows(w io.Writer, prefix string, object []byte) error {
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		text, err := json.Marshal(members[name])
		if err != nil {
			return err
		}
		value := string(text) // quoted, so that nothing in it reaches the terminal as it is
		if s, ok := members[name].(string); ok && plain(s) {
			value = s
		}
		fmt.Fprintf(w, "%s%s\t%s%s\n", prefix, quoteUnlessPlain(name), value, when(name, members[name]))
	}
	return nil
}

func plain(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

func quoteUnlessPlain(s string) string {
	if plain(s) {
		return s
	}
	return fmt.Sprintf("%+q", s)
}

// when is a claim's time for people; "" for claims that are none.
func when(name string, value any) string {
	number, ok := value.(json.Number)
	seconds, err := number.Int64()
	if !ok || err != nil || !slices.Contains([]string{"exp", "iat", "nbf", "auth_time"}, name) || seconds < 0 || seconds > 1<<37 {
		return ""
	}
	at := time.Unix(seconds, 0).UTC()
	d := time.Until(at).Round(time.Second)
	if d < 0 {
		return fmt.Sprintf("  %s, %s ago", at.Format(time.RFC3339), -d)
	}
	return fmt.Sprintf("  %s, in %s", at.Format(time.RFC3339), d)
}
