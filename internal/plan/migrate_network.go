// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// network takes the place of a configuration; nil if no pool is of it.
func (m *migration) network(c *spiderConfig) *v1alpha1.UnderlayNetwork {
	pools := m.joined[c.ref]
	if len(pools) == 0 {
		m.tell(c.object(), "", ToDo, "not carried over: no SpiderIPPool is of it")
		return nil
	}
	n := &v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: m.name(c)}}
	n.Spec.Attachment = &v1alpha1.AttachmentReference{Namespace: c.ref.Namespace, Name: c.ref.Name}
	for fam := range families {
		if slices.ContainsFunc(pools, func(p *spiderPool) bool { return p.fam == fam }) {
			n.Spec.IPFamilies = append(n.Spec.IPFamilies, fam.api())
		}
	}
	m.hostAccess(c, n)
	m.routes(n, pools)
	if m.manual {
		n.Spec.Provider = v1alpha1.ProviderManual
		n.Spec.InterfaceSelector.Names = c.links
		m.manualPools(c, n, pools)
	} else {
		m.choose(c, n, pools)
	}
	m.made[c.ref] = n.Name
	m.tell(c.object(), "", Carried, "network %s; pods that name the attachment %s go on doing so", n.Name, c.ref)
	m.tell(c.object(), "metadata.name", ToDo, "delete it when its pods shall move: until then its NetworkAttachmentDefinition is Spiderpool's, and the network waits for it")
	for _, p := range pools {
		if len(p.held) > 0 {
			m.tell(p.object(), "status.allocatedIPs", Changed, "%s held by Spiderpool's pods: excluded; run the same again when they are gone",
				Count(int(iprange.Size(p.held)), "address"))
		}
	}
	return n
}

// name of the network: the attachment's without the word for its kind, made fit and numbered where need be.
func (m *migration) name(c *spiderConfig) string {
	base := strings.TrimPrefix(strings.TrimPrefix(c.ref.Name, "ipvlan-"), "macvlan-")
	base = strings.Trim(nameable(base), "-")
	base = strings.Trim(base[:min(len(base), maxNetworkName-3)], "-")
	if len(validation.IsDNS1123Label(base)) > 0 {
		base = "net"
	}
	name := base
	for i := 2; slices.Contains(slices.Collect(maps.Values(m.made)), name); i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	return name
}

// hostAccess as the configuration's coordinator has it, or else the cluster's.
func (m *migration) hostAccess(c *spiderConfig, n *v1alpha1.UnderlayNetwork) {
	of := m.coordinator
	if c.spec.Coordinator != nil {
		if own := *c.spec.Coordinator; own.Mode != "" {
			of.Mode = own.Mode
		}
		if len(c.spec.Coordinator.HijackCIDR) > 0 {
			of.HijackCIDR = c.spec.Coordinator.HijackCIDR
		}
	}
	if on := c.spec.EnableCoordinator; on != nil && !*on {
		of.Mode = "disabled"
		m.tell(c.object(), "spec.enableCoordinator", Carried, "hostAccess.enabled is false: probes, ClusterIP and NodePort do not reach such pods")
	}
	access := &v1alpha1.HostAccess{}
	if of.Mode == "disabled" {
		access.Enabled = new(false)
	}
	for _, text := range of.HijackCIDR {
		r, err := iprange.Parse(text)
		prefix, isPrefix := r.Prefix()
		if err != nil || !isPrefix {
			m.tell(c.object(), "spec.coordinator.hijackCIDR", Dropped, "%s is not a CIDR without host bits", text)
			continue
		}
		access.CIDRs = append(access.CIDRs, v1alpha1.CIDR(prefix.String()))
	}
	if access.Enabled != nil || len(access.CIDRs) > 0 {
		n.Spec.HostAccess = access
	}
}

// carriers are what the cloud has bound of a network's pools.
type carriers struct {
	indexes map[int32]bool
	nodes   map[string]bool
	// used are the sources that the pools draw on, of those that the interfaces have.
	used, present [sources]bool
	ranges        []iprange.Range // of the interfaces
	own           []iprange.Range // never a pod's, anyway
}

// choose makes the network's selectors so that they derive what the pools list, as far as the cloud has it.
func (m *migration) choose(c *spiderConfig, n *v1alpha1.UnderlayNetwork, pools []*spiderPool) {
	v := observe(&m.inv)
	found := carriers{indexes: map[int32]bool{}, nodes: map[string]bool{}}
	for _, on := range v.nodes {
		for _, nic := range on.nics {
			for _, p := range pools {
				if m.serves(p, on.Node) {
					found.add(nic, p)
				}
			}
		}
	}
	if len(found.indexes) == 0 {
		n.Spec.InterfaceSelector.Names = c.links
		m.tell(c.object(), "spec.ipvlan.master", ToDo, "no interface holds an address of its pools: bind them in the cloud; until then the network chooses by the name %s",
			strings.Join(c.links, ", "))
		return
	}
	n.Spec.InterfaceSelector.DeviceIndexes = slices.Sorted(maps.Keys(found.indexes))
	for src := range sources {
		if found.present[src] && !found.used[src] {
			n.Spec.AddressSources = []v1alpha1.AddressSource{(1 - src).api()}
		}
	}
	n.Spec.NodeSelector = found.selector(v, n)
	var holes []iprange.Range
	for _, p := range pools {
		holes = append(append(holes, p.exclude...), p.held...)
		if p.spec.Disable {
			holes = append(holes, p.ips...)
			m.tell(p.object(), "spec.disable", Changed, "its addresses are excluded from the network: a derived pool cannot be disabled")
		}
	}
	n.Spec.Exclude = m.exclusions(c.object(), iprange.Subtract(within(holes, found.ranges), found.own), found.ranges, pools)
}

// add takes in an interface if it holds addresses of the pool.
func (f *carriers) add(on *nic, p *spiderPool) {
	var has bool
	for src := range sources {
		if len(within(p.ips, on.ranges[p.fam][src])) > 0 {
			f.used[src], has = true, true
		}
	}
	if !has {
		return
	}
	f.indexes[on.DeviceIndex], f.nodes[on.node.Name] = true, true
	for src := range sources {
		f.present[src] = f.present[src] || len(on.ranges[p.fam][src]) > 0
		f.ranges = append(f.ranges, on.ranges[p.fam][src]...)
	}
	f.own = append(f.own, on.subnet.families[p.fam].reserved...)
	for _, a := range slices.Concat(on.node.InternalIPs, []netip.Addr{on.PrimaryIPv4, on.PrimaryIPv6}) {
		if r := iprange.Single(a); r.IsValid() {
			f.own = append(f.own, r)
		}
	}
}

// selector of nodes; nil if all that the network could choose are meant.
func (f *carriers) selector(v *view, n *v1alpha1.UnderlayNetwork) *metav1.LabelSelector {
	spec := n.Effective()
	more := false
	var names []string
	for _, on := range v.nodes {
		labels := nodeLabels{on.Node}
		if f.nodes[on.Name] {
			names = append(names, labels.Get(labelHostname))
			continue
		}
		for _, nic := range on.nics {
			for fam := range families {
				for src := range sources {
					more = more || f.indexes[nic.DeviceIndex] && labels.Get(labelOS) == "linux" && spec.Has(fam.api(), src.api()) && len(nic.ranges[fam][src]) > 0
				}
			}
		}
	}
	if !more {
		return nil
	}
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: labelHostname, Operator: metav1.LabelSelectorOpIn, Values: names}}}
}

// exclusions fit into what a schema allows: where they are too many, whole ranges are excluded that hold one, and then
// whole subnets: rather too much than an address twice.
func (m *migration) exclusions(object string, holes, ranges []iprange.Range, pools []*spiderPool) []v1alpha1.Range {
	holes = iprange.Merge(holes)
	for step := 0; len(holes) > MaxRanges && step < 2; step++ {
		wider := ranges
		if step == 1 {
			wider = nil
			for _, p := range pools {
				wider = append(wider, p.subnet)
			}
		}
		var out []iprange.Range
		for _, w := range wider {
			if len(within(holes, []iprange.Range{w})) > 0 {
				out = append(out, w)
			}
		}
		m.tell(object, "spec.exclude", Changed, "%s would be excluded one by one, of %d allowed: all of each %s that has one is excluded instead; run the same again when fewer are held",
			Count(len(holes), "piece"), MaxRanges, [...]string{"range", "subnet"}[step])
		holes = iprange.Merge(out)
	}
	var out []v1alpha1.Range
	for _, r := range holes {
		out = append(out, v1alpha1.Range(r.String()))
	}
	return out
}

// serves says whether the pool is for the node.
func (m *migration) serves(p *spiderPool, on *v1alpha1.Node) bool {
	switch {
	case len(p.spec.NodeName) > 0:
		return matches(p.spec.NodeName, on.Name)
	case p.spec.NodeAffinity != nil:
		s, err := metav1.LabelSelectorAsSelector(p.spec.NodeAffinity)
		return err == nil && s.Matches(nodeLabels{on})
	}
	return true
}
