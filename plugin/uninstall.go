// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/plugin/ui"
)

type uninstallOptions struct {
	dryRun   string
	yes      bool
	force    bool
	keepCRDs bool
	verbose  bool
	timeout  time.Duration
}

func newUninstall(g *global) *cobra.Command {
	var o uninstallOptions
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove networks, agents, operator and all that init has made",
		Long: `Remove, in this order: networks with their pools and attachments, the CNI from the nodes, agents, operator, permissions,
CRDs and the namespace underlay-system with all that is in it.

As long as pods hold addresses it refuses: their network would break when they are deleted. --force removes all the same,
and leaves the CNI on nodes with such pods, whose end needs it. Running it again completes what an earlier run left.

Nothing is changed in the cloud. What agents have set on nodes stays until these boot again, since others may count on it
by now: forwarding, lo's rp_filter, accept_ra of links, and that the pools' interfaces are up, with their MTU.

Where networks or CRDs come from git, stop that first, or they come back; --keep-crds leaves the CRDs to who manages them.`,
		Example: `  # See what would go
  kubectl underlay uninstall --dry-run=client

  kubectl underlay uninstall`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.timeout <= 0 {
				return usageError{cmd.CommandPath(), fmt.Errorf("--timeout=%s is not allowed; use more than 0", o.timeout)}
			}
			if err := oneOf(cmd, "dry-run", o.dryRun, "none", "client"); err != nil {
				return err
			}
			return g.uninstall(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dryRun, "dry-run", "none", "none or client (show what would go)")
	flags.BoolVarP(&o.yes, "yes", "y", false, "remove without asking")
	flags.BoolVar(&o.force, "force", false, "remove although pods hold addresses, and do not wait for an operator that does not answer")
	flags.BoolVar(&o.keepCRDs, "keep-crds", false, "leave the CRDs, but none of their objects")
	addVerboseFlag(cmd, &o.verbose)
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up after this time")
	completeWith(cmd, "dry-run", "none", "client")
	return cmd
}

func (g *global) uninstall(ctx context.Context, o uninstallOptions) error {
	cluster, err := g.cluster()
	if err != nil {
		return err
	}
	var r *removal
	err = within(ctx, o.timeout, func(ctx context.Context) (err error) {
		r, err = findRemoval(ctx, cluster, o)
		return err
	})
	if err != nil {
		return err
	}
	if len(r.changes()) == 0 {
		g.out().Changes(nil, ui.ChangeOptions{})
		g.chatter().Note("nothing is installed")
		return nil
	}
	g.out().Changes(r.changes(), ui.ChangeOptions{All: o.verbose, Hint: "--verbose lists each object"})
	for _, note := range r.notes() {
		g.chatter().Note(note)
	}
	refused := r.refuse()
	switch {
	case o.dryRun == "client":
		if refused != nil && !o.force {
			g.chatter().Note("uninstall would refuse: " + refused.Error())
		}
		g.chatter().Note("dry run: nothing was removed")
		return nil
	case refused != nil && !o.force:
		return fmt.Errorf("%w; nothing was removed", refused)
	}
	if agreed, err := g.agreed(o.yes, "Remove all of this?"); err != nil || !agreed {
		return err
	}
	err = within(ctx, o.timeout, func(ctx context.Context) error { return g.remove(ctx, r) })
	if err == nil {
		g.chatter().Note(r.stays())
	}
	return err
}

// remove goes through the steps of a removal, and stops at the first that fails.
func (g *global) remove(ctx context.Context, r *removal) error {
	for _, s := range r.steps() {
		step := g.chatter().Step(s.name)
		message, err := s.do(ctx, step.Update)
		switch {
		case errors.Is(err, context.Canceled):
			step.Fail(errors.New("interrupted; run the same command again to complete it"))
			return err
		case err != nil:
			step.Fail(err)
			return err
		}
		step.Done(message)
	}
	return nil
}

// left describes objects that are still there.
func left(names []string) string {
	return plan.Count(len(names), "object") + " left: " + plan.Some(names)
}
