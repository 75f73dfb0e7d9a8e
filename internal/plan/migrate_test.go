// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

// spider reads objects as a user would write them.
func spider(t *testing.T, texts ...string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, text := range texts {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte("apiVersion: spiderpool.spidernet.io/v2beta1\n"+text), &o.Object); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

const (
	spiderENS5   = "kind: SpiderMultusConfig\nmetadata: {namespace: kube-system, name: ipvlan-ens5}\nspec: {cniType: ipvlan, ipvlan: {master: [ens5]}}"
	spiderMaster = "kind: SpiderIPPool\nmetadata: {name: master-v4}\nspec: {subnet: 172.31.16.0/20, gateway: 172.31.16.1, ips: [172.31.28.16-172.31.28.31], " +
		"nodeName: [master], multusName: [kube-system/ipvlan-ens5]"
)

const spiderWorker = "kind: SpiderIPPool\nmetadata: {name: worker1-v4}\nspec: {subnet: 172.31.32.0/24, gateway: 172.31.32.1, ips: [172.31.32.176-172.31.32.191], " +
	"nodeName: [worker1], multusName: [kube-system/ipvlan-ens5]"

const spiderIPv6 = "kind: SpiderIPPool\nmetadata: {name: master-v6}\nspec: {subnet: '2406:da1e:c4:ed01::/64', ips: ['2406:da1e:c4:ed01:c57d::1'], " +
	"nodeName: [master], multusName: [kube-system/ipvlan-ens5]}"

// TestMigrationRoundTrip: what was exported for Spiderpool comes back as what it was made from.
func TestMigrationRoundTrip(t *testing.T) {
	for _, name := range []string{"walkthrough", "two-networks", "ipv6-only"} {
		inv := example(t, name)
		want, _ := For(Inputs{Inventory: inv, Propose: true})
		checkRoundTrip(t, inv, want)
	}
}

func checkRoundTrip(t interface{ Fatalf(string, ...any) }, inv v1alpha1.Inventory, want Plan) {
	objects, _ := Spiderpool(want, inv, SpiderpoolOptions{})
	m, err := FromSpiderpool(objects, inv)
	if err != nil {
		t.Fatalf("%v", err)
	}
	got, _ := For(Inputs{Inventory: inv, Networks: m.Networks})
	if d := cmp.Diff(want.Objects(), got.Objects()); d != "" {
		t.Fatalf("comes back as something else (-want +got): %s\nreport: %+v", d, m.Items)
	}
	slices.Reverse(objects)
	again, err := FromSpiderpool(objects, inv)
	if err != nil || cmp.Diff(m, again) != "" {
		t.Fatalf("in another order: %v %s", err, cmp.Diff(m, again))
	}
}

// TestMigrationRoundTripOfAny inventory that an export says all of.
func TestMigrationRoundTripOfAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plantest.Node {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plantest.Interface {
				return plantest.Interface{Prefixes4: rapid.IntRange(0, 3).Draw(t, "prefixes"), Secondaries4: rapid.IntRange(0, 4).Draw(t, "secondaries"),
					Prefixes6: rapid.IntRange(0, 2).Draw(t, "IPv6 prefixes"), Gaps: rapid.Bool().Draw(t, "gaps")}
			}), 1, 3).Draw(t, "interfaces")
		}), 1, 5).Draw(t, "nodes")
		inv := plantest.Inventory(nodes)
		proposed, _ := For(Inputs{Inventory: inv, Propose: true})
		addRoutes(t, proposed)
		want, _ := For(Inputs{Inventory: inv, Networks: proposed.Networks})
		checkRoundTrip(t, inv, want)
	})
}

// addRoutes gives the networks routes, whose gateways are in the subnets of their pools.
func addRoutes(t *rapid.T, p Plan) {
	for i := range p.Networks {
		for fam := range families {
			of := slices.IndexFunc(p.Pools, func(pool v1alpha1.UnderlayPool) bool {
				return pool.Spec.NetworkName == p.Networks[i].Name && pool.Spec.IPFamily == fam.api()
			})
			if of < 0 {
				continue
			}
			subnet, err := iprange.Parse(string(p.Pools[of].Spec.Subnet))
			if err != nil {
				t.Fatal(err)
			}
			for n := range rapid.IntRange(0, 3).Draw(t, "routes") {
				p.Networks[i].Spec.Routes = append(p.Networks[i].Spec.Routes, v1alpha1.Route{
					Destination: v1alpha1.CIDR(fmt.Sprintf([]string{"10.10%d.0.0/16", "fd0%d::/64"}[fam], n)), Gateway: v1alpha1.Address(subnet.First.Next().Next().String())})
			}
		}
	}
}

// TestSplitIsWhatWasJoined: pools of several nodes come apart into what pools of one each would have been.
func TestSplitIsWhatWasJoined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shapes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plantest.Node {
			return plantest.Node{{Prefixes4: rapid.IntRange(0, 3).Draw(t, "prefixes"), Secondaries4: rapid.IntRange(0, 4).Draw(t, "secondaries"),
				Prefixes6: rapid.IntRange(0, 2).Draw(t, "IPv6 prefixes"), Gaps: rapid.Bool().Draw(t, "gaps")}}
		}), 1, 6).Draw(t, "nodes")
		inv := plantest.Inventory(shapes)
		p, _ := For(Inputs{Inventory: inv, Propose: true})
		apart, _ := Spiderpool(p, inv, SpiderpoolOptions{})
		inv.Provider = v1alpha1.ProviderManual
		want, err := FromSpiderpool(apart, inv)
		if err != nil {
			t.Fatal(err)
		}
		got, err := FromSpiderpool(joinPools(t, apart), inv)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.Pools, got.Pools); d != "" {
			t.Fatalf("pools of one node each (-), and split (+): %s\nreport: %+v", d, got.Items)
		}
	})
}

// joinPools makes one pool of all those of a subnet.
func joinPools(t *rapid.T, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	first := map[string]*unstructured.Unstructured{}
	var out []*unstructured.Unstructured
	for _, o := range objects {
		subnet, _, _ := unstructured.NestedString(o.Object, "spec", "subnet")
		into := first[subnet]
		if into == nil || subnet == "" {
			first[subnet] = o.DeepCopy()
			out = append(out, first[subnet])
			continue
		}
		for _, field := range []string{"ips", "excludeIPs", "nodeName"} {
			a, _, _ := unstructured.NestedStringSlice(into.Object, "spec", field)
			b, _, _ := unstructured.NestedStringSlice(o.Object, "spec", field)
			if err := unstructured.SetNestedStringSlice(into.Object, append(a, b...), "spec", field); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

// TestNoAddressTwice: whatever Spiderpool's pods hold, no planned pool hands it out.
func TestNoAddressTwice(t *testing.T) {
	for _, held := range []int{0, 1, 100, 4000} {
		inv := plantest.Inventory(plantest.Uniform(40, plantest.Node{{Prefixes4: 11}}))
		first, _ := For(Inputs{Inventory: inv, Propose: true})
		objects, _ := Spiderpool(first, inv, SpiderpoolOptions{})
		var taken []iprange.Range
		for _, o := range objects {
			ips, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "ips")
			allocated := map[string]any{}
			for _, text := range ips {
				r, err := iprange.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				for a := r.First; len(taken) < held && !r.Last.Less(a); a = a.Next().Next() { // every other one, so that they do not merge
					taken = append(taken, iprange.Single(a))
					allocated[a.String()] = map[string]any{"pod": "default/web"}
				}
			}
			raw, err := yaml.Marshal(allocated)
			if err != nil {
				t.Fatal(err)
			}
			if raw, err = yaml.YAMLToJSON(raw); err != nil {
				t.Fatal(err)
			}
			o.Object["status"] = map[string]any{"allocatedIPs": string(raw)}
		}
		m, err := FromSpiderpool(objects, inv)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(m.Networks[0].Spec.Exclude); n > MaxRanges {
			t.Errorf("%d exclusions", n)
		}
		p, _ := For(Inputs{Inventory: inv, Networks: m.Networks})
		for _, pool := range p.Pools {
			if both := within(taken, iprange.Subtract(parseRanges(pool.Spec.Ranges), parseRanges(pool.Spec.Exclude))); len(both) > 0 {
				t.Fatalf("%d held: pool %s hands out %s, which pods of Spiderpool hold", held, pool.Name, both[0])
			}
		}
	}
}

// TestMigrationReport shows what becomes of an object, line by line.
func TestMigrationReport(t *testing.T) {
	for _, tt := range []struct {
		name    string
		objects []string
		manual  bool
		want    []string // networks and pools, and lines of the report, parts of each
	}{
		{"held", []string{spiderENS5, spiderMaster + "}\nstatus: {allocatedIPs: '{\"172.31.28.17\": {\"pod\": \"default/a\"}}'}"}, false, []string{
			"network ens5 [0] exclude [172.31.28.17]", "SpiderIPPool/master-v4 status.allocatedIPs changed 1 address held by Spiderpool's pods: excluded"}},
		{"not in the cloud", []string{spiderENS5, strings.Replace(spiderMaster, "172.31.28.16-", "172.31.28.12-", 1) + "}"}, false, []string{
			"SpiderIPPool/master-v4 spec.ips todo left out, since no interface of its nodes holds them: 172.31.28.12/30"}},
		{"further in the cloud", []string{spiderENS5, strings.Replace(spiderMaster, "172.31.28.31", "172.31.28.20", 1) + "}"}, false, []string{
			"pods may have further addresses", "in 1 pool: ens5.0.v4.master"}},
		{"one node of two", []string{spiderENS5, spiderMaster + "}"}, false, []string{"network ens5 [0] exclude [] nodes [master]"}},
		{"disabled", []string{spiderENS5, spiderMaster + ", disable: true}"}, false, []string{"exclude [172.31.28.16/28]", "spec.disable changed"}},
		{"gateway", []string{spiderENS5, strings.Replace(spiderMaster, "gateway: 172.31.16.1", "gateway: 172.31.16.9", 1) + "}"}, false, []string{
			"the subnet's gateway in the cloud is 172.31.16.1, not 172.31.16.9"}},
		{"unknown field", []string{spiderENS5, spiderMaster + ", colour: green}"}, false, []string{"SpiderIPPool/master-v4 spec.colour dropped this field is not known"}},
		{"affinities", []string{spiderENS5, spiderMaster + ", podAffinity: {}, namespaceName: [a], vlan: 7, routes: [{dst: 10.0.0.0/8, gw: 172.31.16.2}]}"}, false, []string{
			"spec.podAffinity dropped", "spec.namespaceAffinity dropped", "spec.vlan dropped"}},
		{"routes", []string{spiderENS5, spiderMaster + ", routes: [{dst: 10.0.0.0/8, gw: 172.31.16.2}]}", spiderIPv6}, false, []string{
			"network ens5 [0] exclude [] nodes [master] routes [{10.0.0.0/8 172.31.16.2}]", "SpiderIPPool/master-v4 spec.routes carried spec.routes of network ens5"}},
		{"routes that differ", []string{spiderENS5, spiderMaster + ", routes: [{dst: 10.0.0.0/8, gw: 172.31.16.2}]}",
			strings.Replace(spiderMaster, "master-v4", "more-v4", 1) + "}"}, false, []string{"SpiderIPPool/master-v4 spec.routes todo not carried over: with the routes of the other pools, more-v4 would have others than its own"}},
		{"routes of each subnet", []string{spiderENS5, spiderMaster + ", routes: [{dst: 10.0.0.0/8, gw: 172.31.16.2}, {dst: 10.1.0.0/16, gw: 172.31.16.2}]}",
			spiderWorker + ", routes: [{dst: 10.0.0.0/8, gw: 172.31.32.2}]}"}, false, []string{
			"routes [{10.0.0.0/8 172.31.16.2} {10.0.0.0/8 172.31.32.2} {10.1.0.0/16 172.31.16.2}]", "SpiderIPPool/worker1-v4 spec.routes carried spec.routes of network ens5"}},
		{"two routes to one place", []string{spiderENS5, spiderMaster + ", routes: [{dst: 10.0.0.0/8, gw: 172.31.16.2}, {dst: 10.0.0.0/8, gw: 172.31.16.3}]}"}, false, []string{
			"SpiderIPPool/master-v4 spec.routes todo not carried over"}},
		{"a route that nobody reaches", []string{spiderENS5, spiderMaster + ", routes: [{dst: 10.0.0.0/8, gw: 10.1.1.1}]}"}, false, []string{
			"spec.routes todo not carried over: the gateway 10.1.1.1 of 10.0.0.0/8 is not in the subnet 172.31.16.0/20"}},
		{"a route that cannot be read", []string{spiderENS5, spiderMaster + ", routes: [{dst: 10.0.0.1/8, gw: 172.31.16.2}]}"}, false, []string{
			`spec.routes todo not carried over: "10.0.0.1/8" is not a CIDR`}},
		{"other types", []string{strings.Replace(spiderENS5, "cniType: ipvlan, ipvlan", "cniType: sriov, sriov", 1), spiderMaster + "}"}, false, []string{
			"spec.cniType dropped sriov has no counterpart", "spec.multusName todo not carried over"}},
		{"macvlan, bond, VLAN", []string{"kind: SpiderMultusConfig\nmetadata: {namespace: a, name: x}\nspec: {cniType: macvlan, macvlan: " +
			"{master: [e1, e2], vlanID: 5, bond: {name: bond0, mode: 1}}}", strings.Replace(spiderMaster, "kube-system/ipvlan-ens5", "a/x", 1) + "}"}, false, []string{
			"spec.macvlan changed becomes ipvlan", "bonds such as bond0 of e1 and e2 cannot", "VLAN links such as bond0.5 cannot", "network x [0]"}},
		{"coordinator", []string{"kind: SpiderCoordinator\nmetadata: {name: default}\nspec: {mode: disabled, hijackCIDR: [10.9.0.0/16], podMACPrefix: '0a:1b'}", spiderENS5, spiderMaster + "}"}, false, []string{
			"spec.hijackCIDR carried hostAccess.cidrs is 10.9.0.0/16", "spec.podMACPrefix dropped", "network ens5 [0] exclude [] nodes [master] host false [10.9.0.0/16]"}},
		{"Manual", []string{spiderENS5, spiderMaster + ", excludeIPs: [172.31.28.20]}"}, true, []string{
			"network ens5 [ens5]", "pool ens5.0.v4.master 02:00:00:00:10:01 [172.31.28.16/28] exclude [172.31.28.20] Enabled"}},
		{"Manual, disabled", []string{spiderENS5, spiderMaster + ", disable: true}"}, true, []string{"exclude [172.31.28.16/28] Disabled"}},
		{"Manual, of several nodes", []string{spiderENS5, strings.Replace(spiderMaster, "nodeName: [master]", "nodeName: []", 1) + "}"}, true, []string{
			"pool ens5.0.v4.master 02:00:00:00:10:01 [172.31.28.16/28]", "spec.nodeName changed split over 1 node"}},
		{"Manual, split over nodes", []string{spiderENS5, strings.NewReplacer("172.31.16.0/20", "172.31.0.0/16", "172.31.28.16-172.31.28.31", "172.31.28.20-172.31.32.180",
			"nodeName: [master]", "nodeAffinity: {}").Replace(spiderMaster) + ", excludeIPs: [172.31.28.24]}"}, true, []string{
			"pool ens5.0.v4.master 02:00:00:00:10:01 [172.31.28.20-172.31.28.31] exclude [172.31.28.24]", "pool ens5.0.v4.worker1 02:00:00:00:20:01 [172.31.32.176-172.31.32.180]",
			"spec.ips todo left out, since the inventory has them on no interface of its nodes: 172.31.28.32-172.31.32.175; addresses are handed out on one node", "split over 2 nodes"}},
		{"Manual, of several nodes, unknown whose", []string{spiderENS5, strings.NewReplacer("nodeName: [master]", "nodeName: []", "172.31.28.16-172.31.28.31", "172.31.29.0/28").
			Replace(spiderMaster) + "}"}, true, []string{"not carried over: it is for 2 nodes", "write into the inventory which are whose"}},
		{"Manual, without a link", []string{strings.Replace(spiderENS5, "[ens5]", "[ens9]", 1), spiderMaster + "}"}, true, []string{
			"the inventory knows no link ens9 of node master"}},
		{"Manual, without a gateway", []string{spiderENS5, strings.Replace(spiderMaster, "gateway: 172.31.16.1, ", "", 1) + "}"}, true, []string{
			"spec.gateway todo not carried over"}},
		{"another kind", []string{"kind: SpiderSubnet\nmetadata: {name: s}", spiderENS5, spiderMaster + "}"}, false, []string{"SpiderSubnet/s  dropped this kind"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inv := example(t, "walkthrough")
			if tt.manual {
				inv.Provider = v1alpha1.ProviderManual
			}
			m, err := FromSpiderpool(spider(t, tt.objects...), inv)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(migrationLines(m), "\n")
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing in:\n%s", want, got)
				}
			}
		})
	}
}

func migrationLines(m Migration) []string {
	var out []string
	for _, n := range m.Networks {
		s := n.Spec
		line := fmt.Sprintf("network %s %v exclude %v", n.Name, s.InterfaceSelector.DeviceIndexes, s.Exclude)
		if len(s.InterfaceSelector.Names) > 0 {
			line = fmt.Sprintf("network %s %v", n.Name, s.InterfaceSelector.Names)
		}
		if s.NodeSelector != nil {
			line += fmt.Sprintf(" nodes %v", s.NodeSelector.MatchExpressions[0].Values)
		}
		if len(s.Routes) > 0 {
			line += fmt.Sprintf(" routes %v", s.Routes)
		}
		if s.HostAccess != nil {
			line += fmt.Sprintf(" host %v %v", *s.HostAccess.Enabled, s.HostAccess.CIDRs)
		}
		out = append(out, line)
	}
	for _, p := range m.Pools {
		out = append(out, fmt.Sprintf("pool %s %s %v exclude %v %s", p.Name, p.Spec.Interface.MACAddress, p.Spec.Ranges, p.Spec.Exclude, p.Spec.Allocation))
	}
	for _, i := range m.Items {
		out = append(out, fmt.Sprintf("%s %s %s %s", i.Object, i.Field, i.Outcome, i.Note))
	}
	return out
}

// TestBrokenMigration: what cannot be read is named, with object and field.
func TestBrokenMigration(t *testing.T) {
	for _, tt := range []struct{ name, object, want string }{
		{"subnet", strings.Replace(spiderMaster, "172.31.16.0/20", "172.31.16.0", 1) + "}", `SpiderIPPool master-v4: spec.subnet: "172.31.16.0" is not a CIDR`},
		{"address", strings.Replace(spiderMaster, "172.31.28.31", "172.31.28.310", 1) + "}", "SpiderIPPool master-v4: spec.ips[0]: "},
		{"outside", strings.Replace(spiderMaster, "172.31.28.16-172.31.28.31", "10.0.0.1", 1) + "}", "spec.ips[0]: 10.0.0.1 is outside the subnet 172.31.16.0/20"},
		{"excluded", spiderMaster + ", excludeIPs: [x]}", "spec.excludeIPs[0]: "},
		{"version", spiderMaster + ", ipVersion: 6}", "spec.ipVersion: is 6, and spec.subnet 172.31.16.0/20 is IPv4"},
		{"gateway", strings.Replace(spiderMaster, "gateway: 172.31.16.1", "gateway: 10.0.0.1", 1) + "}", `spec.gateway: "10.0.0.1" is not an address in`},
		{"status", spiderMaster + "}\nstatus: {allocatedIPs: '['}", "status.allocatedIPs: not a JSON object"},
		{"kind of value", spiderMaster + ", disable: maybe}", "SpiderIPPool master-v4: spec: a value is of the wrong kind"},
		{"no link", strings.Replace(spiderENS5, "[ens5]", "[]", 1), "SpiderMultusConfig kube-system/ipvlan-ens5: spec.ipvlan.master: names no link"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := FromSpiderpool(spider(t, tt.object), example(t, "walkthrough"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
