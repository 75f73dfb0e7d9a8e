// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/plugin/ui"
)

type poolsOptions struct {
	from    sources
	names   []string
	node    string
	network string
	output  string
	watch   bool
	print   *genericclioptions.PrintFlags
}

func newPools(g *global) *cobra.Command {
	o := poolsOptions{print: genericclioptions.NewPrintFlags("")}
	cmd := &cobra.Command{
		Use:     "pools [NAME...]",
		Aliases: []string{"pool"},
		Short:   "Show free, used and cooling addresses per node, interface and family",
		Long: `Show free, used and cooling addresses per node, interface and family.

With --inventory the planned pools are shown, without a cluster.`,
		Example: `  kubectl underlay pools
  kubectl underlay pools --node worker1 -o wide
  kubectl underlay pools -w
  kubectl underlay pools -o jsonpath='{.items[*].spec.ranges}'
  kubectl underlay pools --inventory docs/examples/walkthrough.yaml`,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return g.poolNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			if err := o.validate(cmd); err != nil {
				return err
			}
			return g.pools(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	o.from.addInventoryFlag(cmd, "show the pools planned from this inventory file, without cluster and cloud")
	flags.StringVar(&o.node, "node", "", "pools of this node alone")
	flags.StringVar(&o.network, "network", "", "pools of this network alone")
	flags.BoolVarP(&o.watch, "watch", "w", false, "go on and show changes")
	flags.StringVarP(&o.output, "output", "o", "", "output as wide, "+strings.Join(o.print.AllowedFormats(), ", "))
	o.print.OutputFormat = nil // -o is ours, since it also knows wide
	o.print.AddFlags(cmd)
	completeWith(cmd, "output", append([]string{"wide"}, o.print.AllowedFormats()...)...)
	cmd.AddCommand(newPoolsGenerate(g))
	return cmd
}

func (o poolsOptions) validate(cmd *cobra.Command) error {
	if o.watch && o.from.inventory != "" {
		return usageError{cmd.CommandPath(), fmt.Errorf("--watch needs a cluster: leave --inventory out")}
	}
	if o.tabular() {
		return nil
	}
	if _, err := o.printer(); err != nil {
		return usageError{cmd.CommandPath(), err}
	}
	return nil
}

func (o poolsOptions) tabular() bool { return o.output == "" || o.output == "wide" }

func (g *global) pools(ctx context.Context, o poolsOptions) error {
	if o.from.inventory != "" {
		return g.plannedPools(ctx, o)
	}
	cluster, err := g.cluster()
	if err != nil {
		return o.from.withoutCluster(err)
	}
	pools, err := cluster.Pools(ctx, o.filter())
	if err != nil {
		return err
	}
	reports, err := cluster.Reports(ctx)
	if err != nil {
		return err
	}
	links := reportedLinks(reports)
	if err := g.showPools(o, pools, links); err != nil || !o.watch {
		return err
	}
	return cluster.WatchPools(ctx, o.filter(), func(all, changed []v1alpha1.UnderlayPool) error {
		screen := g.out()
		if !o.tabular() || !screen.Interactive() {
			return g.showPools(o, changed, links)
		}
		screen.Clear()
		return g.showPools(o, all, links)
	})
}

func (o poolsOptions) filter() kube.PoolFilter {
	return kube.PoolFilter{Node: o.node, Network: o.network, Names: o.names}
}

// plannedPools shows what is planned from an inventory file.
func (g *global) plannedPools(ctx context.Context, o poolsOptions) error {
	w, err := g.gather(ctx, o.from, false)
	if err != nil {
		return err
	}
	p, _ := w.plan()
	pools := slices.DeleteFunc(p.Pools, func(pool v1alpha1.UnderlayPool) bool { return !o.filter().Matches(&pool) })
	return g.showPools(o, pools, inventoryLinks(w.inventory))
}

// missing names the pools that were asked for by name and are not there.
func missing(names []string, pools []v1alpha1.UnderlayPool) error {
	var absent []string
	for _, name := range names {
		if !slices.ContainsFunc(pools, func(p v1alpha1.UnderlayPool) bool { return p.Name == name }) {
			absent = append(absent, name)
		}
	}
	if len(absent) == 0 {
		return nil
	}
	return fmt.Errorf("no pool %s; `kubectl underlay pools -o name` lists them", strings.Join(absent, ", "))
}

func (g *global) showPools(o poolsOptions, pools []v1alpha1.UnderlayPool, links linkNames) error {
	if err := missing(o.names, pools); err != nil {
		return err
	}
	slices.SortFunc(pools, func(a, b v1alpha1.UnderlayPool) int { return cmp.Compare(a.Name, b.Name) })
	if o.tabular() {
		g.out().Pools(pools, ui.PoolOptions{Wide: o.output == "wide", Link: links.of})
		return nil
	}
	printer, err := o.printer()
	if err != nil {
		return err
	}
	objects, err := kube.Objects(pools)
	if err != nil {
		return err
	}
	// As kubectl does: one object asked for by name is printed as itself.
	var out runtime.Object = listOf(objects)
	if len(o.names) == 1 && len(objects) == 1 {
		out = objects[0]
	}
	return printer.PrintObj(out, g.env.Out)
}

func (o poolsOptions) printer() (printers.ResourcePrinter, error) {
	o.print.OutputFormat = &o.output
	return o.print.ToPrinter()
}

// linkNames are the names of Linux links by node and MAC address.
type linkNames map[[2]string]string

func (l linkNames) of(node, mac string) string { return l[[2]string{node, mac}] }

func reportedLinks(reports []v1alpha1.UnderlayNode) linkNames {
	names := linkNames{}
	for _, report := range reports {
		for _, link := range report.Status.Links {
			names[[2]string{report.Name, link.MACAddress}] = link.Name
		}
	}
	return names
}

func inventoryLinks(inventory v1alpha1.Inventory) linkNames {
	names := linkNames{}
	for _, node := range inventory.Nodes {
		for _, i := range node.Interfaces {
			names[[2]string{node.Name, i.MACAddress}] = i.Name
		}
	}
	return names
}

func (g *global) poolNames(ctx context.Context) []string {
	cluster, err := g.cluster()
	if err != nil {
		return nil
	}
	pools, err := cluster.Pools(ctx, kube.PoolFilter{})
	if err != nil {
		return nil
	}
	var names []string
	for _, pool := range pools {
		names = append(names, pool.Name)
	}
	return names
}
