// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/plugin/ui"
)

type planOptions struct {
	from   sources
	to     target
	output string
	// verbose lists each object of a large plan.
	verbose bool
}

func addVerboseFlag(cmd *cobra.Command, verbose *bool) {
	cmd.Flags().BoolVar(verbose, "verbose", false, "list each object, also where there are many")
}

func newPlan(g *global) *cobra.Command {
	o := planOptions{to: target{name: forUnderlay}}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what init would change; exit with 1 when there is something",
		Long: `Show what init would change, and what the operator would then derive from it: pools and attachments. Nothing is
written. The exit code is 1 when there is something.`,
		Example: `  kubectl underlay plan
  kubectl underlay plan --network docs/examples/network.yaml -o json
  kubectl underlay plan --no-operator --inventory docs/examples/walkthrough.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, err := range []error{oneOf(cmd, "output", o.output, "", "json", "yaml"), o.from.validateDefault(cmd), o.to.validate(cmd)} {
				if err != nil {
					return err
				}
			}
			return g.plan(cmd.Context(), o)
		},
	}
	o.from.addInventoryFlag(cmd, "plan from this inventory file instead of asking the cloud")
	o.from.addNetworkFlag(cmd)
	o.from.addDefaultFlag(cmd)
	o.to.addFlags(cmd)
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
	p, err := g.propose(ctx, o.from, o.to, online)
	if err != nil {
		return err
	}
	changes, err := p.changes(ctx, false)
	if err != nil {
		return err
	}
	if o.output != "" {
		err = printValue(g.env.Out, o.output, changes.list())
	} else {
		g.report(p.findings)
		g.showChanges(changes, o.verbose)
	}
	if err == nil && changes.pending() {
		return foundError{}
	}
	return err
}

// propose gathers what is known, and plans for the target.
func (g *global) propose(ctx context.Context, from sources, to target, online bool) (*proposal, error) {
	if to.withoutOperator() && from.asDefault == "auto" {
		from.asDefault = "no" // nobody would install the CNI
	}
	w, err := g.gather(ctx, from, online)
	if err != nil {
		return nil, err
	}
	if from.lookAround {
		switch err := w.surround(ctx); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil: // the plan does not need it
			g.chatter().Note(fmt.Sprintf("routes and security groups are not checked: %v", err))
		}
	}
	to.image = g.image(to.image)
	return w.propose(to)
}

// showChanges draws what is applied and, apart from it, what the operator then derives.
func (g *global) showChanges(changes difference, all bool) {
	opts := ui.ChangeOptions{All: all, Hint: "--verbose lists each object"}
	if !changes.pending() {
		g.out().Changes(append(append([]plan.Change{}, changes.applied...), changes.derived...), opts)
		return
	}
	g.out().Changes(changes.applied, opts)
	if len(changes.derived) > 0 {
		opts.Title = "From that, the operator makes:"
		g.out().Changes(changes.derived, opts)
	}
}
