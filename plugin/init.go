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
	from    sources
	over    migrating
	to      target
	export  bool
	output  string
	dryRun  string
	yes     bool
	force   bool
	verbose bool
	wait    bool
	timeout time.Duration
}

func newInit(g *global) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Discover, check, plan, show the difference, apply it and wait until pods can run",
		Long: `Discover nodes and interfaces, check them, plan networks, show the difference to the cluster, apply it after asking,
and wait until pods can have addresses.

What is applied: the operator, an agent for each node, and networks. The operator makes pools and attachments from them,
which are shown apart; --no-operator writes these directly instead, and installs nothing that runs.

Running it again is safe: what is as planned stays untouched, and what an earlier run left undone is completed. An older
plugin never replaces what a newer one has installed.`,
		Example: `  # All of it, asking before anything is written
  kubectl underlay init

  # See everything first
  kubectl underlay init --dry-run=server
  kubectl underlay init --inventory docs/examples/walkthrough.yaml --export

  # Pools and attachments alone, or the same addresses as Spiderpool's own pools
  kubectl underlay init --no-operator
  kubectl underlay init --for spiderpool --export

  # Take over Spiderpool's networks: see what becomes of each object, or print what files become
  kubectl underlay init --from spiderpool --dry-run=client
  kubectl underlay init --from spiderpool --from-file FILE --inventory FILE --export`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			if o.over.from != "" {
				// Networks wait for attachments that are still another's, and init would wait with them.
				o.wait = o.wait && cmd.Flags().Changed("wait")
				o.from.over = &o.over
			}
			return g.init(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	o.from.addInventoryFlag(cmd, "use this inventory file instead of asking the cloud")
	o.from.addNetworkFlag(cmd)
	o.from.addDefaultFlag(cmd)
	o.from.addProviderFlag(cmd)
	o.over.addFlags(cmd)
	o.to.addFlags(cmd)
	flags.StringVar(&o.to.name, "for", forUnderlay, "whose objects to make: underlay or spiderpool")
	flags.IntVar(&o.to.ipv6Limit, "ipv6-limit", 16, "with --for spiderpool: addresses of each IPv6 prefix to use")
	flags.BoolVar(&o.export, "export", false, "print what would be applied, and apply nothing")
	flags.StringVar(&o.dryRun, "dry-run", "none", "none, client (show the difference) or server (let the API server check it too)")
	flags.BoolVarP(&o.yes, "yes", "y", false, "apply without asking")
	flags.BoolVar(&o.force, "force-conflicts", false, "take over fields that others have set")
	flags.BoolVar(&o.wait, "wait", true, "wait until operator, agents, pools and nodes are ready; with --from only where it is given")
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
	if o.output != "" && !o.export {
		return usage("--output goes with --export")
	}
	if o.to.ipv6Limit < 1 {
		return usage("--ipv6-limit=%d is not allowed; use 1 or more", o.to.ipv6Limit)
	}
	if cmd.Flags().Changed("ipv6-limit") && o.to.name != forSpiderpool {
		return usage("--ipv6-limit goes with --for %s: underlay pools hold whole prefixes", forSpiderpool)
	}
	if o.over.from != "" && o.from.asDefault == "yes" {
		return usage("--default is for a proposed network, not for those of --from %s: set spec.default in what --export prints, "+
			"or afterwards with `kubectl patch underlaynetwork NAME --type merge -p '{\"spec\":{\"default\":true}}'`", o.over.from)
	}
	if o.timeout <= 0 {
		return usage("--timeout=%s is not allowed; use more than 0", o.timeout)
	}
	return errors.Join(
		o.over.validate(cmd, o.to),
		o.from.validateProvider(cmd),
		oneOf(cmd, "for", o.to.name, forUnderlay, forSpiderpool),
		oneOf(cmd, "dry-run", o.dryRun, "none", "client", "server"),
		oneOf(cmd, "output", o.output, "", "yaml", "json"),
		o.to.validate(cmd),
		o.from.validateDefault(cmd),
	)
}

// within gives do a limit of time. The user's time to answer does not count: what comes after it has a limit of its own.
func within(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := do(ctx)
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, new(timedOutError)) {
		return timedOutError{fmt.Sprintf("gave up after %s (--timeout): %v; run the same command again to complete it", limit, err)}
	}
	return err
}

func (g *global) init(ctx context.Context, o initOptions) error {
	var p *proposal
	var changes difference
	err := within(ctx, o.timeout, func(ctx context.Context) (err error) {
		p, changes, err = g.prepare(ctx, o)
		return err
	})
	if err != nil {
		return err
	}
	if o.over.report != "" {
		return printValue(g.env.Out, o.over.report, p.world.migrated.Items)
	}
	if o.export {
		return printObjects(g.env.Out, o.output, p.objects)
	}
	g.showChanges(changes, o.verbose)
	if o.dryRun == "client" {
		if changes.pending() {
			g.chatter().Note("dry run: nothing was written")
		}
		return nil
	}
	if !pending(changes.applied) {
		return g.settle(ctx, o, p, false)
	}
	if o.dryRun == "none" {
		if err := p.world.cluster.CanApply(p.objects); err != nil {
			return err
		}
		if agreed, err := g.agreed(o.yes, "Apply these changes?"); err != nil || !agreed {
			return err
		}
	}
	if err := within(ctx, o.timeout, func(ctx context.Context) error { return g.apply(ctx, o, p, changes.applied) }); err != nil {
		return err
	}
	return g.settle(ctx, o, p, true)
}

// prepare gathers, plans, says what was found, and compares with the cluster, unless it is for an export.
func (g *global) prepare(ctx context.Context, o initOptions) (p *proposal, changes difference, err error) {
	o.from.lookAround = !o.export
	if p, err = g.propose(ctx, o.from, o.to, !o.export && o.over.report == ""); err != nil {
		return nil, changes, err
	}
	if p.world.migrated != nil && o.over.report == "" {
		g.chatter().Migration(p.world.migrated.Items)
	}
	g.report(p.findings)
	if o.over.report != "" {
		return p, changes, nil
	}
	if err := p.blocked(); err != nil || o.export {
		return p, changes, err
	}
	if err := p.conflicts(); err != nil {
		return nil, changes, err
	}
	changes, err = p.changes(ctx, o.force)
	return p, changes, err
}

// apply writes what differs.
func (g *global) apply(ctx context.Context, o initOptions, p *proposal, changes []plan.Change) error {
	var remove []*unstructured.Unstructured
	if p.to.withoutOperator() {
		remove = p.remove
	}
	step := g.chatter().Step("apply")
	err := p.world.cluster.Apply(ctx, changed(p.objects, changes), remove, kube.ApplyOptions{
		DryRun: o.dryRun == "server",
		Force:  o.force,
		Done:   func(object *unstructured.Unstructured) { step.Update(object.GetKind() + " " + object.GetName()) },
	})
	switch {
	case err != nil:
		step.Fail(err)
		return err
	case o.dryRun == "server":
		step.Done("the API server accepts it; nothing was written")
	case p.to.withoutOperator():
		step.Done(plan.Count(len(p.plan.Pools), "pool") + " in place")
	default:
		step.Done(plan.Count(len(p.objects), "object") + " in place")
	}
	return nil
}

// settle waits until what was applied works, and says what to run next.
func (g *global) settle(ctx context.Context, o initOptions, p *proposal, applied bool) error {
	if o.dryRun != "none" {
		return nil
	}
	if !p.to.withoutOperator() && o.wait {
		if err := g.waitReady(ctx, o.timeout, p.world.cluster, p.plan); err != nil {
			return err
		}
	}
	if applied {
		g.chatter().Next(p.next(o.wait)...)
	}
	return nil
}

// next is what to run after init.
func (p *proposal) next(waited bool) []ui.Command {
	commands := []ui.Command{
		{Line: "kubectl underlay pools", Why: "see free and used addresses"},
		{Line: "kubectl underlay check", Why: "check nodes, cloud and cluster"},
	}
	if p.to.withoutOperator() {
		return commands
	}
	commands[1] = ui.Command{Line: "kubectl underlay status", Why: "see operator, agents and networks"}
	if !waited {
		commands = []ui.Command{{Line: "kubectl underlay status --wait", Why: "wait until pods can have addresses"}, commands[0]}
	}
	for _, n := range p.plan.Networks {
		if n.Spec.Default {
			return append(commands, ui.Command{Line: "kubectl create deployment web --image=nginx --replicas=2", Why: "start pods: they are on network " + n.Name})
		}
	}
	if len(p.plan.Attachments) > 0 && p.world.seen.Multus {
		a := p.plan.Attachments[0]
		commands = append(commands, ui.Command{
			Line: fmt.Sprintf(`kubectl run web --image=nginx --annotations=k8s.v1.cni.cncf.io/networks=%s/%s`, a.Namespace, a.Name),
			Why:  "start a pod with a further interface on network " + a.Network,
		})
	}
	return commands
}

// agreed asks the user, unless --yes answers.
func (g *global) agreed(yes bool, question string) (bool, error) {
	if yes {
		return true, nil
	}
	screen := g.chatter()
	if !screen.Interactive() || !ui.IsTerminal(g.env.In) {
		return false, fmt.Errorf("there is no terminal to ask on: nothing was written; add --yes to apply, or --dry-run=client to look only")
	}
	agreed, err := screen.Confirm(g.env.In, question)
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
