// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/underlay-dev/kubectl-underlay/plugin/ui"
)

// fitHelp has the help of all commands fit a screen: what they say is folded anew, and so are their flags'.
func fitHelp(root *cobra.Command, screen *ui.Screen) {
	root.SetUsageTemplate(strings.ReplaceAll(usageTemplate, "WIDTH", strconv.Itoa(screen.Width())))
	var fold func(*cobra.Command)
	fold = func(cmd *cobra.Command) {
		cmd.Long = screen.Fold(cmd.Long)
		for _, sub := range cmd.Commands() {
			fold(sub)
		}
	}
	fold(root)
}

// usageTemplate keeps a subcommand's help to its own flags: kubectl's many are shown once, at the root.
const usageTemplate = `Usage:{{if .HasParent}}
  {{.UseLine}}{{else}}
  {{.CommandPath}} COMMAND [flags]{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{$cmds := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) .IsAvailableCommand)}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableSubCommands}}

Other:{{range $cmds}}{{if (and (eq .GroupID "") .IsAvailableCommand)}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasParent}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalNonPersistentFlags.FlagUsagesWrapped WIDTH | trimTrailingWhitespaces}}{{end}}

--context, --kubeconfig, --region, --color and kubectl's other flags work everywhere:
  {{.Root.CommandPath}} --help{{else}}

Flags of every command:
{{.PersistentFlags.FlagUsagesWrapped WIDTH | trimTrailingWhitespaces}}

{{.CommandPath}} COMMAND --help says more about a command.{{end}}
`
