// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/check"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// sources say where a command takes its input from.
type sources struct {
	inventory string
	networks  []string
	// asDefault says whether a proposed network is the nodes' default: yes, no, or auto (empty too): where no node has a CNI.
	asDefault string
	// lookAround asks a cloud what surrounds the nodes too, for what checks say before something is applied.
	lookAround bool
	// provider of an inventory that is not from a file: AWS (empty too), or Manual for a cluster without a cloud.
	provider string
	// over says from whom networks are taken over; nil from nobody.
	over *migrating
}

func (s *sources) addProviderFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.provider, "provider", string(v1alpha1.ProviderAWS),
		"whom to ask about interfaces: AWS, or Manual where there is no cloud (the nodes' agents are asked)")
	completeWith(cmd, "provider", string(v1alpha1.ProviderAWS), string(v1alpha1.ProviderManual))
}

func (s *sources) validateProvider(cmd *cobra.Command) error {
	if cmd.Flags().Changed("provider") && s.inventory != "" {
		return usageError{cmd.CommandPath(), fmt.Errorf("--provider goes without --inventory: the file says its provider itself")}
	}
	return oneOf(cmd, "provider", s.provider, string(v1alpha1.ProviderAWS), string(v1alpha1.ProviderManual))
}

func (s *sources) addInventoryFlag(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&s.inventory, "inventory", "", usage)
}

func (s *sources) addNetworkFlag(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&s.networks, "network", nil,
		"file of UnderlayNetworks; without it one is proposed per device index that holds addresses for pods")
}

func (s *sources) addDefaultFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.asDefault, "default", "auto",
		"whether the first proposed network is the default of its nodes: yes, no, or auto (where no node has a CNI)")
	completeWith(cmd, "default", "auto", "yes", "no")
}

func (s *sources) validateDefault(cmd *cobra.Command) error {
	if s.asDefault == "yes" && len(s.networks) > 0 {
		return usageError{cmd.CommandPath(), fmt.Errorf("--default is for a proposed network: set spec.default in the file of --network")}
	}
	return oneOf(cmd, "default", s.asDefault, "auto", "yes", "no")
}

// proposesDefault decides for a cluster: a node that is ready has a CNI, which ours must not push aside unasked.
func (s *sources) proposesDefault(seen kube.Observation) bool {
	return s.asDefault == "yes" || s.asDefault != "no" && len(seen.WithoutCNI) > 0 && seen.Ready == 0
}

// world is what a command knows before it plans.
type world struct {
	inventory v1alpha1.Inventory
	// networks are the user's, from files and cluster; proposing says whether more may be proposed.
	networks  []v1alpha1.UnderlayNetwork
	proposing bool
	// proposesDefault makes the first proposal the nodes' default network.
	proposesDefault bool
	// cluster is nil offline, and seen is then empty.
	cluster *kube.Cluster
	seen    kube.Observation
	// provider that the inventory is from; nil when it is from a file.
	provider cloud.Provider
	// unread are the permissions without which lists of the inventory stayed empty; asked that what surrounds the nodes was read.
	unread []*cloud.Error
	asked  bool
	// migrated is what takes the place of another's objects; nil where nothing does.
	migrated *plan.Migration
	// peers are other clusters to compare with.
	peers []check.Peer
}

// gather reads files, cluster and cloud. A cluster is asked unless online is false and an inventory file is given; the
// cloud only without an inventory file.
func (g *global) gather(ctx context.Context, from sources, online bool) (*world, error) {
	w := &world{proposing: len(from.networks) == 0}
	if from.inventory != "" {
		var err error
		if w.inventory, err = readFile(g.env.In, from.inventory, document.ReadInventory); err != nil {
			return nil, err
		}
	}
	if online || from.inventory == "" {
		if err := g.observe(ctx, w); err != nil {
			return nil, from.withoutCluster(err)
		}
	}
	w.proposesDefault = from.proposesDefault(w.seen)
	for _, name := range from.networks {
		networks, err := readFile(g.env.In, name, document.ReadNetworks)
		if err != nil {
			return nil, err
		}
		w.networks = override(w.networks, networks)
	}
	if from.inventory == "" {
		if from.provider == string(v1alpha1.ProviderManual) {
			w.inventory = cloud.Bare(w.seen.Nodes, w.seen.Reports)
		} else if err := g.observeCloud(ctx, w); err != nil {
			return nil, err
		}
	}
	if from.over != nil {
		return w, g.migrate(ctx, w, *from.over)
	}
	return w, nil
}

// withoutCluster adds to the error that no cluster is configured what works without one.
func (s *sources) withoutCluster(err error) error {
	if _, ok := errors.AsType[noClusterError](err); !ok {
		return err
	}
	if s.inventory == "" {
		return noClusterError{", or use --inventory FILE to work without a cluster"}
	}
	return noClusterError{"; without a cluster, `init --export` prints what it would apply, and `plan` shows it"}
}

// observe reads the cluster.
func (g *global) observe(ctx context.Context, w *world) error {
	cluster, err := g.cluster()
	if err != nil {
		return err
	}
	w.cluster = cluster
	if w.seen, err = cluster.Observe(ctx); err != nil {
		return err
	}
	w.networks = w.seen.Networks
	return nil
}

// observeCloud asks the cloud about the cluster's nodes.
func (g *global) observeCloud(ctx context.Context, w *world) error {
	if len(w.seen.Nodes) == 0 {
		return fmt.Errorf("the cluster has no nodes; join them first, or give --inventory FILE")
	}
	w.provider = g.env.NewProvider(g.account)
	snapshot, err := w.provider.Snapshot(ctx, w.seen.Nodes)
	if err != nil {
		return err
	}
	w.inventory = cloud.Join(w.seen.Nodes, snapshot)
	cloud.WithReports(&w.inventory, w.seen.Reports)
	w.inventory.OtherIPAM = w.seen.OtherIPAM
	return nil
}

// surround adds to an inventory from the cloud what the VPCs have around the nodes: checks read it, plans and exports do not, so that they cost fewer
// calls and permissions.
func (w *world) surround(ctx context.Context) (err error) {
	if w.provider != nil {
		w.inventory, w.unread, err = w.provider.Surroundings(ctx, w.inventory)
		w.asked = err == nil
	}
	return err
}

// plan lets the planner think.
func (w *world) plan() (plan.Plan, []plan.Finding) {
	return w.withMigrated(plan.For(plan.Inputs{Inventory: w.inventory, Networks: w.networks, Propose: w.proposing, ProposeDefault: w.proposesDefault}))
}

// check runs all checks on the plan.
func (w *world) check(p plan.Plan, findings []plan.Finding, skip []string) []plan.Finding {
	in := check.Inputs{Inventory: w.inventory, Plan: p, PlanFindings: findings, Unread: w.unread, Asked: w.asked, Peers: w.peers}
	if w.cluster != nil {
		in.Cluster = clusterOf(w.seen)
	}
	return check.Run(in, skip)
}

// clusterOf is what checks look at in a cluster.
func clusterOf(seen kube.Observation) *check.Cluster {
	return &check.Cluster{
		MultusCRD: seen.Multus, Networks: seen.Networks, Pools: seen.Pools, Reports: seen.Reports, Nodes: seen.Nodes,
		WithoutCNI: seen.WithoutCNI, Install: seen.Install, ServerVersion: seen.Version,
		PodCIDRs: seen.PodCIDRs, ServiceCIDRs: seen.ServiceCIDRs,
	}
}

// override replaces networks of the same name and adds the others.
func override(networks, by []v1alpha1.UnderlayNetwork) []v1alpha1.UnderlayNetwork {
	out := make([]v1alpha1.UnderlayNetwork, 0, len(networks)+len(by))
	names := map[string]bool{}
	for _, network := range by {
		names[network.Name] = true
	}
	for _, network := range networks {
		if !names[network.Name] {
			out = append(out, network)
		}
	}
	return append(out, by...)
}

// readFile reads a user's file; - is standard input.
func readFile[T any](stdin io.Reader, name string, read func(string, io.Reader) (T, error)) (T, error) {
	if name == "-" {
		return read("standard input", stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		var none T
		return none, err
	}
	defer file.Close()
	return read(name, file)
}
