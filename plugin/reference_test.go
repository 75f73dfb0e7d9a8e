// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/underlay-dev/kubectl-underlay/plugin"
	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

// TestReference keeps docs/reference/commands.md equal to what the commands say of themselves.
func TestReference(t *testing.T) {
	goldenfile.Compare(t, "../docs/reference/commands.md", reference(plugin.NewCommand(plugin.Environment{})), *update)
}

// TestEveryCommandHasHelp: a line, an example, and flags that say what they do.
func TestEveryCommandHasHelp(t *testing.T) {
	for _, cmd := range everyCommand(plugin.NewCommand(plugin.Environment{})) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s lacks a short text or an example", cmd.Name())
		}
		if strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short text ends with a full stop", cmd.Name())
		}
	}
}

// everyCommand below the root, each before its own; completion's are one for each shell, and alike.
func everyCommand(root *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, cmd := range root.Commands() {
		if !cmd.IsAvailableCommand() || cmd.Name() == "help" {
			continue
		}
		out = append(out, cmd)
		if cmd.Name() != "completion" {
			out = append(out, everyCommand(cmd)...)
		}
	}
	return out
}

func reference(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Commands\n\nGenerated from the commands' own help. Every command also takes the flags at the end.\n")
	for _, cmd := range everyCommand(root) {
		long := cmd.Long
		if long == "" {
			long = cmd.Short + "."
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```\n%s\n```\n", strings.TrimPrefix(cmd.CommandPath(), root.CommandPath()+" "), long, cmd.UseLine())
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\nExamples:\n\n```\n%s\n```\n", dedent(cmd.Example))
		}
		if flags := cmd.LocalNonPersistentFlags().FlagUsages(); flags != "" {
			fmt.Fprintf(&b, "\nFlags:\n\n```\n%s```\n", flags)
		}
	}
	fmt.Fprintf(&b, "\n## Flags of every command\n\n```\n%s```\n", root.PersistentFlags().FlagUsages())
	fmt.Fprintf(&b, "\n## Exit codes\n\n%s", exitCodes)
	return b.String()
}

func dedent(text string) string {
	return strings.TrimPrefix(strings.ReplaceAll(text, "\n  ", "\n"), "  ")
}

const exitCodes = `| code | meaning |
|---|---|
| 0 | fine |
| 1 | ran, and found something: plan a difference, check a finding as severe as --fail-on |
| 2 | could not run: usage, input, credentials, cluster or cloud |
| 3 | a wait timed out |
| 130 | interrupted |
`
