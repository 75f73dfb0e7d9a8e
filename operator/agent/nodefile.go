// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// Inputs is all that a node file depends on.
type Inputs struct {
	// Writer is the program that writes the file and its version, such as "underlay-agent v0.3.0".
	Writer string
	// Node that the file is for, with its own addresses, those first by which it and its pods shall reach each other.
	Node nodefile.Node
	// Networks of the cluster.
	Networks []v1alpha1.UnderlayNetwork
	// Pools of the node; those of other nodes are ignored.
	Pools []v1alpha1.UnderlayPool
	// ServiceCIDRs of the cluster.
	ServiceCIDRs []netip.Prefix
}

// Problem is something in the inputs that the node file does not follow.
type Problem struct {
	// Object such as network/ens6, pool/ens6.1.v4.worker1 or node/worker1.
	Object string
	// Message says what is wrong, what comes of it, and what to do.
	Message string
}

func (p Problem) String() string { return p.Object + ": " + p.Message }

// NodeFile says what the CNI must know of the node's networks and pools. The file is always valid: what cannot be in it is left out, or hands out
// nothing, and is told. The same inputs in any order give the same file and the same problems, both sorted.
func NodeFile(in Inputs) (nodefile.File, []Problem) {
	b := &builder{
		file:     nodefile.File{Version: nodefile.Version, Writer: in.Writer, Networks: []nodefile.Network{}, Pools: []nodefile.Pool{}},
		networks: map[string]v1alpha1.UnderlayNetworkSpec{},
	}
	b.addNode(in.Node)
	mine := slices.DeleteFunc(slices.Clone(in.Pools), func(p v1alpha1.UnderlayPool) bool { return p.Spec.NodeName != in.Node.Name })
	b.addNetworks(in, mine)
	slices.SortFunc(mine, b.compareRights)
	for i := range mine {
		b.addPool(&mine[i])
	}
	slices.SortFunc(b.file.Networks, func(x, y nodefile.Network) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(b.file.Pools, func(x, y nodefile.Pool) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(b.problems, func(x, y Problem) int {
		return cmp.Or(cmp.Compare(x.Object, y.Object), cmp.Compare(x.Message, y.Message))
	})
	return b.file, slices.Compact(b.problems)
}

// builder fills a node file.
//
// Invariant: the file is valid after each step. What would make it invalid is tried, and left out with the validator's words: so the rules of a node
// file are written down once, and those who came first keep what they have.
type builder struct {
	file     nodefile.File
	problems []Problem
	// networks that exist, by name, whether they are in the file or not.
	networks map[string]v1alpha1.UnderlayNetworkSpec
}

func (b *builder) tell(object, format string, args ...any) {
	b.problems = append(b.problems, Problem{Object: object, Message: fmt.Sprintf(format, args...)})
}

// rejected says what is wrong with the file as it is; empty if it is valid. The object's name, with which each problem starts, is left out.
func (b *builder) rejected(name string) string {
	err := b.file.Validate()
	if invalid, ok := errors.AsType[*nodefile.InvalidError](err); ok {
		problems := slices.Clone(invalid.Problems)
		for i := range problems {
			problems[i] = strings.TrimPrefix(problems[i], name+": ")
		}
		return strings.Join(problems, "; ")
	}
	return ""
}

func (b *builder) addNode(n nodefile.Node) {
	b.file.Node = n
	b.file.Node.Addresses = []netip.Addr{}
	for _, a := range n.Addresses {
		if slices.Contains(b.file.Node.Addresses, a) {
			continue
		}
		b.file.Node.Addresses = append(b.file.Node.Addresses, a)
		if why := b.rejected("node.addresses"); why != "" {
			b.file.Node.Addresses = b.file.Node.Addresses[:len(b.file.Node.Addresses)-1]
			b.tell("node/"+n.Name, "an address is left out: %s", why)
		}
	}
}

// addNetworks adds those that have pools on the node. Of several default networks the oldest is the node's; one that is being deleted gives way.
func (b *builder) addNetworks(in Inputs, pools []v1alpha1.UnderlayPool) {
	networks := slices.Clone(in.Networks)
	slices.SortFunc(networks, func(x, y v1alpha1.UnderlayNetwork) int { return compareAge(&x.ObjectMeta, &y.ObjectMeta) })
	slices.SortStableFunc(networks, func(x, y v1alpha1.UnderlayNetwork) int { return cmp.Compare(going(&x), going(&y)) })
	for i := range networks {
		n := &networks[i]
		spec := n.Effective()
		b.networks[n.Name] = spec
		if !slices.ContainsFunc(pools, func(p v1alpha1.UnderlayPool) bool { return p.Spec.NetworkName == n.Name }) {
			continue
		}
		if first := b.file.DefaultNetwork(); first != nil && going(n) > 0 {
			spec.Default = false // which the condition DefaultNetwork tells, while its configuration stays
		}
		b.addNetwork(n.Name, &spec, in.ServiceCIDRs)
	}
}

// going is 1 for a network that is being deleted, else 0.
func going(n *v1alpha1.UnderlayNetwork) int {
	if n.DeletionTimestamp != nil {
		return 1
	}
	return 0
}

func (b *builder) addNetwork(name string, spec *v1alpha1.UnderlayNetworkSpec, services []netip.Prefix) {
	object := "network/" + name
	n, err := network(name, spec, services)
	if err != nil {
		b.tell(object, "pods get no address of it on this node: %v", err)
		return
	}
	if first := b.file.DefaultNetwork(); first != nil && n.Default {
		n.Default = false
		b.tell(object, "it is not the default of this node, since network %s is already: set spec.default to false in one of them, or narrow one nodeSelector", first.Name)
	}
	b.file.Networks = append(b.file.Networks, n)
	if why := b.rejected("network " + name); why != "" {
		b.file.Networks = b.file.Networks[:len(b.file.Networks)-1]
		b.tell(object, "pods get no address of it on this node: %s", why)
	}
}

// network translates; the error names the field.
func network(name string, spec *v1alpha1.UnderlayNetworkSpec, services []netip.Prefix) (nodefile.Network, error) {
	n := nodefile.Network{
		Name: name, Default: spec.Default, MTU: int(spec.MTU),
		HostLeg:           nodefile.HostLeg{Enabled: *spec.HostAccess.Enabled, CIDRs: []netip.Prefix{}},
		Routes:            []nodefile.Route{},
		CooldownSeconds:   int(*spec.CooldownSeconds),
		AllowedNamespaces: sorted(spec.AllowedNamespaces),
		RequestedIPs:      nodefile.RequestedIPs(spec.RequestedIPs),
		MetadataService: nodefile.MetadataService{
			Mode: nodefile.MetadataMode(spec.MetadataService.Mode), ExceptNamespaces: sorted(spec.MetadataService.ExceptNamespaces),
		},
	}
	for i, r := range spec.Routes {
		destination, err := netip.ParsePrefix(string(r.Destination))
		if err != nil {
			return n, fmt.Errorf("spec.routes[%d].destination: %w", i, err)
		}
		gateway, err := netip.ParseAddr(string(r.Gateway))
		if err != nil {
			return n, fmt.Errorf("spec.routes[%d].gateway: %w", i, err)
		}
		n.Routes = append(n.Routes, nodefile.Route{Destination: destination, Gateway: gateway})
	}
	if !n.HostLeg.Enabled {
		return n, nil
	}
	n.HostLeg.CIDRs = append(n.HostLeg.CIDRs, services...)
	for i, text := range spec.HostAccess.CIDRs {
		cidr, err := netip.ParsePrefix(string(text))
		if err != nil {
			return n, fmt.Errorf("spec.hostAccess.cidrs[%d]: %w", i, err)
		}
		n.HostLeg.CIDRs = append(n.HostLeg.CIDRs, cidr)
	}
	slices.SortFunc(n.HostLeg.CIDRs, netip.Prefix.Compare)
	n.HostLeg.CIDRs = slices.Compact(n.HostLeg.CIDRs)
	return n, nil
}

// sorted copies a set; an empty one is not nil, so that it is [] in the file.
func sorted(set []string) []string {
	list := append([]string{}, set...)
	slices.Sort(list)
	return list
}

// compareAge puts the older first, then goes by name.
func compareAge(x, y *metav1.ObjectMeta) int {
	return cmp.Or(plan.CompareAge(x.CreationTimestamp, y.CreationTimestamp), cmp.Compare(x.Name, y.Name))
}

// compareRights puts the pool first that keeps addresses which both have: derived ones that are in sync with the cloud, then the oldest.
func (b *builder) compareRights(x, y v1alpha1.UnderlayPool) int {
	if inSync := b.inSync(&x); inSync != b.inSync(&y) {
		if inSync {
			return -1
		}
		return 1
	}
	return compareAge(&x.ObjectMeta, &y.ObjectMeta)
}

func (b *builder) inSync(p *v1alpha1.UnderlayPool) bool {
	spec, known := b.networks[p.Spec.NetworkName]
	return known && spec.Provider == v1alpha1.ProviderAWS && meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionInSync)
}
