package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// completionCommand adds the command that prints a shell's script. Given a shell that it does not know, cobra's own prints its help and
// ends well; and its script for bash is of no use where there is no bash-completion package.
func completionCommand(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	group := commandAt(root, "completion")
	if group == nil {
		return
	}
	group.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	if bash := commandAt(group, "bash"); bash != nil {
		bash.Long = strings.Replace(bash.Long, "This script depends on the 'bash-completion' package.\nIf it is not installed already, you can install it via your OS's package manager.\n",
			"It works with and without the bash-completion package.\n", 1)
		bash.RunE = func(cmd *cobra.Command, _ []string) error {
			bare, _ := cmd.Flags().GetBool("no-descriptions")
			var script bytes.Buffer
			if err := root.GenBashCompletionV2(&script, !bare); err != nil {
				return err
			}
			_, err := io.WriteString(cmd.OutOrStdout(), ownWords(script.String()))
			return err
		}
	}
}

// ownWords has the script divide the line by itself where the package that does so is not there.
func ownWords(script string) string {
	const theirs = "    _get_comp_words_by_ref \"$@\" cur prev words cword\n"
	return strings.Replace(script, theirs, `    if declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
        _get_comp_words_by_ref "$@" cur prev words cword
    else
        __gatehouse_words
    fi
`, 1) + bashWords
}

// bashWords joins what bash divides at colons and equals signs, which scopes and flags hold.
const bashWords = `
__gatehouse_words()
{
    local i word last rest=$COMP_LINE
    words=()
    cword=0
    for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
        word=${COMP_WORDS[i]}
        last=$((${#words[@]} - 1))
        if [[ $i -gt 0 && $rest != [[:space:]]* && ($word == [:=]* || ${words[last]} == *[:=]) ]]; then
            words[last]+=$word
        else
            words+=("$word")
        fi
        rest=${rest#"${rest%%[![:space:]]*}"}
        rest=${rest#"$word"}
        if [[ $i -eq $COMP_CWORD ]]; then
            cword=$((${#words[@]} - 1))
        fi
    done
    cur=${words[cword]}
    prev=
    if [[ $cword -gt 0 ]]; then
        prev=${words[cword - 1]}
    fi
}
`
