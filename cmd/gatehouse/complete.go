package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/config"
)

// What a shell offers comes from the configuration where it loads; where it does not, nothing is offered, and nothing said.

// completer is how cobra asks for what may stand in an argument or a flag.
type completer = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// words completes from a fixed list.
func words(list ...string) completer {
	return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
}

// fromConfig completes with what list makes of the configuration.
func fromConfig(list func(cfg *config.Config) []string) completer {
	return func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		cfg, err := loader(configPath(cmd))()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return starting(list(cfg), toComplete), cobra.ShellCompDirectiveNoFileComp
	}
}

// starting are the words that start as what was typed, each once.
func starting(list []string, typed string) []string {
	list = slices.DeleteFunc(list, func(s string) bool { return !strings.HasPrefix(s, typed) })
	slices.Sort(list)
	return slices.Compact(list)
}

// first completes the first argument alone.
func first(c completer) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c(cmd, args, toComplete)
	}
}

func completeKeys(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	clients, _ := cmd.Flags().GetBool("clients")
	var list []string
	for _, k := range config.Reference(clients) {
		list = append(list, strings.ReplaceAll(k.Path, "[]", ""))
	}
	return starting(list, toComplete), cobra.ShellCompDirectiveNoFileComp
}

func clientIDs(cfg *config.Config) (list []string) {
	for _, c := range cfg.Clients {
		list = append(list, c.ID)
	}
	return list
}

func audiences(cfg *config.Config) (list []string) {
	for _, a := range cfg.APIs {
		list = append(list, a.Audience)
	}
	return list
}

func scopes(cfg *config.Config) (list []string) {
	for _, a := range cfg.APIs {
		for s := range a.Scopes {
			list = append(list, s)
		}
	}
	return list
}

// apiScopes are grants as commands take them: API:SCOPE, and API alone.
func apiScopes(cfg *config.Config) (list []string) {
	for _, a := range cfg.APIs {
		list = append(list, a.Name)
		for s := range a.Scopes {
			list = append(list, a.Name+":"+s)
		}
	}
	return list
}

func apiNames(cfg *config.Config) (list []string) {
	for _, a := range cfg.APIs {
		list = append(list, a.Name)
	}
	return list
}

func issuerNames(cfg *config.Config) (list []string) {
	for _, i := range cfg.Issuers {
		list = append(list, i.Name)
	}
	return list
}

// methods are those that routes name.
func methods(cfg *config.Config) (list []string) {
	for _, a := range cfg.APIs {
		for _, r := range a.Routes {
			if r.Method != "" {
				list = append(list, r.Method)
			}
		}
	}
	return list
}

// paths are those of the routes for a method, each up to its first wildcard; empty: for any.
func paths(method string) func(cfg *config.Config) []string {
	return func(cfg *config.Config) (list []string) {
		for _, a := range cfg.APIs {
			for _, r := range a.Routes {
				if method == "" || r.Method == "" || r.Method == method {
					path, _, _ := strings.Cut(r.Pattern, "{")
					list = append(list, path)
				}
			}
		}
		return list
	}
}

// completeRequest completes METHOD and PATH, after so many arguments that come before. What follows a path's last letter is for
// the person to say, so no space is put there.
func completeRequest(before int) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case before:
			return fromConfig(methods)(cmd, args, toComplete)
		case before + 1:
			list, directive := fromConfig(paths(args[before]))(cmd, args, toComplete)
			return list, directive | cobra.ShellCompDirectiveNoSpace
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// either completes the first argument by one, and those after it by the other.
func either(first, rest completer) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return first(cmd, args, toComplete)
		}
		return rest(cmd, args, toComplete)
	}
}

// listed completes the last member of a list that commas or spaces divide: "API:one,two" and "one two".
func listed(divider string, list func(cfg *config.Config) []string, whole func(member, before string) string) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		before := ""
		if i := strings.LastIndex(toComplete, divider); i >= 0 {
			before = toComplete[:i+1]
		}
		made := func(cfg *config.Config) (out []string) {
			for _, member := range list(cfg) {
				if w := whole(member, before); w != "" {
					out = append(out, w)
				}
			}
			return out
		}
		return fromConfig(made)(cmd, args, toComplete)
	}
}

// completeGrant completes API:SCOPE,SCOPE.
var completeGrant = listed(",", apiScopes, func(member, before string) string {
	if before == "" {
		return member
	}
	api, scope, has := strings.Cut(member, ":")
	if of, _, _ := strings.Cut(before, ":"); of != api || !has {
		return ""
	}
	return before + scope
})

// completeScopes completes "one two".
var completeScopes = listed(" ", scopes, func(member, before string) string { return before + member })

// complete gives the commands below root what they complete, by their path and flag. It is one table, so that a shell's view
// of the commands is read in one place.
func complete(root *cobra.Command) {
	clients, algorithms := fromConfig(clientIDs), words("ES256", "RS256", "PS256", "EdDSA")
	for path, c := range map[string]completer{
		"client show": first(clients), "client delete": first(clients), "client rotate": first(clients), "client disable": first(clients), "client enable": first(clients),
		"client grant": either(clients, completeGrant), "client revoke-grant": either(clients, completeGrant),
		"explain": completeRequest(0), "who-can": completeRequest(0), "can": either(clients, completeRequest(1)),
	} {
		if cmd := commandAt(root, path); cmd != nil && cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = c
		}
	}
	for path, c := range map[string]completer{
		"client create --grant": completeGrant, "token get --scope": completeScopes, "token get --audience": fromConfig(audiences), "token get --client": clients,
		"revoke --client": clients, "revoke --issuer": fromConfig(issuerNames), "keys rotate --alg": algorithms, "routes list --api": fromConfig(apiNames),
		"explain --client": clients, "explain --scope": completeScopes, "explain --audience": fromConfig(audiences), "explain --issuer": fromConfig(issuerNames),
		"bench --scenario": words("token", "call", "mixed", "revoked"), "bench --client": clients, "bench --scope": completeScopes, "bench --audience": fromConfig(audiences),
		"bench --path": fromConfig(paths("GET")), "bench --denied-path": fromConfig(paths("GET")),
		"can --scope": completeScopes, "can --audience": fromConfig(audiences), "can --issuer": fromConfig(issuerNames),
	} {
		path, flag, _ := strings.Cut(path, " --")
		if cmd := commandAt(root, path); cmd != nil && cmd.Flags().Lookup(flag) != nil {
			cmd.RegisterFlagCompletionFunc(flag, c)
		}
	}
	completeOutputs(root)
}

// completeOutputs completes -o of every command that has none of its own: table, json or yaml.
func completeOutputs(cmd *cobra.Command) {
	if f := cmd.Flags().Lookup("output"); f != nil && f.DefValue == "table" {
		cmd.RegisterFlagCompletionFunc("output", words("table", "json", "yaml"))
	}
	for _, sub := range cmd.Commands() {
		completeOutputs(sub)
	}
}

// commandAt is the command at a path of names; nil where there is none.
func commandAt(cmd *cobra.Command, path string) *cobra.Command {
	for name := range strings.FieldsSeq(path) {
		i := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
		if i < 0 {
			return nil
		}
		cmd = cmd.Commands()[i]
	}
	return cmd
}
