// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/operator/agent"
)

// network of that age in hours, changed by the functions.
func network(name string, age int, changes ...func(*v1alpha1.UnderlayNetworkSpec)) v1alpha1.UnderlayNetwork {
	n := v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: born(age)}}
	n.Spec.InterfaceSelector.DeviceIndexes = []int32{1}
	for _, change := range changes {
		change(&n.Spec)
	}
	return n
}

func deleted(n v1alpha1.UnderlayNetwork) v1alpha1.UnderlayNetwork {
	at := born(1)
	n.DeletionTimestamp = &at
	return n
}

func isDefault(s *v1alpha1.UnderlayNetworkSpec) { s.Default = true }

func born(age int) metav1.Time {
	if age == 0 {
		return metav1.Time{}
	}
	return metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Duration(age) * time.Hour))
}

// pool of IPv4 on worker1, changed by the functions.
func pool(name, network string, age int, changes ...func(*v1alpha1.UnderlayPool)) v1alpha1.UnderlayPool {
	p := v1alpha1.UnderlayPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 7, CreationTimestamp: born(age)},
		Spec: v1alpha1.UnderlayPoolSpec{
			NetworkName: network, NodeName: "worker1",
			Interface: v1alpha1.PoolInterface{ID: "eni-1", MACAddress: "02:00:00:00:20:01", DeviceIndex: 1},
			IPFamily:  v1alpha1.IPv4, Subnet: "172.31.32.0/24", Gateway: "172.31.32.1",
			Ranges: []v1alpha1.Range{"172.31.32.176/28"}, Allocation: v1alpha1.AllocationEnabled,
		},
	}
	for _, change := range changes {
		change(&p)
	}
	return p
}

func ranges(list ...v1alpha1.Range) func(*v1alpha1.UnderlayPool) {
	return func(p *v1alpha1.UnderlayPool) { p.Spec.Ranges = list }
}

func exclude(list ...v1alpha1.Range) func(*v1alpha1.UnderlayPool) {
	return func(p *v1alpha1.UnderlayPool) { p.Spec.Exclude = list }
}

func draining(list ...v1alpha1.Range) func(*v1alpha1.UnderlayPool) {
	return func(p *v1alpha1.UnderlayPool) { p.Spec.Draining = list }
}

func condition(kind string, status metav1.ConditionStatus) func(*v1alpha1.UnderlayPool) {
	return func(p *v1alpha1.UnderlayPool) {
		p.Status.Conditions = append(p.Status.Conditions, metav1.Condition{Type: kind, Status: status})
	}
}

// on another interface, which has this MAC.
func on(mac string) func(*v1alpha1.UnderlayPool) {
	return func(p *v1alpha1.UnderlayPool) {
		p.Spec.Interface = v1alpha1.PoolInterface{ID: "eni-2", MACAddress: mac, DeviceIndex: 2}
	}
}

func inputs(networks []v1alpha1.UnderlayNetwork, pools ...v1alpha1.UnderlayPool) agent.Inputs {
	return agent.Inputs{
		Writer:       "test",
		Node:         nodefile.Node{Name: "worker1", UID: "uid", ProviderID: "aws:///z/i-1", Addresses: []netip.Addr{netip.MustParseAddr("172.31.32.18")}},
		Networks:     networks,
		Pools:        pools,
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")},
	}
}

func TestNodeFile(t *testing.T) {
	type networks = []v1alpha1.UnderlayNetwork
	ens6 := networks{network("ens6", 2)}
	for _, c := range []struct {
		name string
		in   agent.Inputs
		// pools that the file has, as "name: what could be handed out".
		pools []string
		// defaults is the default network.
		defaults string
		problems []string
	}{
		{name: "nothing", in: inputs(nil)},
		{name: "a network without a pool here", in: inputs(networks{network("ens6", 1, isDefault)})},
		{name: "a pool", in: inputs(ens6, pool("a", "ens6", 1)), pools: []string{"a: 172.31.32.176/28"}},
		{
			name: "a pool of another node",
			in:   inputs(ens6, pool("a", "ens6", 1, func(p *v1alpha1.UnderlayPool) { p.Spec.NodeName = "worker2" })),
		},
		{
			name:  "the default network",
			in:    inputs(networks{network("ens6", 1, isDefault)}, pool("a", "ens6", 1)),
			pools: []string{"a: 172.31.32.176/28"}, defaults: "ens6",
		},
		{
			name:  "two default networks: the older one is",
			in:    inputs(networks{network("a", 1, isDefault), network("b", 2, isDefault)}, pool("a", "a", 1), pool("b", "b", 1, on("02:00:00:00:20:02"), ranges("172.31.32.192/28"))),
			pools: []string{"a: 172.31.32.176/28", "b: 172.31.32.192/28"}, defaults: "b",
			problems: []string{"network/a: it is not the default of this node, since network b is already: set spec.default to false in one of them, or narrow one nodeSelector"},
		},
		{
			name: "a default network that is being deleted gives way",
			in: inputs(networks{deleted(network("a", 2, isDefault)), network("b", 1, isDefault)},
				pool("a", "a", 1), pool("b", "b", 1, on("02:00:00:00:20:02"), ranges("172.31.32.192/28"))),
			pools: []string{"a: 172.31.32.176/28", "b: 172.31.32.192/28"}, defaults: "b",
		},
		{
			name:  "a default network that is being deleted stays the only one's default",
			in:    inputs(networks{deleted(network("a", 2, isDefault))}, pool("a", "a", 1)),
			pools: []string{"a: 172.31.32.176/28"}, defaults: "a",
		},
		{
			name:     "no network",
			in:       inputs(nil, pool("a", "ens6", 1)),
			problems: []string{"pool/a: it hands out nothing: there is no UnderlayNetwork ens6: create it, or delete the pool"},
		},
		{
			name: "a network that means nothing",
			in: inputs(networks{network("ens6", 1, func(s *v1alpha1.UnderlayNetworkSpec) {
				s.Routes = []v1alpha1.Route{{Destination: "10.0.0.1/8", Gateway: "172.31.32.1"}}
			})}, pool("a", "ens6", 1)),
			problems: []string{"network/ens6: pods get no address of it on this node: routes: destination 10.0.0.1/8 must be a CIDR without host bits"},
		},
		{
			name:  "Valid is False",
			in:    inputs(ens6, pool("a", "ens6", 1, condition("Valid", metav1.ConditionFalse))),
			pools: []string{"a: "},
		},
		{
			name:  "Valid is Unknown",
			in:    inputs(ens6, pool("a", "ens6", 1, condition("Valid", metav1.ConditionUnknown))),
			pools: []string{"a: 172.31.32.176/28"},
		},
		{
			name:  "disabled",
			in:    inputs(ens6, pool("a", "ens6", 1, func(p *v1alpha1.UnderlayPool) { p.Spec.Allocation = v1alpha1.AllocationDisabled })),
			pools: []string{"a: "},
		},
		{
			name:  "draining and excluded",
			in:    inputs(ens6, pool("a", "ens6", 1, ranges("172.31.32.176/28", "172.31.32.192/28"), draining("172.31.32.192/28"), exclude("172.31.32.176", "fd00::1"))),
			pools: []string{"a: 172.31.32.177-172.31.32.191"},
		},
		{
			name:     "a range that is back to front",
			in:       inputs(ens6, pool("a", "ens6", 1, ranges("172.31.32.9-172.31.32.4", "172.31.32.176/28"))),
			pools:    []string{"a: "},
			problems: []string{`pool/a: it hands out nothing: spec.ranges[0]: range "172.31.32.9-172.31.32.4": the first address is behind the last: write 172.31.32.4-172.31.32.9`},
		},
		{
			name:     "a range outside of the subnet",
			in:       inputs(ens6, pool("a", "ens6", 1, ranges("172.31.33.0/28"))),
			pools:    []string{"a: "},
			problems: []string{"pool/a: it hands out nothing: spec.ranges[0]: 172.31.33.0/28 lies outside of the subnet 172.31.32.0/24"},
		},
		{
			name:     "an exclusion that cannot be read",
			in:       inputs(ens6, pool("a", "ens6", 1, exclude("172.31.32.9-172.31.32.4"))),
			pools:    []string{"a: "},
			problems: []string{`pool/a: it hands out nothing: spec.exclude[0]: range "172.31.32.9-172.31.32.4": the first address is behind the last: write 172.31.32.4-172.31.32.9`},
		},
		{
			name:     "a gateway elsewhere",
			in:       inputs(ens6, pool("a", "ens6", 1, func(p *v1alpha1.UnderlayPool) { p.Spec.Gateway = "10.0.0.1" })),
			problems: []string{"pool/a: it is left out: gateway 10.0.0.1 must lie inside the subnet 172.31.32.0/24 or be link-local"},
		},
		{
			name:     "two pools in one place: the older one stays",
			in:       inputs(ens6, pool("a", "ens6", 1), pool("b", "ens6", 2, ranges("172.31.32.192/28"))),
			pools:    []string{"b: 172.31.32.192/28"},
			problems: []string{"pool/a: it is left out: pools b and a are both of network ens6, eni-1 and IPv4: make them one"},
		},
		{
			name:     "overlap: the older one hands out",
			in:       inputs(ens6, pool("a", "ens6", 1), pool("b", "ens6", 2, on("02:00:00:00:20:02"), ranges("172.31.32.180"))),
			pools:    []string{"a: ", "b: 172.31.32.180"},
			problems: []string{"pool/a: it hands out nothing: pools a and b overlap in 172.31.32.176/28 and 172.31.32.180: disable one"},
		},
		{
			name: "overlap: the one in sync hands out",
			in: inputs(ens6, pool("a", "ens6", 1, condition("InSync", metav1.ConditionTrue)),
				pool("b", "ens6", 2, on("02:00:00:00:20:02"), ranges("172.31.32.180"))),
			pools:    []string{"a: 172.31.32.176/28", "b: "},
			problems: []string{"pool/b: it hands out nothing: pools a and b overlap in 172.31.32.176/28 and 172.31.32.180: disable one"},
		},
		{
			name: "overlap: in sync counts for derived pools only",
			in: inputs(networks{network("ens6", 2, func(s *v1alpha1.UnderlayNetworkSpec) { s.Provider = v1alpha1.ProviderManual })},
				pool("a", "ens6", 1, condition("InSync", metav1.ConditionTrue)), pool("b", "ens6", 2, on("02:00:00:00:20:02"), ranges("172.31.32.180"))),
			pools:    []string{"a: ", "b: 172.31.32.180"},
			problems: []string{"pool/a: it hands out nothing: pools a and b overlap in 172.31.32.176/28 and 172.31.32.180: disable one"},
		},
		{
			name:  "overlap with a pool that lost already",
			in:    inputs(ens6, pool("a", "ens6", 1), pool("b", "ens6", 2, on("02:00:00:00:20:02"), ranges("172.31.32.180"), condition("Valid", metav1.ConditionFalse))),
			pools: []string{"a: 172.31.32.176/28", "b: "},
		},
		{
			name: "one interface with two names",
			in: inputs(ens6, pool("a", "ens6", 2), pool("b", "ens6", 1, on("02:00:00:00:20:01"), func(p *v1alpha1.UnderlayPool) {
				p.Spec.IPFamily, p.Spec.Subnet, p.Spec.Gateway, p.Spec.Ranges = v1alpha1.IPv6, "fd00::/64", "fe80:ec2::1", []v1alpha1.Range{"fd00::1:0/112"}
			})),
			pools: []string{"a: 172.31.32.176/28", "b: fd00::1:0/112"},
			problems: []string{"pool/b: it calls the interface with MAC 02:00:00:00:20:01 eni-2 (card 0, index 2), and pool a calls it eni-1 (card 0, index 1), " +
				"which counts: correct one of them"},
		},
		{
			name: "the node's own address",
			in:   inputs(ens6, pool("a", "ens6", 1, ranges("172.31.32.16/30"))), pools: []string{"a: 172.31.32.16/31,172.31.32.19"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, problems := agent.NodeFile(c.in)
			if err := file.Validate(); err != nil {
				t.Fatal(err)
			}
			var pools, told []string
			for i := range file.Pools {
				p := &file.Pools[i]
				pools = append(pools, p.Name+": "+strings.Join(nodefile.Ranges(file.Open(p)).Strings(), ","))
			}
			for _, p := range problems {
				told = append(told, p.String())
			}
			defaults := ""
			if n := file.DefaultNetwork(); n != nil {
				defaults = n.Name
			}
			for _, d := range []string{cmp.Diff(c.pools, pools), cmp.Diff(c.defaults, defaults), cmp.Diff(c.problems, told)} {
				if d != "" {
					t.Errorf("-want +got:\n%s", d)
				}
			}
		})
	}
}

// TestNetworkInNodeFile shows each field of a network, with and without a value of the user's.
func TestNetworkInNodeFile(t *testing.T) {
	off := false
	for _, c := range []struct {
		name string
		spec func(*v1alpha1.UnderlayNetworkSpec)
		want nodefile.Network
	}{
		{
			name: "as it comes",
			spec: func(*v1alpha1.UnderlayNetworkSpec) {},
			want: nodefile.Network{
				Name: "ens6", HostLeg: nodefile.HostLeg{Enabled: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}},
				CooldownSeconds: 30, RequestedIPs: nodefile.RequestedIPsDeny,
				MetadataService: nodefile.MetadataService{Mode: nodefile.MetadataBlock, ExceptNamespaces: []string{"kube-system"}},
			},
		},
		{
			name: "all set",
			spec: func(s *v1alpha1.UnderlayNetworkSpec) {
				s.Default, s.MTU = true, 1500
				s.HostAccess = &v1alpha1.HostAccess{CIDRs: []v1alpha1.CIDR{"fd00:1::/64", "10.96.0.0/12", "10.0.0.0/16"}}
				s.Routes = []v1alpha1.Route{{Destination: "10.0.0.0/8", Gateway: "172.31.32.1"}}
				s.CooldownSeconds = new(int32(0))
				s.AllowedNamespaces = []string{"b", "a"}
				s.RequestedIPs = v1alpha1.RequestedIPsAllow
				s.MetadataService = &v1alpha1.MetadataService{Mode: v1alpha1.MetadataAllow, ExceptNamespaces: []string{"z", "y"}}
			},
			want: nodefile.Network{
				Name: "ens6", Default: true, MTU: 1500,
				HostLeg: nodefile.HostLeg{Enabled: true, CIDRs: []netip.Prefix{
					netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("fd00:1::/64"),
				}},
				Routes:            []nodefile.Route{{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("172.31.32.1")}},
				AllowedNamespaces: []string{"a", "b"}, RequestedIPs: nodefile.RequestedIPsAllow,
				MetadataService: nodefile.MetadataService{Mode: nodefile.MetadataAllow, ExceptNamespaces: []string{"y", "z"}},
			},
		},
		{
			name: "without host leg",
			spec: func(s *v1alpha1.UnderlayNetworkSpec) {
				s.HostAccess = &v1alpha1.HostAccess{Enabled: &off, CIDRs: []v1alpha1.CIDR{"10.0.0.0/16"}}
			},
			want: nodefile.Network{
				Name: "ens6", CooldownSeconds: 30, RequestedIPs: nodefile.RequestedIPsDeny,
				MetadataService: nodefile.MetadataService{Mode: nodefile.MetadataBlock, ExceptNamespaces: []string{"kube-system"}},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, problems := agent.NodeFile(inputs([]v1alpha1.UnderlayNetwork{network("ens6", 1, c.spec)}, pool("a", "ens6", 1)))
			if len(problems) > 0 {
				t.Error(problems)
			}
			if diff := cmp.Diff([]nodefile.Network{c.want}, file.Networks, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
				cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestNodeFileIsValid: whatever networks and pools there are, in whatever order, the file is valid and the same, and no address can be handed out twice.
func TestNodeFileIsValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SampledFrom([]v1alpha1.Range{
			"172.31.32.176/28", "172.31.32.180-172.31.32.190", "172.31.32.5", "172.31.32.9-172.31.32.4", "172.31.33.0/28", "fd00::/80", "fd01::/64", "nonsense", "",
		})
		names := rapid.SampledFrom([]string{"a", "b", "c"})
		var networks []v1alpha1.UnderlayNetwork
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "No"}), rapid.ID[string]).Draw(t, "networks") {
			n := network(name, rapid.IntRange(0, 3).Draw(t, "age"))
			n.Spec.Default = rapid.Bool().Draw(t, "default")
			n.Spec.MTU = rapid.SampledFrom([]int32{0, 1500, 3}).Draw(t, "mtu")
			networks = append(networks, n)
		}
		var pools []v1alpha1.UnderlayPool
		for i := range rapid.IntRange(0, 6).Draw(t, "pools") {
			p := pool(string(rune('p'+i)), names.Draw(t, "network"), rapid.IntRange(0, 3).Draw(t, "age"))
			p.Spec.NodeName = rapid.SampledFrom([]string{"worker1", "worker1", "worker1", "other"}).Draw(t, "node")
			p.Spec.Interface.MACAddress = rapid.SampledFrom([]string{"02:00:00:00:20:01", "02:00:00:00:20:02", "03:00:00:00:20:01", ""}).Draw(t, "mac")
			p.Spec.Interface.DeviceIndex = rapid.Int32Range(-1, 2).Draw(t, "index")
			if rapid.Bool().Draw(t, "IPv6") {
				p.Spec.IPFamily, p.Spec.Subnet, p.Spec.Gateway = v1alpha1.IPv6, "fd00::/64", "fe80:ec2::1"
			}
			p.Spec.Subnet = rapid.SampledFrom([]v1alpha1.CIDR{p.Spec.Subnet, p.Spec.Subnet, "x"}).Draw(t, "subnet")
			p.Spec.Ranges = rapid.SliceOf(texts).Draw(t, "ranges")
			p.Spec.Exclude = rapid.SliceOf(texts).Draw(t, "exclude")
			p.Spec.Draining = rapid.SliceOf(texts).Draw(t, "draining")
			condition(rapid.SampledFrom([]string{"Valid", "InSync"}).Draw(t, "condition"), rapid.SampledFrom([]metav1.ConditionStatus{"True", "False"}).Draw(t, "status"))(&p)
			pools = append(pools, p)
		}
		in := inputs(networks, pools...)
		file, problems := agent.NodeFile(in)
		if err := file.Validate(); err != nil {
			t.Fatal(err)
		}
		var open []iprange.Range
		for i := range file.Pools {
			for _, r := range file.Open(&file.Pools[i]) {
				if slices.ContainsFunc(open, r.Overlaps) {
					t.Fatalf("%s can be handed out twice", r)
				}
			}
			open = append(open, file.Open(&file.Pools[i])...)
		}
		in.Networks, in.Pools = rapid.Permutation(networks).Draw(t, "networks again"), rapid.Permutation(pools).Draw(t, "pools again")
		again, problemsAgain := agent.NodeFile(in)
		first, err := nodefile.Encode(&file)
		if err != nil {
			t.Fatal(err)
		}
		second, err := nodefile.Encode(&again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(first), string(second)); diff != "" {
			t.Fatalf("in another order:\n%s", diff)
		}
		if diff := cmp.Diff(problems, problemsAgain); diff != "" {
			t.Fatalf("in another order:\n%s", diff)
		}
	})
}
