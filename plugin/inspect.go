// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"github.com/spf13/cobra"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/check"
)

func newInspect(g *global) *cobra.Command {
	var from sources
	var output string
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Show nodes, their interfaces and the addresses that the cloud has bound to them",
		Long: `Show nodes, their interfaces and the addresses that the cloud has bound to them.

With -o yaml this is an inventory file: edit it, keep it, and give it to other commands with --inventory.

Where there is no cloud, --provider Manual shows what the nodes' agents see. Add to its yaml what they cannot know: the
subnets' cidr and gateway, and which ranges of addresses are free for pods.`,
		Example: `  kubectl underlay inspect
  kubectl underlay inspect -o yaml > inventory.yaml
  kubectl underlay inspect --provider Manual -o yaml > bare-metal.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(cmd, "output", output, "", "json", "yaml"); err != nil {
				return err
			}
			if err := from.validateProvider(cmd); err != nil {
				return err
			}
			w, err := g.gather(cmd.Context(), from, false)
			if err != nil {
				return err
			}
			if output != "" {
				// The table does not show what surrounds the nodes.
				if err := w.surround(cmd.Context()); err != nil {
					return err
				}
				g.report(check.Unread(w.unread))
				if from.provider == string(v1alpha1.ProviderManual) {
					g.chatter().Note("add what no node knows: cidr and gateway of each subnet, and the ranges of each interface that are free for pods")
				}
				return printValue(g.env.Out, output, w.inventory)
			}
			g.out().Inventory(w.inventory)
			return nil
		},
	}
	from.addInventoryFlag(cmd, "show this inventory file, without cluster and cloud")
	from.addProviderFlag(cmd)
	addOutputFlag(cmd, &output, "json", "yaml")
	return cmd
}
