package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/adminclient"
	"gatehouse/internal/app"
	"gatehouse/internal/trace"
)

// explainFlags are what is asked, and whom.
type explainFlags struct {
	admin     adminFlags
	tokenFile string
	at        string
	offline   bool
	q         adminapi.ExplainRequest
	scope     string
}

func newExplain() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain REQUEST_ID | explain METHOD URL",
		Short: "Say why a request was refused, or what would become of one; exit 0 allowed, 4 denied",
		Long: `Say why a request was refused, by the id that its answer had (request_id, X-Request-Id): the running gatehouse keeps the last
ones. Or say what would become of a request, by the code that serves requests: with a token (--token-file, GATEHOUSE_TOKEN), with
one that a client might have (--client), or with none. Limits are looked at and not charged; the upstream is not asked.

With --offline nothing is asked of a running gatehouse: the configuration is loaded here. What was revoked, what is left of limits
and, unless the keys are in tokens.key_dir, the signature can't be checked then, and the answer says so.`,
		Example: `  gatehouse explain 01JD8Q3Z7KQ9T1R2S3V4W5X6Y7
  gatehouse explain POST http://127.0.0.1:8080/orders --token-file token.jwt
  gatehouse explain POST /orders --client billing-worker
  gatehouse explain GET /orders --client billing-worker --scope orders:read --offline -c next.yaml`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(cmd, f.admin.output); err != nil {
				return err
			}
			t, err := f.run(cmd, args)
			if err != nil {
				return err
			}
			return printTrace(cmd, t, f.admin.output)
		},
	}
	f.admin.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.tokenFile, "token-file", "", "file that holds the token, or - for standard input (else GATEHOUSE_TOKEN)")
	fl.StringVar(&f.at, "at", "", "judge the token at this time: RFC 3339, or a duration from now such as 10m or -1h")
	fl.BoolVar(&f.offline, "offline", false, "ask the configuration files instead of a running gatehouse")
	f.wish(cmd)
	return cmd
}

// wish are the flags for a token that a client might have.
func (f *explainFlags) wish(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.q.Client, "client", "", "what if this client called?")
	tokenOf(cmd, &f.q, &f.scope)
}

// tokenOf are the flags that say which token of a client is meant.
func tokenOf(cmd *cobra.Command, q *adminapi.ExplainRequest, scope *string) {
	fl := cmd.Flags()
	fl.StringVar(scope, "scope", "", "scopes that its token has, separated by spaces; none: all that is granted")
	fl.StringVar(&q.Audience, "audience", "", "audience that its token is for; none: the API of the route")
	fl.StringVar(&q.Issuer, "issuer", "", "name of the issuer whose client it is; none: our own")
}

func (f *explainFlags) run(cmd *cobra.Command, args []string) (*trace.Trace, error) {
	if len(args) == 1 && !strings.HasPrefix(args[0], "/") && !strings.Contains(args[0], "://") {
		return f.find(cmd, args[0])
	}
	if err := f.question(cmd, args); err != nil {
		return nil, err
	}
	if f.offline {
		return offline(cmd, func(o *app.Offline) (*trace.Trace, error) { return o.Explain(cmd.Context(), f.q) })
	}
	client, err := f.admin.client(cmd)
	if err != nil {
		return nil, err
	}
	var t trace.Trace
	if err := client.Post(cmd.Context(), "/api/v1/explain", f.q, &t); err != nil {
		return nil, told(err)
	}
	return &t, nil
}

// find asks for the refusal of one request.
func (f *explainFlags) find(cmd *cobra.Command, id string) (*trace.Trace, error) {
	if f.offline || f.q.Client != "" || f.tokenFile != "" || f.at != "" {
		return nil, usage(cmd, fmt.Errorf("%q is taken for a request id, which goes with no question; to ask about a request, write METHOD URL", id))
	}
	if slices.Contains(standardMethods, strings.ToUpper(id)) {
		return nil, usage(cmd, fmt.Errorf("%s is a method: what is asked for? write: gatehouse explain %s URL", id, strings.ToUpper(id)))
	}
	client, err := f.admin.client(cmd)
	if err != nil {
		return nil, err
	}
	var d adminapi.Denial
	err = client.Get(cmd.Context(), "/api/v1/denials/"+url.PathEscape(id), &d)
	var refused *adminclient.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil, fmt.Errorf("%w\nthe last ones: gatehouse status; what would become of such a request: gatehouse explain METHOD URL", err)
	}
	if err != nil {
		return nil, told(err)
	}
	if d.Trace == nil {
		return nil, errors.New("the answer has no trace: is the running gatehouse another version than this one?")
	}
	return d.Trace, nil
}

// question reads arguments, flags and the token. A token on the command line would be seen by every process.
func (f *explainFlags) question(cmd *cobra.Command, args []string) (err error) {
	f.q.URL = args[len(args)-1]
	if err := target(cmd, f.q.URL); err != nil {
		return err
	}
	if len(args) == 2 {
		f.q.Method = args[0]
	}
	f.q.Scopes = strings.FieldsFunc(f.scope, func(r rune) bool { return r == ' ' || r == ',' })
	if f.q.At.Time, err = timeFlag(f.at); err != nil {
		return usage(cmd, err)
	}
	raw := os.Getenv("GATEHOUSE_TOKEN")
	switch {
	case f.tokenFile != "" && f.q.Client != "":
		return usage(cmd, errors.New("--token-file and --client exclude each other: a token that there is, or one that there might be"))
	case f.q.Client != "":
		return nil
	case f.tokenFile != "":
		if raw, err = readToken(cmd, []string{f.tokenFile}); err != nil {
			return err
		}
	}
	f.q.Token = raw
	return nil
}

var standardMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// target judges what is to be a path, or a URL: a word that is neither was meant for something else.
func target(cmd *cobra.Command, text string) error {
	if strings.HasPrefix(text, "/") || strings.Contains(text, "://") || text == "*" {
		return nil
	}
	return usage(cmd, fmt.Errorf("%q is neither a path nor a URL — did you mean %q?", text, "/"+text))
}

// timeFlag reads RFC 3339, or a duration from now. "" is the zero time.
func timeFlag(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(d).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("--at %q: want a time as in RFC 3339, or a duration from now such as 10m or -1h", text)
	}
	return at, nil
}

// offline loads the configuration, builds it, and asks it.
func offline[T any](cmd *cobra.Command, ask func(*app.Offline) (T, error)) (out T, err error) {
	o, err := open(configPath(cmd))
	if err != nil {
		return out, err
	}
	defer o.Close()
	return ask(o)
}

func open(path string) (*app.Offline, error) {
	cfg, err := loader(path)()
	if err != nil {
		return nil, err
	}
	return app.OpenOffline(cfg)
}

// printTrace prints the trace, and ends with exit code 4 where the rules refuse.
func printTrace(cmd *cobra.Command, t *trace.Trace, output string) error {
	w := cmd.OutOrStdout()
	var err error
	if isDocument(output) {
		err = printDocument(w, output, t)
	} else {
		_, err = io.WriteString(w, t.Text(color(cmd)))
	}
	if err == nil && !t.Allowed() {
		return &codedError{code: exitDenied}
	}
	return err
}

// color reports whether what is printed may have colours (https://no-color.org).
func color(cmd *cobra.Command) bool {
	f, ok := cmd.OutOrStdout().(*os.File)
	return ok && !isSet(cmd, "no-color") && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(f)
}
