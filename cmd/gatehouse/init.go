package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/clientsfile"
	"gatehouse/internal/config"
	"gatehouse/internal/configfile"
	"gatehouse/internal/openapi"
	"gatehouse/internal/secret"
)

// initFlags are what `init` is asked for.
type initFlags struct {
	upstream, openapi, dir, output string
	force, allowPublic             bool
}

func newInit() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a config.yaml for an API of yours, and a clients.yaml with a first client",
		Long: `Write config.yaml, clients.yaml and routes_test.yaml for an API: one route for all of it (--upstream), or one for each operation of an
OpenAPI document (--openapi), with the scopes that the document asks for. The secret of the first client is shown once, as
lines for a shell. Nothing is overwritten without --force, and nothing is written that would not load. Where operations are
public the exit code is 1, unless --allow-public says that they are meant to be.`,
		Example: `  gatehouse init --upstream http://localhost:9000
  gatehouse init --openapi openapi.yaml
  gatehouse init --openapi https://api.example.com/openapi.json --upstream http://localhost:9000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(cmd, f.output, "text", "json", "yaml"); err != nil {
				return err
			}
			if f.upstream == "" && f.openapi == "" {
				return usage(cmd, errors.New("which API? give --upstream URL, or --openapi FILE or URL, or both"))
			}
			if err := config.CheckUpstream(f.upstream); f.upstream != "" && err != nil {
				return usage(cmd, fmt.Errorf("--upstream %q: %w", f.upstream, err))
			}
			return f.run(cmd)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.upstream, "upstream", "", "URL of the API; with --openapi in place of the document's server")
	fl.StringVar(&f.openapi, "openapi", "", "OpenAPI 3.0 or 3.1 document, in JSON or YAML: a file, or an http or https URL")
	fl.StringVar(&f.dir, "dir", ".", "folder to write to")
	fl.StringVarP(&f.output, "output", "o", "text", "text, json or yaml")
	cmd.RegisterFlagCompletionFunc("output", words("text", "json", "yaml"))
	fl.BoolVar(&f.force, "force", false, "replace files that are there")
	fl.BoolVar(&f.allowPublic, "allow-public", false, "operations that the document makes public are meant to be")
	return cmd
}

// initProject is what init writes.
type initProject struct {
	doc    *openapi.Document // nil: --upstream alone
	config configfile.NewConfig
	client string
	secret string
	loaded *config.Config
}

func (f *initFlags) run(cmd *cobra.Command) error {
	p, err := f.project(cmd)
	if err != nil {
		return err
	}
	files, err := f.files(p)
	if err != nil {
		return err
	}
	if err := f.write(files); err != nil {
		return err
	}
	say := talk(cmd)
	public := p.tell(say, f.dir)
	if isDocument(f.output) {
		if err := printDocument(cmd.OutOrStdout(), f.output, p.document(files, public)); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(cmd.OutOrStdout(), "export GATEHOUSE_CLIENT_ID=%s\nexport GATEHOUSE_CLIENT_SECRET=%s\n", p.client, p.secret)
		p.tellNext(say, f.dir)
	}
	if public > 0 && !f.allowPublic {
		return &codedError{exitFailed, fmt.Errorf("the files are written; public routes: %d. If that is meant, say so with --allow-public", public)}
	}
	return nil
}

// project decides on names and routes.
func (f *initFlags) project(cmd *cobra.Command) (*initProject, error) {
	p := &initProject{client: "first-client", secret: secret.New()}
	if f.openapi == "" {
		access := openapi.Access("app")
		plan := &openapi.Plan{Scopes: []string{access}, Routes: []openapi.Route{{
			Pattern: "/{path...}", Requirement: openapi.NewRequirement(openapi.Scopes, [][]string{{access}}),
		}}}
		p.config = configfile.NewConfig{API: "app", Upstream: f.upstream, Plan: plan, Describe: func(string) string { return "Call the API" }}
		return p, nil
	}
	var err error
	if p.doc, err = openapi.Read(cmd.Context(), f.openapi, openapi.Options{}); err != nil {
		return nil, refused(err)
	}
	name := apiName(f.openapi, p.doc)
	p.client = name + "-admin"
	plan, err := p.doc.Plan(name, "")
	if err != nil {
		return nil, refused(err)
	}
	upstream := f.upstream
	if upstream == "" {
		upstream = p.doc.Server
	}
	if upstream == "" {
		return nil, fmt.Errorf("%s, so that it is open where requests go; say it with --upstream URL", p.doc.NoServer)
	}
	p.config = configfile.NewConfig{API: name, Upstream: upstream, Plan: plan, From: p.doc.PlainTitle(), Describe: describeScopes(p.doc, name)}
	if !openapi.IsURL(f.openapi) {
		p.config.OpenAPI, err = relative(f.dir, f.openapi)
	}
	return p, err
}

// refused says what to do about a document that can't be imported.
func refused(err error) error {
	return fmt.Errorf("nothing was written, since the document can't be imported:\n%w", err)
}

// describeScopes is a scope's text: the document's words, else ours.
func describeScopes(d *openapi.Document, api string) func(string) string {
	return func(scope string) string {
		if text := d.Description(scope); text != "" || scope != openapi.Access(api) {
			return text
		}
		return "What the document protects in ways that are no scopes"
	}
}

// relative is a file as a file in dir names it. An absolute name stays one.
func relative(dir, file string) (string, error) {
	if filepath.IsAbs(file) {
		return file, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if file, err = filepath.Abs(file); err != nil {
		return "", err
	}
	rel, err := filepath.Rel(dir, file)
	return filepath.ToSlash(rel), err
}

var (
	noName   = regexp.MustCompile(`[^A-Za-z0-9]+`)
	nameless = []string{"openapi", "swagger", "api", "spec", "index", "local"}
)

// apiName is the document's file name without its ending where that says something, else its title.
func apiName(file string, d *openapi.Document) string {
	base := filepath.Base(filepath.ToSlash(file))
	base = strings.TrimSuffix(base, filepath.Ext(base))
	for _, s := range []string{base, d.PlainTitle()} {
		name := strings.ToLower(strings.Trim(noName.ReplaceAllString(s, "-"), "-"))
		name = strings.Trim(name[:min(len(name), 40)], "-")
		if name != "" && !slices.Contains(nameless, name) {
			return name
		}
	}
	return "app"
}

// initFile is one file that init writes.
type initFile struct{ path, text string }

// files are what is to be written, judged by the loader.
func (f *initFlags) files(p *initProject) ([]initFile, error) {
	client := clientsfile.NewClient{
		ID: p.client, Grants: map[string][]string{p.config.API: p.config.Plan.Scopes}, SHA256: secret.Sum(p.secret),
		Created: time.Now().UTC(), Note: "made by gatehouse init",
	}
	snippet, err := clientsfile.Snippet(client)
	if err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(f.dir, name) }
	configText, clientsText := configfile.New(p.config), "version: 1\nclients:\n"+snippet
	p.loaded, err = config.Load(in("config.yaml"), config.Options{
		Instead: map[string][]byte{in("config.yaml"): []byte(configText), in("clients.yaml"): []byte(clientsText)},
	})
	if err != nil {
		return nil, fmt.Errorf("nothing was written, since the configuration would not load:\n%w", err)
	}
	return []initFile{{in("clients.yaml"), clientsText}, {in("routes_test.yaml"), routesTest(p)}, {in("config.yaml"), configText}}, nil
}

// write writes all files, config.yaml last, or none.
func (f *initFlags) write(files []initFile) error {
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	before := make(map[string][]byte)
	for _, file := range files {
		switch old, err := os.ReadFile(file.path); {
		case err == nil && !f.force:
			return fmt.Errorf("nothing was written: %s is there already; to replace it, with config.yaml, clients.yaml and routes_test.yaml, add --force", file.path)
		case err == nil:
			before[file.path] = old
		case !errors.Is(err, os.ErrNotExist):
			return err
		}
	}
	for i, file := range files {
		if err := clientsfile.Replace(file.path, []byte(file.text)); err != nil {
			for _, done := range files[:i] {
				old, was := before[done.path]
				missing := os.ErrNotExist
				if was {
					missing = nil
				}
				err = errors.Join(err, restore(done.path, old, missing))
			}
			return fmt.Errorf("nothing was written: %w", err)
		}
	}
	return nil
}

// tell says what was made, and returns how many routes are public.
func (p *initProject) tell(w io.Writer, dir string) (public int) {
	in := func(name string) string { return filepath.Join(dir, name) }
	plan := p.config.Plan
	if p.doc != nil {
		fmt.Fprintf(w, "read %s: OpenAPI %s %q, %s, upstream %s\n", p.doc.File, p.doc.Version, p.doc.PlainTitle(), count(len(p.doc.Operations), "operation"), p.config.Upstream)
		for _, r := range plan.Routes {
			fmt.Fprintf(w, "  %-6s %s   %s   %s\n", r.Method, r.Pattern, r.Label(), r.Requirement)
		}
		for _, n := range plan.Warnings {
			fmt.Fprintf(w, "! %s\n", n)
		}
	}
	fmt.Fprintf(w, "wrote %-18s 1 API (%s), %s, %s\n", in("config.yaml"), p.config.API, count(len(plan.Routes), "route"), count(len(plan.Scopes), "scope"))
	fmt.Fprintf(w, "wrote %-18s 1 client: %s (its secret is shown once, here)\n", in("clients.yaml"), p.client)
	fmt.Fprintf(w, "wrote %-18s what each route must answer\n", in("routes_test.yaml"))
	for i, r := range p.loaded.APIs[0].Routes {
		if r.Auth == openapi.Public {
			public++
			fmt.Fprintf(w, "! %s is public. To require a token, write auth: token at %s:%d\n", plan.Routes[i].Label(), r.Pos.File, r.Pos.Line+1)
		}
	}
	return public
}

// tellNext says what to type next, so that it works as it stands.
func (p *initProject) tellNext(w io.Writer, dir string) {
	name, file := programName(), ""
	if filepath.Clean(dir) != "." {
		file = " -c " + shellQuote(filepath.Join(dir, "config.yaml"))
	}
	run := file
	if run == "" {
		run = " -c config.yaml"
	}
	lines := [][2]string{
		{"check" + file, "look for mistakes"},
		{"dev" + run, "try it, with state that goes away"},
		{"run" + run, "the real thing; state.redis makes it a fleet"},
	}
	fmt.Fprintf(w, "\nnext, with the two export lines in your shell:\n")
	for _, l := range lines {
		fmt.Fprintf(w, "  %-40s # %s\n", name+" "+l[0], l[1])
	}
	fmt.Fprintf(w, "and while it runs:\n  curl -H \"Authorization: Bearer $(%s token get%s)\" %s\n", name, file, shellQuote("http://"+configfile.Listen+firstPath(p.config.Plan)))
}

// programName is how this program is started again.
func programName() string {
	switch name := os.Args[0]; {
	case strings.Contains(name, "go-build"):
		return "go run ./cmd/gatehouse"
	case strings.TrimSuffix(filepath.Base(name), ".exe") == "gatehouse":
		return shellQuote(name)
	}
	return "gatehouse"
}
