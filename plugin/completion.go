// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"

	"github.com/spf13/cobra"
)

// kubectlScript is what kubectl runs, as kubectl_complete-underlay on the PATH, to complete `kubectl underlay …`.
const kubectlScript = `#!/bin/sh
# Put this on your PATH as kubectl_complete-underlay and make it executable.
exec kubectl-underlay __complete "$@"
`

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion kubectl|bash|zsh|fish|powershell",
		Short: "Print a script for shell completion",
		Long: `Print a script for shell completion.

kubectl completes its plugins by itself: it runs kubectl_complete-underlay from your PATH. The others complete the
name kubectl-underlay in that shell.`,
		Example: `  # Complete "kubectl underlay ..." (kubectl's own completion must be set up)
  kubectl underlay completion kubectl > /usr/local/bin/kubectl_complete-underlay
  chmod +x /usr/local/bin/kubectl_complete-underlay

  # Complete "kubectl-underlay ..." in bash
  source <(kubectl-underlay completion bash)`,
		ValidArgs:             []string{"kubectl", "bash", "zsh", "fish", "powershell"},
		DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)(cmd, args); err != nil {
				return usageError{cmd.CommandPath(), fmt.Errorf("name one of kubectl, bash, zsh, fish, powershell: %w", err)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			out, root := cmd.OutOrStdout(), cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			default:
				_, err := fmt.Fprint(out, kubectlScript)
				return err
			}
		},
	}
}
