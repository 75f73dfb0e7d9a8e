// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/vpc"
)

// The ids of the checks of the way to the internet, and of what a subnet's route table says of it.
const (
	idInternetRouteBroken  = "internet-route-broken"
	idInternetRouteMissing = "internet-route-missing"
	idNATInOtherZone       = "nat-gateway-in-other-zone"
	idPublicSubnet         = "public-subnet"
	idSourceDestCheckOff   = "source-dest-check-off"
)

func egressChecks() []Check {
	return []Check{
		{idInternetRouteBroken, "the route to the internet leads somewhere", plan.Error, eachWayOut(internetRouteBroken)},
		{idInternetRouteMissing, "pods have a route to the internet", plan.Warning, eachWayOut(internetRouteMissing)},
		{idNATInOtherZone, "subnets use a NAT gateway of their own zone", plan.Info, eachWayOut(natInOtherZone)},
		{idPublicSubnet, "pods with IPv4 are in private subnets", plan.Warning, eachWayOut(publicSubnet)},
		{idSourceDestCheckOff, "EC2 checks the addresses of the pods' interfaces", plan.Info, sourceDestCheckOff},
	}
}

// wayOut is how pods of one family in one subnet reach the internet.
type wayOut struct {
	around  vpc.Surroundings
	subnets map[string]v1alpha1.Subnet
	subnet  carryingSubnet
	family  v1alpha1.IPFamily
	pods    []carrier
	table   *vpc.RouteTable
	// route is the default route, if found; hidden that a prefix list may have it.
	route         vpc.Route
	found, hidden bool
	// internet is every public address of the family.
	internet []iprange.Range
}

// eachWayOut makes a check of one way out of a check of all: of each subnet that carries pods, and family.
func eachWayOut(run func(wayOut) *plan.Finding) func(Inputs) []plan.Finding {
	return func(in Inputs) []plan.Finding {
		w := wayOut{around: vpc.Of(&in.Inventory), subnets: map[string]v1alpha1.Subnet{}}
		for _, s := range in.Inventory.Subnets {
			w.subnets[s.ID] = s
		}
		var out []plan.Finding
		for _, w.subnet = range subnetsOf(in, podCarriers(in)) {
			w.table = w.around.TableOf(w.subnet.Subnet)
			if w.table == nil || w.table.Routes == nil {
				continue // not known
			}
			for _, w.family = range []v1alpha1.IPFamily{v1alpha1.IPv4, v1alpha1.IPv6} {
				if w.pods = w.subnet.with(w.family); len(w.pods) == 0 {
					continue
				}
				w.route, w.found, w.hidden = w.table.Default(w.family)
				w.internet = internet(in.Inventory, w.family)
				if f := run(w); f != nil {
					f.Object = "subnet/" + w.subnet.ID
					out = append(out, *f)
				}
			}
		}
		return out
	}
}

// destination is that of the default route.
func (w wayOut) destination() string {
	if w.family == v1alpha1.IPv6 {
		return "::/0"
	}
	return "0.0.0.0/0"
}

// who are the pods that it is about.
func (w wayOut) who() string {
	return fmt.Sprintf("%s pods on %s", w.family, plan.Count(nodeCount(w.pods), "node"))
}

func publicSubnet(w wayOut) *plan.Finding {
	if w.family != v1alpha1.IPv4 || !w.found || w.route.Blackhole() || !w.route.ToInternetGateway() {
		return nil // a global IPv6 address is its own way out
	}
	return &plan.Finding{ID: idPublicSubnet, Severity: plan.Warning,
		Message: fmt.Sprintf("the subnet is public: route table %s sends 0.0.0.0/0 to %s, which translates no address without an Elastic IP; "+
			"pods' addresses usually have none: %s do not reach the internet", w.table.ID, w.route.Target(), w.who()),
		Remedy: "put the pods' interfaces into a private subnet, whose 0.0.0.0/0 leads to a NAT gateway: " +
			"`aws ec2 create-route --route-table-id <of a private subnet> --destination-cidr-block 0.0.0.0/0 --nat-gateway-id nat-…`; " +
			"without need of the internet there is nothing to do"}
}

func internetRouteMissing(w wayOut) *plan.Finding {
	if w.found || w.hidden {
		return nil
	}
	f := &plan.Finding{ID: idInternetRouteMissing, Severity: plan.Warning,
		Message: fmt.Sprintf("its route table %s has no route to %s: %s do not reach the internet, nor AWS's public endpoints",
			w.table.ID, w.destination(), w.who()),
		Remedy: fmt.Sprintf("`aws ec2 create-route --route-table-id %s --destination-cidr-block 0.0.0.0/0 --nat-gateway-id nat-…`, "+
			"with a NAT gateway of a public subnet; without need of the internet there is nothing to do", w.table.ID)}
	if w.family == v1alpha1.IPv6 {
		f.Severity = plan.Info
		f.Remedy = fmt.Sprintf("`aws ec2 create-route --route-table-id %s --destination-ipv6-cidr-block ::/0 --egress-only-internet-gateway-id eigw-…`; "+
			"without need of the internet there is nothing to do", w.table.ID)
	}
	return f
}

func internetRouteBroken(w wayOut) *plan.Finding {
	if !w.found {
		return nil
	}
	f := &plan.Finding{ID: idInternetRouteBroken, Severity: plan.Error}
	broken := func(why, remedy string) *plan.Finding {
		f.Message = fmt.Sprintf("route table %s sends %s of %s to %s, %s", w.table.ID, w.destination(), w.who(), w.route.Target(), why)
		f.Remedy = remedy
		return f
	}
	flag, target := "--destination-cidr-block", "--nat-gateway-id nat-…"
	if w.family == v1alpha1.IPv6 {
		flag, target = "--destination-ipv6-cidr-block", "--egress-only-internet-gateway-id eigw-…"
	}
	replace := fmt.Sprintf("`aws ec2 replace-route --route-table-id %s %s %s %s`, with one that works", w.table.ID, flag,
		w.route.Destination(w.family), target)
	if w.route.Blackhole() {
		return broken("which is gone (blackhole): all of it is dropped", replace)
	}
	gateway, known := w.around.NATGateway(w.route.NATGatewayID)
	if !known {
		return nil
	}
	switch gateway.State {
	case "available", "":
	case "pending":
		f.Severity = plan.Warning
		return broken("which is being made (pending)", "wait some minutes, and check again")
	default:
		why := fmt.Sprintf("which does not work (%s)", gateway.State)
		if gateway.FailureMessage != "" {
			why = fmt.Sprintf("which does not work (%s: %s)", gateway.State, gateway.FailureMessage)
		}
		return broken(why, replace)
	}
	if why := w.natIsolated(gateway); why != "" {
		return broken(why, "move the NAT gateway into a public subnet, whose route table sends 0.0.0.0/0 to an internet gateway: "+replace)
	}
	return nil
}

// natIsolated says why a public NAT gateway reaches no internet gateway itself.
func (w wayOut) natIsolated(gateway vpc.NATGateway) string {
	home, known := w.subnets[gateway.SubnetID]
	if !known || gateway.ConnectivityType != "public" {
		return ""
	}
	table := w.around.TableOf(home)
	if table == nil || table.Routes == nil {
		return ""
	}
	route, found, hidden := table.Default(v1alpha1.IPv4)
	where := fmt.Sprintf("whose own subnet %s (route table %s)", home.ID, table.ID)
	switch {
	case !found && !hidden:
		return where + " has no route to 0.0.0.0/0"
	case found && route.Blackhole():
		return fmt.Sprintf("%s sends 0.0.0.0/0 to %s, which is gone (blackhole)", where, route.Target())
	case found && route.NATGatewayID == gateway.ID:
		return where + " sends 0.0.0.0/0 back to it"
	default:
		return ""
	}
}

func natInOtherZone(w wayOut) *plan.Finding {
	gateway, known := w.around.NATGateway(w.route.NATGatewayID)
	home := w.subnets[gateway.SubnetID]
	if !w.found || !known || home.Zone == "" || w.subnet.Zone == "" || home.Zone == w.subnet.Zone {
		return nil
	}
	return &plan.Finding{ID: idNATInOtherZone, Severity: plan.Info,
		Message: fmt.Sprintf("the subnet is in %s, but its way out %s in %s: traffic between zones costs, and a failure of %s cuts off %s",
			w.subnet.Zone, gateway.ID, home.Zone, home.Zone, w.who()),
		Remedy: fmt.Sprintf("make a NAT gateway in a public subnet of %s, and give the subnet a route table of its own that leads to it", w.subnet.Zone)}
}

// sourceDestCheckOff: all that pods send has an address of their interface, so that nothing needs the check off.
func sourceDestCheckOff(in Inputs) []plan.Finding {
	if in.Inventory.Provider == v1alpha1.ProviderManual {
		return nil // it is EC2's
	}
	var out []plan.Finding
	seen := map[string]bool{}
	for _, c := range podCarriers(in) {
		if c.nic.SourceDestCheck == nil || *c.nic.SourceDestCheck || seen[c.nic.ID] {
			continue
		}
		seen[c.nic.ID] = true
		out = append(out, plan.Finding{ID: idSourceDestCheckOff, Severity: plan.Info, Object: fmt.Sprintf("interface/%s (%s)", c.nic.ID, c.node.Name),
			Message: "its source/destination check is off, so EC2 lets pass what carries other addresses than the interface's; pods need none of that",
			Remedy: fmt.Sprintf("`aws ec2 modify-network-interface-attribute --network-interface-id %s --source-dest-check`, "+
				"unless the node routes or translates for others", c.nic.ID)})
	}
	return out
}

// internet is every public address of a family that is not of the inventory's VPCs.
func internet(in v1alpha1.Inventory, family v1alpha1.IPFamily) []iprange.Range {
	all, holes := netip.MustParsePrefix("0.0.0.0/0"), []string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"}
	if family == v1alpha1.IPv6 {
		all, holes = netip.MustParsePrefix("2000::/3"), nil
	}
	var own []iprange.Range
	for _, text := range holes {
		own = append(own, iprange.FromPrefix(netip.MustParsePrefix(text)))
	}
	for _, v := range in.VPCs {
		for _, cidr := range slices.Concat(v.CIDRs, v.IPv6CIDRs) {
			own = append(own, iprange.FromPrefix(cidr))
		}
	}
	return iprange.Subtract([]iprange.Range{iprange.FromPrefix(all)}, own)
}
