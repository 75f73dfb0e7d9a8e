// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/underlay-dev/kubectl-underlay/plugin/ui"
)

type planOptions struct {
	from   sources
	output string
	// verbose lists each object of a large plan.
	verbose bool
}

const verboseHint = "--verbose lists each object"

func addVerboseFlag(cmd *cobra.Command, verbose *bool) {
	cmd.Flags().BoolVar(verbose, "verbose", false, "list each object, also where there are many")
}

func newPlan(g *global) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what init would change; exit with 1 when there is something",
		Example: `  kubectl underlay plan
  kubectl underlay plan --network docs/examples/network.yaml -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(cmd, "output", o.output, "", "json", "yaml"); err != nil {
				return err
			}
			return g.plan(cmd.Context(), o)
		},
	}
	o.from.addInventoryFlag(cmd, "plan from this inventory file instead of asking the cloud")
	o.from.addNetworkFlag(cmd)
	addVerboseFlag(cmd, &o.verbose)
	addOutputFlag(cmd, &o.output, "json", "yaml")
	return cmd
}

func (g *global) plan(ctx context.Context, o planOptions) error {
	online, err := g.hasCluster()
	if err != nil {
		return err
	}
	if !online && o.from.inventory != "" {
		g.chatter().Note("no cluster is configured: everything counts as new")
	}
	w, err := g.gather(ctx, o.from, online)
	if err != nil {
		return err
	}
	p, err := w.propose(target{name: forUnderlay})
	if err != nil {
		return err
	}
	changes, err := p.changes(ctx, false)
	if err != nil {
		return err
	}
	if o.output != "" {
		err = printValue(g.env.Out, o.output, changes)
	} else {
		g.report(p.findings)
		g.out().Changes(changes, ui.ChangeOptions{All: o.verbose, Hint: verboseHint})
	}
	if err == nil && pending(changes) {
		return foundError{}
	}
	return err
}
