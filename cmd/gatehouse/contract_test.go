package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

// contractRow is one command with a call of it that works. N in args counts up with each call.
type contractRow struct {
	args    string
	stdin   string
	code    int    // of that call
	admin   bool   // it asks the running gatehouse
	config  bool   // it reads the configuration, and -c is added
	missing int    // the exit code where the configuration is not there; 0: 3
	away    int    // the exit code where nobody answers; 0: 5
	outputs string // of -o; "": table json yaml; "-": it has no -o
	serves  bool   // it runs until it is stopped, and is tried with wrong flags alone
}

// contract is every command. TestContract fails where one is missing.
var contract = map[string]contractRow{
	"dev":                   {serves: true},
	"run":                   {serves: true},
	"bench":                 {serves: true},
	"init":                  {args: "init --upstream http://127.0.0.1:9000 --dir DIR/initN", outputs: "text json yaml"},
	"import openapi":        {args: "import openapi DIR/api.yaml --api orders", code: exitFailed, config: true, outputs: "text json yaml"},
	"reload":                {args: "reload", config: true, admin: true},
	"check":                 {args: "check", config: true, outputs: "text json github sarif"},
	"config schema":         {args: "config schema", outputs: "-"},
	"config print":          {args: "config print", config: true, outputs: "yaml json"},
	"config doc":            {args: "config doc apis.orders.mode", outputs: "text json yaml markdown"},
	"explain":               {args: "explain GET /orders --client worker", config: true, admin: true},
	"routes list":           {args: "routes list", config: true},
	"routes test":           {args: "routes test DIR/routes_test.yaml", config: true},
	"can":                   {args: "can worker GET /orders", config: true},
	"who-can":               {args: "who-can GET /orders", config: true},
	"diff":                  {args: "diff --access CONFIG CONFIG"},
	"client create":         {args: "client create cN --grant orders:orders:read", config: true},
	"client list":           {args: "client list --unused 90d", config: true, admin: true},
	"client show":           {args: "client show worker", config: true},
	"client rotate":         {args: "client rotate rotated", config: true},
	"client disable":        {args: "client disable spare", config: true},
	"client enable":         {args: "client enable spare", config: true},
	"client grant":          {args: "client grant spare users", config: true},
	"client revoke-grant":   {args: "client revoke-grant spare orders", config: true},
	"client delete":         {args: "client delete goneN --yes", config: true},
	"token get":             {args: "token get --client worker --secret-file DIR/secret --audience https://api.example.com/orders", config: true, outputs: "text json yaml"},
	"token inspect":         {args: "token inspect DIR/token", config: true},
	"revoke":                {args: "revoke --jti xN --expires 10m", config: true, admin: true},
	"keys list":             {args: "keys list", config: true, admin: true},
	"keys rotate":           {args: "keys rotate", config: true, admin: true},
	"status":                {args: "status", config: true, admin: true},
	"audit verify":          {args: "audit verify", config: true},
	"healthcheck":           {args: "healthcheck", config: true, admin: true, missing: exitFailed, away: exitFailed, outputs: "-"},
	"version":               {args: "version", outputs: "text json yaml"},
	"completion bash":       {args: "completion bash", outputs: "-"},
	"completion zsh":        {args: "completion zsh", outputs: "-"},
	"completion fish":       {args: "completion fish", outputs: "-"},
	"completion powershell": {args: "completion powershell", outputs: "-"},
}

// contractSite is a gatehouse that runs, with what the calls of the contract name.
type contractSite struct {
	dir, config string
	secrets     []string // none of which --verbose may say
	calls       int
}

func newContractSite(t *testing.T) *contractSite {
	config, _ := project(t)
	s := &contractSite{dir: filepath.Dir(config), config: config}
	secret := newSecret(t, gatehouse(t, "", "client", "create", "worker", "--grant", "orders:orders:read", "-c", config))
	s.secrets = append(s.secrets, secret)
	for _, id := range []string{"spare", "rotated", "gone1", "gone2", "gone3", "gone4", "gone5", "gone6", "gone7", "gone8"} {
		newSecret(t, gatehouse(t, "", "client", "create", id, "--grant", "orders:orders:read", "-c", config))
	}
	background(t, `"msg":"ready"`, "run", "-c", config)
	got := gatehouse(t, secret, "token", "get", "--client", "worker", "--secret-stdin", "--audience", "https://api.example.com/orders", "-c", config)
	if got.code != 0 {
		t.Fatalf("no token: %+v", got)
	}
	s.secrets = append(s.secrets, strings.TrimSpace(got.stdout))
	for name, text := range map[string]string{
		"secret": secret, "token": got.stdout, "routes_test.yaml": "- {request: \"GET /orders\", client: worker, want: allow}\n",
		"api.yaml": "openapi: 3.1.0\ninfo: {title: Orders, version: '1'}\nsecurity: [{o: ['orders:read']}]\npaths:\n  /new:\n    get: {responses: {'200': {description: ok}}}\n" +
			"components: {securitySchemes: {o: {type: oauth2, flows: {clientCredentials: {tokenUrl: 'http://127.0.0.1/t', scopes: {'orders:read': Read}}}}}}\n",
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// call runs a row's call, with -c where it reads the configuration, and with more flags.
func (s *contractSite) call(t *testing.T, r contractRow, more ...string) result {
	t.Helper()
	s.calls++
	line := strings.NewReplacer("DIR", s.dir, "CONFIG", s.config).Replace(r.args)
	args := strings.Fields(line)
	for i, a := range args {
		if strings.HasSuffix(a, "N") || strings.HasPrefix(a, "gone") {
			args[i] = fmt.Sprintf("%s%d", strings.TrimSuffix(a, "N"), s.calls)
		}
	}
	return gatehouse(t, r.stdin, append(args, more...)...)
}

// leaves are the commands that do something, by their words.
func leaves(cmd *cobra.Command, path string, found map[string]*cobra.Command) {
	for _, sub := range cmd.Commands() {
		name := strings.TrimSpace(path + " " + sub.Name())
		switch {
		case sub.Hidden || sub.Name() == "help":
		case sub.HasSubCommands():
			leaves(sub, name, found)
		default:
			found[name] = sub
		}
	}
}

// Every command keeps to what README and `gatehouse --help` promise of all.
func TestContract(t *testing.T) {
	for _, name := range []string{"GATEHOUSE_CONFIG", "GATEHOUSE_ADMIN", "GATEHOUSE_CLIENT_ID", "GATEHOUSE_CLIENT_SECRET", "GATEHOUSE_TOKEN"} {
		t.Setenv(name, "")
	}
	found := map[string]*cobra.Command{}
	leaves(newRoot(io.Discard), "", found)
	for name := range found {
		if _, ok := contract[name]; !ok {
			t.Errorf("gatehouse %s is not in the contract", name)
		}
	}
	s := newContractSite(t)
	for name, row := range contract {
		cmd := found[name]
		if cmd == nil {
			t.Errorf("there is no command %q", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			s.calls = 0
			wrongFlags(t, name, cmd)
			if row.serves {
				return
			}
			with := []string{}
			if row.config {
				with = []string{"-c", s.config}
			}
			s.answers(t, row, cmd, with)
			if row.config {
				s.choosesConfig(t, row)
			}
			if row.admin {
				s.asksAdmin(t, row, with)
			}
		})
	}
}

// wrongFlags holds that a mistake is exit code 2, with nothing on standard output and the way to the help on standard error.
func wrongFlags(t *testing.T, name string, cmd *cobra.Command) {
	t.Helper()
	for flag, says := range map[string]string{"--nonsense": "unknown flag: --nonsense", "--verbsoe": "did you mean --verbose?", "--secret=x": "unknown flag: --secret", "--password=x": "unknown flag: --password"} {
		r := gatehouse(t, "", append(strings.Fields(name), flag)...)
		if r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, says) || !strings.HasSuffix(r.stderr, "see: gatehouse "+name+" --help\n") {
			t.Errorf("%s: %+v", flag, r)
		}
	}
	if short, use := cmd.Short, cmd.UseLine(); short == "" || !strings.HasPrefix(use, "gatehouse ") {
		t.Errorf("it does not say what it does: %q %q", short, use)
	}
}

// answers holds what a call that works prints, and where.
func (s *contractSite) answers(t *testing.T, row contractRow, cmd *cobra.Command, with []string) {
	t.Helper()
	if r := s.call(t, row, with...); r.code != row.code || r.stdout == "" {
		t.Errorf("plain: %+v", r)
	}
	if r := s.call(t, row, append(with, "--quiet")...); r.code != row.code || r.stdout == "" || r.stderr != "" {
		t.Errorf("--quiet: %+v", r)
	}
	r := s.call(t, row, append(with, "--verbose", "--no-color")...)
	if r.code != row.code || row.config && !strings.Contains(r.stderr, "> configuration: "+s.config+" (--config)\n") || strings.Contains(r.stdout, "> configuration") {
		t.Errorf("--verbose: %+v", r)
	}
	for _, secret := range s.secrets {
		if strings.Contains(r.stderr, secret) {
			t.Errorf("--verbose says a secret: %q", r.stderr)
		}
	}
	outputs := row.outputs
	if outputs == "" {
		outputs = "table json yaml"
	}
	if has := cmd.Flags().Lookup("output") != nil; has != (outputs != "-") {
		t.Fatalf("-o is there: %t", has)
	}
	if outputs == "-" {
		return
	}
	docs := map[string]any{}
	for kind := range strings.FieldsSeq(outputs) {
		r := s.call(t, row, append(with, "-o", kind)...)
		if r.code != row.code || r.stdout == "" && kind != "github" {
			t.Errorf("-o %s: %+v", kind, r)
		}
		if kind == "json" || kind == "yaml" || kind == "sarif" {
			docs[kind] = oneDocument(t, kind, r.stdout)
		}
	}
	if docs["yaml"] != nil && shapeOf(docs["json"]) != shapeOf(docs["yaml"]) {
		t.Errorf("-o json and -o yaml differ: %s and %s", shapeOf(docs["json"]), shapeOf(docs["yaml"]))
	}
	if r := s.call(t, row, append(with, "-o", "xml")...); r.code != exitUsage || r.stdout != "" {
		t.Errorf("-o xml: %+v", r)
	}
}

// oneDocument reads text as one document, in which nothing is null: what is empty is [] or {}, or is left out.
func oneDocument(t *testing.T, kind, text string) (doc any) {
	t.Helper()
	if kind == "yaml" {
		dec := yaml.NewDecoder(strings.NewReader(text))
		if err := dec.Decode(&doc); err != nil || dec.Decode(new(any)) != io.EOF {
			t.Errorf("-o yaml is not one document: %v\n%s", err, text)
		}
	} else if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Errorf("-o %s is not one document: %v\n%s", kind, err, text)
	}
	if at := nullIn(doc, ""); at != "" {
		t.Errorf("-o %s has null at %s", kind, at)
	}
	return doc
}

func nullIn(v any, at string) string {
	switch v := v.(type) {
	case nil:
		return at + "."
	case []any:
		for _, m := range v {
			if found := nullIn(m, at+"[]"); found != "" {
				return found
			}
		}
	case map[string]any:
		for k, m := range v {
			if found := nullIn(m, at+"."+k); found != "" {
				return found
			}
		}
	}
	return ""
}

// shapeOf is a document's kind, with the keys of an object.
func shapeOf(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Sprintf("%T", v)
	}
	keys := map[string]bool{}
	for k := range m {
		keys[k] = true
	}
	return fmt.Sprint(keys)
}

// choosesConfig holds the order in which the configuration is looked for, and what is said where there is none.
func (s *contractSite) choosesConfig(t *testing.T, row contractRow) {
	t.Helper()
	missing := filepath.Join(s.dir, "missing.yaml")
	t.Setenv("GATEHOUSE_CONFIG", s.config)
	if r := s.call(t, row); r.code != row.code {
		t.Errorf("GATEHOUSE_CONFIG: %+v", r)
	}
	want := row.missing
	if want == 0 {
		want = exitConfig
	}
	r := s.call(t, row, "-c", missing)
	if r.code != want || r.stdout != "" && row.outputs != "text json github sarif" {
		t.Errorf("-c of a file that is not there: %+v", r)
	}
	if !namesCommand(newRoot(io.Discard), lastLine(r.stderr)) {
		t.Errorf("what to do next is not said last: %q", r.stderr)
	}
}

// asksAdmin holds what happens where nobody answers, or somebody who never comes to an end.
func (s *contractSite) asksAdmin(t *testing.T, row contractRow, with []string) {
	t.Helper()
	want := row.away
	if want == 0 {
		want = exitUnreachable
	}
	with = append(with, "--admin", "127.0.0.1:1")
	if r := s.call(t, row, with...); r.code != want || r.stdout != "" || !namesCommand(newRoot(io.Discard), lastLine(r.stderr)) {
		t.Errorf("nobody answers: %+v", r)
	}
	asked := make(chan struct{}, 8)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // net/http notices that a caller went away once the body is read
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer silent.Close()
	ctx, interrupt := context.WithCancel(context.Background())
	go func() { <-asked; interrupt() }()
	var out, errOut bytes.Buffer
	args := append(strings.Fields(strings.NewReplacer("DIR", s.dir, "CONFIG", s.config).Replace(row.args)), "-c", s.config, "--admin", silent.Listener.Addr().String())
	if code := execute(ctx, args, strings.NewReader(""), &out, &errOut); code != exitInterrupted || out.Len() > 0 {
		t.Errorf("interrupted: %d %q %q", code, out.String(), errOut.String())
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return lines[len(lines)-1]
}
