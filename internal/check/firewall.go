// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/vpc"
)

// The ids of the checks of security groups and network ACLs. They say what provably blocks: that no rule lets any packet
// through.
const (
	idACLBlocksEgress     = "network-acl-blocks-egress"
	idACLBlocksPods       = "network-acl-blocks-pods"
	idGroupBlocksEgress   = "security-group-blocks-egress"
	idGroupBlocksPods     = "security-group-blocks-pods"
	idGroupBlocksServices = "security-group-blocks-services"
)

func firewallChecks() []Check {
	return []Check{
		{idACLBlocksEgress, "network ACLs let pods talk to the internet", plan.Warning, eachWayOut(aclBlocksEgress)},
		{idACLBlocksPods, "network ACLs let pods talk to each other", plan.Error, aclBlocksPods},
		{idGroupBlocksEgress, "security groups let pods talk to the internet", plan.Warning, eachWayOut(groupBlocksEgress)},
		{idGroupBlocksPods, "security groups let pods talk to each other", plan.Error, groupBlocksPods},
		{idGroupBlocksServices, "security groups let nodes reach each other's pods", plan.Error, groupBlocksServices},
	}
}

// party are carriers of one network and family that firewalls treat alike.
type party struct {
	// key are the groups, or the subnet.
	key      string
	groups   []string
	carriers []carrier
	// pods are the addresses of all carriers.
	pods []iprange.Range
}

func (p party) end() vpc.End { return vpc.End{Groups: p.groups, Addresses: p.pods} }

// meets says whether pods of the two can be on different nodes: on one node they meet without a firewall.
func (p party) meets(other party) bool {
	elsewhere := func(c carrier) bool { return c.node != p.carriers[0].node }
	return slices.ContainsFunc(p.carriers, elsewhere) || slices.ContainsFunc(other.carriers, elsewhere)
}

// parties are the carriers of each network and family, put together by key.
func parties(of []carrier, key func(carrier) string) [][]party {
	type circle struct {
		network string
		family  v1alpha1.IPFamily
	}
	var order []circle
	circles := map[circle][]party{}
	for _, c := range of {
		at := circle{c.network, c.family}
		if _, known := circles[at]; !known {
			order = append(order, at)
		}
		k := key(c)
		i := slices.IndexFunc(circles[at], func(p party) bool { return p.key == k })
		if i < 0 {
			i = len(circles[at])
			circles[at] = append(circles[at], party{key: k, groups: c.nic.SecurityGroups})
		}
		circles[at][i].carriers = append(circles[at][i].carriers, c)
	}
	out := make([][]party, 0, len(order))
	for _, at := range order {
		for i := range circles[at] {
			circles[at][i].pods = podsOf(circles[at][i].carriers)
		}
		slices.SortFunc(circles[at], func(a, b party) int { return cmp.Compare(a.key, b.key) })
		out = append(out, circles[at])
	}
	return out
}

// eachPair makes findings of all pairs of parties, in both directions, whose pods meet.
func eachPair(circles [][]party, run func(from, to party) *plan.Finding) []plan.Finding {
	var out []plan.Finding
	for _, circle := range circles {
		for _, from := range circle {
			for _, to := range circle {
				if !from.meets(to) {
					continue
				}
				if f := run(from, to); f != nil {
					f.Object = "network/" + from.carriers[0].network
					out = append(out, *f)
				}
			}
		}
	}
	return out
}

func groupsOf(c carrier) string {
	return strings.Join(slices.Sorted(slices.Values(c.nic.SecurityGroups)), ", ")
}

func groupBlocksPods(in Inputs) []plan.Finding {
	around := vpc.Of(&in.Inventory)
	return eachPair(parties(podCarriers(in), groupsOf), func(from, to party) *plan.Finding {
		return groupBlocks(around, vpc.Traffic{}, crossing{
			from: from.end(), to: to.end(), family: from.carriers[0].family, of: fmt.Sprintf("pods on %s (%s)", plan.Count(nodeCount(from.carriers), "node"), from.key),
			at: fmt.Sprintf("pods on %s (%s)", plan.Count(nodeCount(to.carriers), "node"), to.key), id: idGroupBlocksPods})
	})
}

// crossing is what goes from one end to another, and what a finding calls them.
type crossing struct {
	from, to vpc.End
	family   v1alpha1.IPFamily
	of, at   string
	id       string
	// because says what follows.
	because string
}

// groupBlocks says which end's groups let none of the traffic through.
func groupBlocks(around vpc.Surroundings, traffic vpc.Traffic, c crossing) *plan.Finding {
	what, permission := string(c.family)+" traffic", "IpProtocol=-1"
	if traffic.Protocol != "" {
		what = fmt.Sprintf("%s port %s over %s", strings.ToUpper(traffic.Protocol), traffic.PortRange(), c.family)
		permission = fmt.Sprintf("IpProtocol=%s,FromPort=%d,ToPort=%d", traffic.Protocol, traffic.First, traffic.Last)
	}
	f := &plan.Finding{ID: c.id, Severity: plan.Error}
	if groups, known := around.Groups(c.to.Groups); known && !vpc.LetIn(groups, traffic, c.from) {
		f.Message = fmt.Sprintf("no rule of security group %s lets %s from %s in to %s%s", plan.Some(c.to.Groups), what, c.of, c.at, c.because)
		f.Remedy = fmt.Sprintf("`aws ec2 authorize-security-group-ingress --group-id %s --ip-permissions '%s,UserIdGroupPairs=[{GroupId=%s}]'`",
			c.to.Groups[0], permission, first(c.from.Groups))
		return f
	}
	if groups, known := around.Groups(c.from.Groups); known && !vpc.LetOut(groups, traffic, c.to) {
		f.Message = fmt.Sprintf("no rule of security group %s lets %s of %s out to %s%s", plan.Some(c.from.Groups), what, c.of, c.at, c.because)
		f.Remedy = fmt.Sprintf("`aws ec2 authorize-security-group-egress --group-id %s --ip-permissions '%s,UserIdGroupPairs=[{GroupId=%s}]'`",
			c.from.Groups[0], permission, first(c.to.Groups))
		return f
	}
	return nil
}

func first(groups []string) string {
	if len(groups) == 0 {
		return "sg-…"
	}
	return groups[0]
}

// groupBlocksServices looks at default networks, whose pods are behind services: what a node translates goes to the pod
// of another node under the node's own address. By which of its interfaces is the node's choice, so all count.
func groupBlocksServices(in Inputs) []plan.Finding {
	around := vpc.Of(&in.Inventory)
	var out []plan.Finding
	for _, circle := range parties(podCarriers(in), groupsOf) {
		if len(circle) == 0 || !isDefault(in, circle[0].carriers[0].network) {
			continue
		}
		for _, to := range circle {
			family := to.carriers[0].family
			from, count := nodesBeside(circle, to, family)
			if count == 0 {
				continue
			}
			c := crossing{from: from, to: to.end(), family: family, id: idGroupBlocksServices,
				of: plan.Count(count, "node"), at: fmt.Sprintf("pods on %s (%s)", plan.Count(nodeCount(to.carriers), "node"), to.key),
				because: "; services reach pods of other nodes by their nodes' addresses"}
			f := groupBlocks(around, vpc.Traffic{}, c)
			if f == nil {
				c.because = "; DNS of the cluster does not work where its server is such a pod on another node"
				f = groupBlocks(around, vpc.Traffic{Protocol: "udp", First: dnsPort, Last: dnsPort}, c)
			}
			if f != nil {
				f.Object = "network/" + to.carriers[0].network
				out = append(out, *f)
			}
		}
	}
	return out
}

const dnsPort = 53

// nodesBeside are the nodes of a network that have pods of the party on another node, as one end.
func nodesBeside(circle []party, to party, family v1alpha1.IPFamily) (end vpc.End, count int) {
	seen := map[string]bool{}
	for _, p := range circle {
		for _, c := range p.carriers {
			others := slices.ContainsFunc(to.carriers, func(o carrier) bool { return o.node != c.node })
			if seen[c.node.Name] || !others {
				continue
			}
			seen[c.node.Name] = true
			for i := range c.node.Interfaces {
				nic := &c.node.Interfaces[i]
				end.Groups = append(end.Groups, nic.SecurityGroups...)
				end.Addresses = append(end.Addresses, iprange.Single(nic.PrimaryIPv4), iprange.Single(nic.PrimaryIPv6))
			}
			for _, ip := range c.node.InternalIPs {
				end.Addresses = append(end.Addresses, iprange.Single(ip))
			}
		}
	}
	slices.Sort(end.Groups)
	end.Groups = slices.Compact(end.Groups)
	end.Addresses = slices.DeleteFunc(iprange.Merge(end.Addresses), func(r iprange.Range) bool { return r.Is4() != (family == v1alpha1.IPv4) })
	return end, len(seen)
}

func isDefault(in Inputs, network string) bool {
	return slices.ContainsFunc(in.Plan.Networks, func(n v1alpha1.UnderlayNetwork) bool { return n.Name == network && n.Spec.Default })
}

// answers are what comes back to whoever opened a connection. A client's port is 1024 or above.
func answers() vpc.Traffic { return vpc.Traffic{Protocol: "tcp", First: 1024, Last: 65535} }

// aclBlocksPods compares subnets: within one there is no ACL.
func aclBlocksPods(in Inputs) []plan.Finding {
	around := vpc.Of(&in.Inventory)
	circles := parties(podCarriers(in), func(c carrier) string { return c.nic.SubnetID })
	return eachPair(circles, func(from, to party) *plan.Finding {
		if from.key == to.key {
			return nil
		}
		f := aclBlocks(around.ACLOf(from.key), true, to.pods)
		if f == nil {
			f = aclBlocks(around.ACLOf(to.key), false, from.pods)
		}
		if f != nil {
			f.ID, f.Severity = idACLBlocksPods, plan.Error
			f.Message += fmt.Sprintf(" from %s pods in %s to those in %s; an ACL does not know connections, and has to let both directions through",
				from.carriers[0].family, from.key, to.key)
		}
		return f
	})
}

// aclBlocks says that an ACL lets nothing out to others, or in from them, or no answers.
func aclBlocks(acl *vpc.NetworkACL, egress bool, others []iprange.Range) *plan.Finding {
	if acl == nil {
		return nil
	}
	way := map[bool]string{true: "out", false: "in"}[egress]
	switch {
	case !acl.Lets(egress, vpc.Traffic{}, others):
		return &plan.Finding{Message: fmt.Sprintf("network ACL %s lets nothing %s", acl.ID, way), Remedy: aclRemedy(acl, egress, others)}
	case !acl.Lets(egress, answers(), others):
		return &plan.Finding{Message: fmt.Sprintf("network ACL %s lets no answers (TCP ports %s) %s", acl.ID, answers().PortRange(), way),
			Remedy: aclRemedy(acl, egress, others)}
	default:
		return nil
	}
}

// aclRemedy lets everything through between the ACL's subnets and some addresses, ahead of all other entries.
func aclRemedy(acl *vpc.NetworkACL, egress bool, other []iprange.Range) string {
	direction, block := "--ingress", "--cidr-block 0.0.0.0/0"
	if egress {
		direction = "--egress"
	}
	if len(other) > 0 && !other[0].Is4() {
		block = "--ipv6-cidr-block ::/0"
	}
	number := 100
	for _, e := range acl.Entries {
		if e.Egress == egress {
			number = min(number, max(1, e.Number-1))
		}
	}
	return fmt.Sprintf("`aws ec2 create-network-acl-entry --network-acl-id %s %s --rule-number %d --protocol -1 --rule-action allow %s`, "+
		"and let security groups say who may", acl.ID, direction, number, block)
}

// works says whether pods would reach the internet but for firewalls.
func (w wayOut) works() bool { return w.found && !w.route.Blackhole() }

func groupBlocksEgress(w wayOut) *plan.Finding {
	if !w.works() {
		return nil
	}
	var closed []carrier
	groups := map[string]bool{}
	for _, c := range w.pods {
		known, ok := w.around.Groups(c.nic.SecurityGroups)
		if ok && !vpc.LetOut(known, vpc.Traffic{}, vpc.End{Addresses: w.internet}) {
			closed = append(closed, c)
			groups[groupsOf(c)] = true
		}
	}
	if len(closed) == 0 {
		return nil
	}
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	slices.Sort(names)
	permission := "IpProtocol=-1,IpRanges=[{CidrIp=0.0.0.0/0}]"
	if w.family == v1alpha1.IPv6 {
		permission = "IpProtocol=-1,Ipv6Ranges=[{CidrIpv6=::/0}]"
	}
	return &plan.Finding{ID: idGroupBlocksEgress, Severity: plan.Warning,
		Message: fmt.Sprintf("the subnet has a route to the internet (%s), but no rule of security group %s lets %s traffic out to it from %s",
			w.route.Target(), plan.Some(names), w.family, plan.Count(nicCount(closed), "interface")),
		Remedy: fmt.Sprintf("`aws ec2 authorize-security-group-egress --group-id %s --ip-permissions '%s'`; where pods shall not reach the internet there is nothing to do",
			closed[0].nic.SecurityGroups[0], permission)}
}

func aclBlocksEgress(w wayOut) *plan.Finding {
	if !w.works() {
		return nil
	}
	acl := w.around.ACLOf(w.subnet.ID)
	f, way := aclBlocks(acl, true, w.internet), "to"
	if f == nil {
		f, way = aclBlocks(acl, false, w.internet), "from"
	}
	if f != nil {
		f.ID, f.Severity = idACLBlocksEgress, plan.Warning
		f.Message += fmt.Sprintf(" %s the internet, to which the subnet has a route (%s); concerned are %s", way, w.route.Target(), w.who())
	}
	return f
}
