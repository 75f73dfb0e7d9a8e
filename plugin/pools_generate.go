// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

type generateOptions struct {
	from   sources
	links  []string
	output string
}

func newPoolsGenerate(g *global) *cobra.Command {
	var o generateOptions
	cmd := &cobra.Command{
		Use:   "generate --inventory FILE",
		Short: "Print networks and pools made from an inventory without a cloud, ready to apply",
		Long: `Print networks and pools made from an inventory without a cloud, ready for kubectl apply -f.

On bare metal, and in clouds other than AWS, nobody but you knows which addresses are free. Write them into an inventory with
provider: Manual, as ranges of each interface, with each subnet's gateway; kubectl underlay inspect --provider Manual -o yaml
prints one to begin with. The pools are yours: change and apply them as you like.`,
		Example: `  kubectl underlay pools generate --inventory docs/examples/bare-metal.yaml
  kubectl underlay pools generate --inventory FILE --name eth1 | kubectl apply -f -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.from.inventory == "" {
				return usageError{cmd.CommandPath(), fmt.Errorf("--inventory FILE is needed; `kubectl underlay inspect --provider Manual -o yaml` prints one to begin with")}
			}
			if len(o.links) > 0 && len(o.from.networks) > 0 {
				return usageError{cmd.CommandPath(), fmt.Errorf("--name and --network exclude each other: --name proposes networks, --network gives them")}
			}
			if err := oneOf(cmd, "output", o.output, "", "yaml", "json"); err != nil {
				return err
			}
			return g.generate(cmd.Context(), o)
		},
	}
	o.from.addInventoryFlag(cmd, "inventory file with provider: Manual")
	cmd.Flags().StringSliceVar(&o.from.networks, "network", nil, "file of UnderlayNetworks; without it one is proposed per link that has ranges")
	cmd.Flags().StringSliceVar(&o.links, "name", nil, "links to make networks for, such as eth1; all by default")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "yaml (the default) or json")
	completeWith(cmd, "output", "yaml", "json")
	return cmd
}

// generate prints what the planner makes of the file. A file of which a part could not be used prints nothing: what is
// piped on would lack it without a word.
func (g *global) generate(ctx context.Context, o generateOptions) error {
	w, err := g.gather(ctx, o.from, false)
	if err != nil {
		return err
	}
	if w.inventory.Provider != v1alpha1.ProviderManual {
		return fmt.Errorf("%s is of provider %s, whose pools the operator derives: `kubectl underlay init --inventory %s --export` prints its networks",
			o.from.inventory, w.inventory.Provider, o.from.inventory)
	}
	if err := only(&w.inventory, o.links); err != nil {
		return err
	}
	p, planned := w.plan()
	findings := slices.DeleteFunc(w.check(p, planned, nil), func(f plan.Finding) bool { return f.Severity == plan.Info })
	g.report(findings)
	if slices.ContainsFunc(findings, func(f plan.Finding) bool { return f.Severity == plan.Error }) {
		return fmt.Errorf("correct the inventory first: nothing was printed")
	}
	if len(p.Pools) == 0 {
		return fmt.Errorf("no interface in %s has addresses for pods: write `ranges: [10.20.0.32-10.20.0.47]` into those that shall carry them", o.from.inventory)
	}
	return printObjects(g.env.Out, o.output, plan.Plan{Networks: p.Networks, Pools: p.Pools}.Objects())
}

// only leaves the interfaces of these names, all if none is given.
func only(inventory *v1alpha1.Inventory, links []string) error {
	if len(links) == 0 {
		return nil
	}
	known := map[string]bool{}
	for i := range inventory.Nodes {
		n := &inventory.Nodes[i]
		n.Interfaces = slices.DeleteFunc(n.Interfaces, func(nic v1alpha1.Interface) bool {
			known[nic.Name] = true
			return !slices.Contains(links, nic.Name)
		})
	}
	for _, link := range links {
		if !known[link] {
			delete(known, "")
			return fmt.Errorf("no interface in the inventory has the name %s; known are %s", link, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return nil
}
