// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/plugin/ui"
)

type initOptions struct {
	from       sources
	to         target
	noOperator bool
	export     bool
	output     string
	dryRun     string
	yes        bool
	force      bool
	verbose    bool
	timeout    time.Duration
}

func newInit(g *global) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Discover, check, plan, show the difference and apply it",
		Long: `Discover nodes and interfaces, check them, plan networks, pools and attachments, show the difference to the
cluster, and apply it after asking.

Running it again is safe: what is as planned stays untouched, and what an earlier run left undone is completed.`,
		Example: `  # All of it, asking before anything is written
  kubectl underlay init --no-operator

  # See everything first, without cluster and cloud
  kubectl underlay init --no-operator --inventory docs/examples/walkthrough.yaml --export

  # The same addresses as Spiderpool's own pools
  kubectl underlay init --no-operator --for spiderpool --export`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			return g.init(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	o.from.addInventoryFlag(cmd, "use this inventory file instead of asking the cloud")
	o.from.addNetworkFlag(cmd)
	flags.BoolVar(&o.noOperator, "no-operator", false, "write pools and attachments directly, where no operator shall run")
	flags.StringVar(&o.to.name, "for", forUnderlay, "whose objects to make: underlay or spiderpool")
	flags.IntVar(&o.to.ipv6Limit, "ipv6-limit", 16, "with --for spiderpool: addresses of each IPv6 prefix to use")
	flags.BoolVar(&o.export, "export", false, "print what would be applied, and apply nothing")
	flags.StringVar(&o.dryRun, "dry-run", "none", "none, client (show the difference) or server (let the API server check it too)")
	flags.BoolVarP(&o.yes, "yes", "y", false, "apply without asking")
	flags.BoolVar(&o.force, "force-conflicts", false, "take over fields of networks and attachments that others have set")
	addVerboseFlag(cmd, &o.verbose)
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up after this time")
	flags.StringVarP(&o.output, "output", "o", "", "with --export: yaml (the default) or json")
	completeWith(cmd, "output", "yaml", "json")
	completeWith(cmd, "for", forUnderlay, forSpiderpool)
	completeWith(cmd, "dry-run", "none", "client", "server")
	return cmd
}

func (o initOptions) validate(cmd *cobra.Command) error {
	usage := func(format string, args ...any) error {
		return usageError{cmd.CommandPath(), fmt.Errorf(format, args...)}
	}
	if !o.noOperator {
		return usage("this version has no operator to install yet: add --no-operator to write pools and attachments directly")
	}
	if o.output != "" && !o.export {
		return usage("--output goes with --export")
	}
	if o.to.ipv6Limit < 1 {
		return usage("--ipv6-limit=%d is not allowed; use 1 or more", o.to.ipv6Limit)
	}
	if cmd.Flags().Changed("ipv6-limit") && o.to.name != forSpiderpool {
		return usage("--ipv6-limit goes with --for %s: underlay pools hold whole prefixes", forSpiderpool)
	}
	if o.timeout <= 0 {
		return usage("--timeout=%s is not allowed; use more than 0", o.timeout)
	}
	return errors.Join(
		oneOf(cmd, "for", o.to.name, forUnderlay, forSpiderpool),
		oneOf(cmd, "dry-run", o.dryRun, "none", "client", "server"),
		oneOf(cmd, "output", o.output, "", "yaml", "json"),
	)
}

func (g *global) init(ctx context.Context, o initOptions) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err := g.gatherAndApply(ctx, o)
	if errors.Is(err, context.DeadlineExceeded) {
		return timedOutError{fmt.Sprintf("gave up after %s (--timeout): %v; run the same command again to complete it", o.timeout, err)}
	}
	return err
}

func (g *global) gatherAndApply(ctx context.Context, o initOptions) error {
	w, err := g.gather(ctx, o.from, !o.export)
	if err != nil {
		return err
	}
	p, err := w.propose(o.to)
	if err != nil {
		return err
	}
	g.report(p.findings)
	if err := p.blocked(); err != nil {
		return err
	}
	if o.export {
		return printObjects(g.env.Out, o.output, p.objects)
	}
	return g.applyProposal(ctx, o, p)
}

// applyProposal shows the difference, asks, and applies it.
func (g *global) applyProposal(ctx context.Context, o initOptions, p *proposal) error {
	changes, err := p.changes(ctx, o.force)
	if err != nil {
		return err
	}
	g.out().Changes(changes, ui.ChangeOptions{All: o.verbose, Hint: verboseHint})
	switch {
	case !pending(changes):
		return nil
	case o.dryRun == "client":
		g.chatter().Note("dry run: nothing was written")
		return nil
	}
	if o.dryRun == "none" {
		if err := p.world.cluster.CanApply(p.objects); err != nil {
			return err
		}
		if agreed, err := g.agreed(o); err != nil || !agreed {
			return err
		}
	}
	step := g.chatter().Step("apply")
	err = p.world.cluster.Apply(ctx, changed(p.objects, changes), p.remove, kube.ApplyOptions{
		DryRun: o.dryRun == "server",
		Force:  o.force,
		Done:   func(object *unstructured.Unstructured) { step.Update(object.GetKind() + " " + object.GetName()) },
	})
	if err != nil {
		step.Fail(err)
		return err
	}
	if o.dryRun == "server" {
		step.Done("the API server accepts it; nothing was written")
		return nil
	}
	step.Done(plan.Count(len(p.plan.Pools), "pool") + " in place")
	g.chatter().Next(
		ui.Command{Line: "kubectl underlay pools", Why: "see free and used addresses"},
		ui.Command{Line: "kubectl underlay check", Why: "check nodes, cloud and cluster"},
	)
	return nil
}

// agreed asks the user, unless --yes answers.
func (g *global) agreed(o initOptions) (bool, error) {
	if o.yes {
		return true, nil
	}
	screen := g.chatter()
	if !screen.Interactive() || !ui.IsTerminal(g.env.In) {
		return false, fmt.Errorf("there is no terminal to ask on: nothing was written; add --yes to apply, or --dry-run=client to look only")
	}
	agreed, err := screen.Confirm(g.env.In, "Apply these changes?")
	if err == nil && !agreed {
		screen.Note("nothing was written")
	}
	return agreed, err
}

// changed are the objects that differ from the cluster's.
func changed(objects []*unstructured.Unstructured, changes []plan.Change) []*unstructured.Unstructured {
	type key struct{ apiVersion, kind, namespace, name string }
	same := map[key]bool{}
	for _, c := range changes {
		same[key{c.APIVersion, c.Kind, c.Namespace, c.Name}] = c.Action == plan.Unchanged
	}
	var out []*unstructured.Unstructured
	for _, o := range objects {
		if !same[key{o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName()}] {
			out = append(out, o)
		}
	}
	return out
}
