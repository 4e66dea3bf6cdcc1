package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/clientsfile"
	"gatehouse/internal/config"
	"gatehouse/internal/configfile"
	"gatehouse/internal/openapi"
)

func newImport() *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Take routes over from somewhere else", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newImportOpenAPI())
	return cmd
}

// importFlags are what `import openapi` is asked for.
type importFlags struct {
	api, output              string
	diff, write, allowPublic bool
}

func newImportOpenAPI() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "openapi [FILE or URL]",
		Short: "Bring the routes of an API in line with an OpenAPI document",
		Long: `Show (--diff, the default) or write (--write) what an OpenAPI document changes in the configuration: routes for operations that are
new, other scopes, and no route any more where the operation is gone. Only routes with the comment "# from openapi: …" are
changed; where the document does not agree with one of yours, that is said. Without FILE, it is the API's own ` + "`openapi`" + `.

Exit code: 0 where nothing is to change, or it was written; 1 where --diff shows a change; 3 where the configuration does not
load, now or after the change, in which case nothing is written.`,
		Example: `  gatehouse import openapi openapi.yaml --api orders
  gatehouse import openapi openapi.yaml --api orders --write`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(cmd, f.output, "text", "json", "yaml"); err != nil {
				return err
			}
			if f.diff && f.write {
				return usage(cmd, errors.New("--diff shows and --write writes: choose one"))
			}
			return f.run(cmd, args)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.api, "api", "", "name of the API; may be left out where there is one alone, or where one alone has an openapi and no FILE is given")
	fl.BoolVar(&f.diff, "diff", false, "show what would change, and write nothing (the default)")
	fl.BoolVar(&f.write, "write", false, "write it")
	fl.BoolVar(&f.allowPublic, "allow-public", false, "with --write: routes may become public")
	fl.StringVarP(&f.output, "output", "o", "text", "text, json or yaml")
	return cmd
}

func (f *importFlags) run(cmd *cobra.Command, args []string) error {
	path := configPath(cmd)
	cfg, err := config.Load(path, config.Options{})
	if err != nil {
		return err
	}
	api, err := f.choose(cmd, cfg, len(args) == 1)
	if err != nil {
		return err
	}
	name := api.OpenAPI
	if len(args) == 1 {
		name = args[0]
	}
	if name == "" {
		return usage(cmd, fmt.Errorf("which document? apis.%s has no openapi; give a FILE or URL", api.Name))
	}
	d, err := openapi.Read(cmd.Context(), name, openapi.Options{})
	if err != nil {
		return refused(err)
	}
	plan, err := d.Plan(api.Name, api.StripPrefix)
	if err != nil {
		return refused(err)
	}
	file := api.Pos.File
	if f.write {
		unlock, err := clientsfile.Lock(file)
		if err != nil {
			return err
		}
		defer unlock()
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	in, err := configfile.ImportInto(file, string(text), api.Name, placed(*api), plan, describeScopes(d, api.Name))
	if err != nil {
		return err
	}
	changed, err := config.Load(path, config.Options{Instead: map[string][]byte{filepath.Clean(file): []byte(in.Text)}})
	if err != nil {
		return fmt.Errorf("nothing was written, since the configuration would not load:\n%w", err)
	}
	return f.finish(cmd, file, in, plan, changed)
}

// choose finds the API: without --api the only one, or the only one that notes its document, if none is named.
func (f *importFlags) choose(cmd *cobra.Command, cfg *config.Config, named bool) (*config.API, error) {
	var names []string
	var noted []*config.API
	for i, a := range cfg.APIs {
		if a.Name == f.api || f.api == "" && len(cfg.APIs) == 1 {
			return &cfg.APIs[i], nil
		}
		names = append(names, a.Name)
		if a.OpenAPI != "" {
			noted = append(noted, &cfg.APIs[i])
		}
	}
	if f.api == "" && len(noted) == 1 && !named {
		return noted[0], nil
	}
	if f.api == "" {
		return nil, usage(cmd, fmt.Errorf("which API? give --api, one of: %s", strings.Join(names, ", ")))
	}
	return nil, fmt.Errorf("there is no API %q in %s; there are: %s", f.api, cfg.File, strings.Join(names, ", "))
}

// placed are an API's routes with the places of their matches.
func placed(api config.API) []configfile.Existing {
	var out []configfile.Existing
	for i, e := range routesOf(api) {
		pos := api.Routes[i].Pos
		out = append(out, configfile.Existing{Line: pos.Line, Col: pos.Col, Method: e.Method, Pattern: e.Pattern, Requirement: e.Requirement})
	}
	return out
}

// importResult is -o json.
type importResult struct {
	File     string              `json:"file"`
	Changes  []configfile.Change `json:"changes"`
	Warnings []string            `json:"warnings"`
	Written  bool                `json:"written"`
}

// finish shows or writes the change, which loads.
func (f *importFlags) finish(cmd *cobra.Command, file string, in *configfile.Import, plan *openapi.Plan, changed *config.Config) error {
	say, opens := talk(cmd), false
	result := importResult{File: file, Changes: in.Changes, Warnings: []string{}}
	if result.Changes == nil {
		result.Changes = []configfile.Change{}
	}
	for _, n := range plan.Warnings {
		result.Warnings = append(result.Warnings, n.String())
		fmt.Fprintf(say, "! %s\n", n)
	}
	for _, c := range in.Changes {
		opens = opens || c.Opens
		switch {
		case c.Kind == configfile.Yours:
			fmt.Fprintf(say, "! %s:%d: %s is your own route and stays as it is: it asks for %s, and %s for %s\n", file, c.Line, c.Match, c.From, c.Operation, c.To)
		case c.Opens:
			fmt.Fprintf(say, "! %s (%s) becomes public\n", c.Match, c.Operation)
		}
	}
	refuse := f.write && opens && !f.allowPublic
	if f.write && !refuse && in.Diff != "" {
		if err := clientsfile.Replace(file, []byte(in.Text)); err != nil {
			return err
		}
		result.Written = true
	}
	if isDocument(f.output) {
		if err := printDocument(cmd.OutOrStdout(), f.output, result); err != nil {
			return err
		}
	} else {
		show(cmd, in.Diff)
	}
	switch {
	case refuse:
		return errors.New("nothing was written, since routes would become public; if that is meant, say so with --allow-public")
	case result.Written:
		fmt.Fprintf(say, "wrote %s: %s in all; clients may need grants for scopes that are new\n", file, count(routeCount(changed), "route"))
	case in.Diff == "":
		fmt.Fprintf(say, "nothing to change in %s\n", file)
	default:
		fmt.Fprintln(say, "to write this, add --write")
		return &codedError{code: exitFailed}
	}
	return nil
}

func routeCount(cfg *config.Config) (n int) {
	for _, a := range cfg.APIs {
		n += len(a.Routes)
	}
	return n
}

// show prints a diff, in colours on a terminal that wants them.
func show(cmd *cobra.Command, diff string) {
	w := cmd.OutOrStdout()
	if !color(cmd) {
		io.WriteString(w, diff)
		return
	}
	colours := map[byte]string{'-': "\x1b[31m", '+': "\x1b[32m", '@': "\x1b[36m"}
	for line := range strings.Lines(diff) {
		if c := colours[line[0]]; c != "" {
			line = c + strings.TrimSuffix(line, "\n") + "\x1b[0m\n"
		}
		io.WriteString(w, line)
	}
}
