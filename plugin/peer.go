// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/check"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
)

// addPeers reads the clusters of other contexts, and of ours what is compared with them.
func (g *global) addPeers(ctx context.Context, w *world, contexts []string) error {
	if len(contexts) == 0 {
		return nil
	}
	if w.cluster != nil {
		if err := w.cluster.ReadServiceCIDRs(ctx, &w.seen); err != nil {
			return err
		}
	}
	own := map[types.UID]bool{}
	for _, node := range w.inventory.Nodes {
		own[node.UID] = node.UID != ""
	}
	slices.Sort(contexts)
	for _, name := range slices.Compact(contexts) {
		peer, err := g.peer(ctx, w, name)
		if err != nil {
			return fmt.Errorf("--peer-context %s: %w", name, err)
		}
		for _, node := range peer.Inventory.Nodes {
			if own[node.UID] {
				return fmt.Errorf("--peer-context %s: that is the same cluster: node %s is in both; name the context of another one", name, node.Name)
			}
		}
		w.peers = append(w.peers, peer)
	}
	return nil
}

// peer reads a cluster, and its nodes' part of the cloud if ours is asked too.
func (g *global) peer(ctx context.Context, w *world, name string) (check.Peer, error) {
	cluster, err := g.contextCluster(name)
	if err != nil {
		return check.Peer{}, err
	}
	seen, err := cluster.ObserveAddresses(ctx)
	if err != nil {
		return check.Peer{}, err
	}
	peer := check.Peer{Context: name, Pools: seen.Pools, PodCIDRs: seen.PodCIDRs, ServiceCIDRs: seen.ServiceCIDRs}
	peer.Inventory.Nodes = seen.Nodes
	// Without a providerID a node of another VPC would be taken for ours that has the same address.
	named := slices.DeleteFunc(slices.Clone(seen.Nodes), func(n v1alpha1.Node) bool {
		_, ok := cloud.ParseProviderID(n.ProviderID)
		return !ok
	})
	if w.provider == nil || len(named) == 0 {
		return peer, nil
	}
	switch err := g.findPeer(ctx, &peer, named); {
	case ctx.Err() != nil:
		return peer, ctx.Err()
	case err != nil:
		// The other cluster may be of an account that these credentials know nothing of.
		g.chatter().Note(fmt.Sprintf("the VPC of %s is not compared: %v", name, err))
	}
	return peer, nil
}

// findPeer asks the cloud about a peer's nodes.
func (g *global) findPeer(ctx context.Context, peer *check.Peer, named []v1alpha1.Node) error {
	provider := g.env.NewProvider(g.account)
	snapshot, err := provider.Snapshot(ctx, named)
	if err != nil {
		return err
	}
	found := cloud.Join(named, snapshot)
	if found, _, err = provider.Surroundings(ctx, found); err != nil {
		return err
	}
	rest := slices.DeleteFunc(peer.Inventory.Nodes, func(n v1alpha1.Node) bool {
		return slices.ContainsFunc(named, func(o v1alpha1.Node) bool { return o.Name == n.Name })
	})
	peer.Inventory = found
	peer.Inventory.Nodes = append(peer.Inventory.Nodes, rest...)
	return nil
}

// contextCluster connects to the cluster of another context of the kubeconfig.
func (g *global) contextCluster(name string) (*kube.Cluster, error) {
	raw, err := g.config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if raw.Contexts[name] == nil {
		if len(raw.Contexts) == 0 {
			return nil, errors.New("the kubeconfig has no contexts; give one that has with --kubeconfig")
		}
		return nil, fmt.Errorf("the kubeconfig has no such context; it has %s", strings.Join(slices.Sorted(maps.Keys(raw.Contexts)), ", "))
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(raw, name, &clientcmd.ConfigOverrides{Timeout: *g.config.Timeout}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return kube.Connect(config)
}

// completeContexts lets the shell complete a flag with the kubeconfig's contexts.
func (g *global) completeContexts(cmd *cobra.Command, flag string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		raw, err := g.config.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.Sorted(maps.Keys(raw.Contexts)), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag is not defined: a mistake in this package
	}
}
