// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// SpiderpoolOptions are what an export to Spiderpool leaves open.
type SpiderpoolOptions struct {
	// IPv6Limit is how many addresses of each IPv6 range are exported, since Spiderpool lists addresses one by one; 16 if
	// zero.
	IPv6Limit int
}

// defaultIPv6Limit is what Spiderpool's own guide uses of a /80.
const defaultIPv6Limit = 16

// spiderpoolAPI is the version of Spiderpool's kinds.
const spiderpoolAPI = "spiderpool.spidernet.io/v2beta1"

// Spiderpool is the plan as Spiderpool's objects: a SpiderMultusConfig for each network and link name, a SpiderIPPool
// for each pool. Spiderpool finds a node's link by name, so pools whose link nobody has seen are left out.
func Spiderpool(p Plan, inv v1alpha1.Inventory, opts SpiderpoolOptions) ([]*unstructured.Unstructured, []Finding) {
	e := spiderExport{
		limit:       int64(cmp.Or(max(opts.IPv6Limit, 0), defaultIPv6Limit)),
		links:       linkNames(inv),
		attachments: map[string]v1alpha1.AttachmentReference{},
		masters:     map[string][]string{},
		routes:      map[string][]v1alpha1.Route{},
		lost:        map[networkRoute][]string{},
		names:       map[string]bool{},
	}
	for i := range p.Networks {
		e.routes[p.Networks[i].Name] = p.Networks[i].Spec.Routes
	}
	for _, a := range p.Attachments {
		e.attachments[a.Network] = v1alpha1.AttachmentReference{Namespace: a.Namespace, Name: a.Name}
	}
	for i := range p.Pools {
		pool := &p.Pools[i]
		if link := e.link(pool); link != "" && !slices.Contains(e.masters[pool.Spec.NetworkName], link) {
			e.masters[pool.Spec.NetworkName] = append(e.masters[pool.Spec.NetworkName], link)
		}
	}
	var out []*unstructured.Unstructured
	var findings []Finding
	for _, a := range p.Attachments {
		out = append(out, e.configs(a.Network)...)
	}
	for i := range p.Pools {
		pool := &p.Pools[i]
		switch _, attached := e.attachments[pool.Spec.NetworkName]; {
		case e.link(pool) == "":
			findings = append(findings, linkNameUnknown(pool))
		case attached:
			out = append(out, e.pool(pool))
		}
	}
	for r, pools := range e.lost {
		findings = append(findings, routeNotExported(r, pools))
	}
	sortObjects(out)
	SortFindings(findings)
	return out, slices.Compact(findings)
}

// spiderExport is what the objects of one export share.
type spiderExport struct {
	limit int64
	links map[position]string
	// attachments by network.
	attachments map[string]v1alpha1.AttachmentReference
	// masters are the link names of each network.
	masters map[string][]string
	// routes of each network.
	routes map[string][]v1alpha1.Route
	// lost routes, with the pools that cannot have them.
	lost map[networkRoute][]string
	// names of pools that are taken.
	names map[string]bool
}

// networkRoute is a route of a network.
type networkRoute struct {
	network string
	v1alpha1.Route
}

// position of an interface in the cluster.
type position struct {
	node         string
	card, device int32
}

func linkNames(inv v1alpha1.Inventory) map[position]string {
	out := map[position]string{}
	for _, n := range inv.Nodes {
		for _, i := range n.Interfaces {
			out[position{n.Name, i.NetworkCardIndex, i.DeviceIndex}] = i.Name
		}
	}
	return out
}

func (e *spiderExport) link(pool *v1alpha1.UnderlayPool) string {
	i := pool.Spec.Interface
	return e.links[position{pool.Spec.NodeName, i.NetworkCardIndex, i.DeviceIndex}]
}

func linkNameUnknown(pool *v1alpha1.UnderlayPool) Finding {
	return Finding{
		ID: IDLinkNameUnknown, Severity: Error,
		Object: fmt.Sprintf("interface/%s (%s)", pool.Spec.Interface.ID, pool.Spec.NodeName),
		Message: fmt.Sprintf("Spiderpool finds an interface by the name of its Linux link, which is unknown here: pool %s is left out",
			pool.Name),
		Remedy: "write the inventory to a file (`kubectl underlay inspect -o yaml`), put `name:` (as `ip link` on the node shows it) " +
			"into each interface, and export with --inventory FILE",
	}
}

func routeNotExported(r networkRoute, pools []string) Finding {
	return Finding{
		ID: IDRouteNotExported, Severity: Warning,
		Object: "network/" + r.network,
		Message: fmt.Sprintf("Spiderpool takes routes by gateways of a pool's own subnet alone: the route to %s by %s is left out of %s: %s",
			r.Destination, r.Gateway, Count(len(pools), "SpiderIPPool"), Some(pools)),
		Remedy: "add a route to the same destination by a gateway of their subnet to spec.routes of the network, and export again: " +
			"each subnet may have one",
	}
}

// reference to the SpiderMultusConfig of a network and link: the attachment's name, with the link's where the network's
// links have different names.
func (e *spiderExport) reference(network, link string) v1alpha1.AttachmentReference {
	ref := e.attachments[network]
	if len(e.masters[network]) > 1 {
		ref.Name = cutName(ref.Name + "-" + nameable(link))
	}
	return ref
}

func (e *spiderExport) configs(network string) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, link := range e.masters[network] {
		ref := e.reference(network, link)
		out = append(out, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": spiderpoolAPI,
			"kind":       "SpiderMultusConfig",
			"metadata":   map[string]any{"namespace": ref.Namespace, "name": ref.Name},
			"spec": map[string]any{
				"cniType": "ipvlan",
				"ipvlan":  map[string]any{"master": []any{link}},
			},
		}})
	}
	return out
}

func (e *spiderExport) pool(pool *v1alpha1.UnderlayPool) *unstructured.Unstructured {
	name := e.poolName(pool)
	spec := map[string]any{
		"subnet":     string(pool.Spec.Subnet),
		"gateway":    string(pool.Spec.Gateway),
		"default":    true,
		"nodeName":   []any{pool.Spec.NodeName},
		"multusName": []any{e.reference(pool.Spec.NetworkName, e.link(pool)).String()},
	}
	ranges := parseRanges(pool.Spec.Ranges)
	if pool.Spec.IPFamily == v1alpha1.IPv6 {
		for i := range ranges {
			ranges[i] = ranges[i].FirstN(e.limit)
		}
		if subnet, err := iprange.Parse(string(pool.Spec.Subnet)); err == nil {
			// Spiderpool wants the gateway inside the subnet, and AWS's answers at ::1 too.
			spec["gateway"] = subnet.First.Next().String()
		}
	}
	spec["ips"] = spiderIPs(ranges)
	if routes := e.poolRoutes(name, pool, spec["gateway"]); len(routes) > 0 {
		spec["routes"] = routes
	}
	if exclude := within(parseRanges(pool.Spec.Exclude), ranges); len(exclude) > 0 {
		spec["excludeIPs"] = spiderIPs(exclude)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": spiderpoolAPI,
		"kind":       "SpiderIPPool",
		"metadata":   map[string]any{"name": name},
		"spec":       spec,
	}}
}

// poolRoutes are those of the network, in the pool's family, that it can have as the named pool: Spiderpool wants gateways
// inside the subnet. Those by the pool's own gateway go by the exported one. The others are noted as lost.
func (e *spiderExport) poolRoutes(name string, pool *v1alpha1.UnderlayPool, own any) []any {
	subnet, err := iprange.Parse(string(pool.Spec.Subnet))
	if err != nil {
		return nil
	}
	var out []any
	var lost []v1alpha1.Route
	exported := map[v1alpha1.CIDR]bool{} // of several routes to one destination, the first that pods can use
	for _, r := range e.routes[pool.Spec.NetworkName] {
		gateway, err := netip.ParseAddr(string(r.Gateway))
		switch {
		case err != nil || gateway.Is4() != subnet.Is4() || exported[r.Destination]:
			continue
		case r.Gateway == pool.Spec.Gateway:
			out = append(out, map[string]any{"dst": string(r.Destination), "gw": own})
		case subnet.Contains(gateway):
			out = append(out, map[string]any{"dst": string(r.Destination), "gw": string(r.Gateway)})
		default:
			lost = append(lost, r)
			continue
		}
		exported[r.Destination] = true
	}
	for _, r := range lost {
		if !exported[r.Destination] {
			key := networkRoute{pool.Spec.NetworkName, r}
			e.lost[key] = append(e.lost[key], name)
		}
	}
	return out
}

// poolName is <node>-v4 for the primary interface, <node>-<link>-v4 for others; the network, and at last the pool's own
// name, tells apart what would be the same.
func (e *spiderExport) poolName(pool *v1alpha1.UnderlayPool) string {
	short := strings.ToLower(strings.TrimPrefix(string(pool.Spec.IPFamily), "IP"))
	parts := []string{pool.Spec.NodeName, nameable(e.link(pool)), short}
	if pool.Spec.Interface.DeviceIndex == 0 && pool.Spec.Interface.NetworkCardIndex == 0 {
		parts = []string{pool.Spec.NodeName, short}
	}
	name := strings.Join(parts, "-")
	for _, candidate := range []string{name, name + "-" + pool.Spec.NetworkName, pool.Name} {
		if candidate = cutName(candidate); !e.names[candidate] {
			e.names[candidate] = true
			return candidate
		}
	}
	return pool.Name
}

// nameable turns a link's name into what may stand inside an object's name.
func nameable(link string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '-'
		}
	}, link), "-")
}

// parseRanges reads what the planner wrote.
func parseRanges(in []v1alpha1.Range) []iprange.Range {
	out := make([]iprange.Range, 0, len(in))
	for _, text := range in {
		if r, err := iprange.Parse(string(text)); err == nil {
			out = append(out, r)
		}
	}
	return out
}

// within is the parts of holes that are in ranges.
func within(holes, ranges []iprange.Range) []iprange.Range {
	return iprange.Merge(iprange.Shared(holes, ranges))
}

// spiderIPs are ranges as `a` or `a-b`.
func spiderIPs(ranges []iprange.Range) []any {
	out := make([]any, 0, len(ranges))
	for _, r := range ranges {
		if r.First == r.Last {
			out = append(out, spiderIP(r.First))
			continue
		}
		out = append(out, spiderIP(r.First)+"-"+spiderIP(r.Last))
	}
	return out
}

// spiderIP is an address as Spiderpool's guide writes it: with a last group, even where it is zero.
func spiderIP(a netip.Addr) string {
	s := a.String()
	if strings.HasSuffix(s, "::") {
		return s + "0"
	}
	return s
}
