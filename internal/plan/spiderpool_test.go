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
	"sigs.k8s.io/yaml"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

func TestSpiderpoolOfExamples(t *testing.T) {
	for _, name := range []string{"walkthrough", "two-networks", "ipv6-only"} {
		t.Run(name, func(t *testing.T) {
			inv := example(t, name)
			p, _ := For(Inputs{Inventory: inv, Propose: true})
			objects, findings := Spiderpool(p, inv, SpiderpoolOptions{})
			if len(findings) > 0 {
				t.Errorf("findings: %+v", findings)
			}
			golden(t, "spiderpool-"+name+".yaml", asYAML(t, objects))
		})
	}
}

// TestSpiderpoolRoutes: a pool gets the routes of its family whose gateways it can have, and the others are told.
func TestSpiderpoolRoutes(t *testing.T) {
	inv := example(t, "two-networks")
	n := network4("nodes", 0, v1alpha1.SourcePrefix)
	n.Spec.IPFamilies = []v1alpha1.IPFamily{v1alpha1.IPv4, v1alpha1.IPv6}
	n.Spec.Routes = []v1alpha1.Route{
		{Destination: "192.168.1.0/24", Gateway: "10.0.0.1"},  // in the subnet of two nodes
		{Destination: "192.168.2.0/24", Gateway: "10.0.16.1"}, // in that of none
		{Destination: "192.168.3.0/24", Gateway: "10.0.0.9"},  // and one for each subnet
		{Destination: "192.168.3.0/24", Gateway: "10.0.4.9"},
		{Destination: "fd00:1::/64", Gateway: "fe80:ec2::1"}, // the pools' own
		{Destination: "fd00:2::/64", Gateway: "fe80::2"},     // a neighbour on the link
	}
	p, planned := For(Inputs{Inventory: inv, Networks: []v1alpha1.UnderlayNetwork{n}})
	if slices.ContainsFunc(planned, func(f Finding) bool { return f.ID != IDRouteGatewayNotReached }) {
		t.Errorf("the plan has findings: %+v", planned)
	}
	objects, findings := Spiderpool(p, inv, SpiderpoolOptions{IPv6Limit: 1})
	golden(t, "spiderpool-routes.yaml", asYAML(t, objects))
	told, err := yaml.Marshal(findings)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "spiderpool-routes-findings.yaml", told)
}

func TestSpiderpool(t *testing.T) {
	tests := []struct {
		name     string
		change   func(*v1alpha1.Inventory, *Inputs, *SpiderpoolOptions)
		want     []string // kind name: ips, multusName or master
		findings int
	}{
		{
			name:   "a higher limit for IPv6",
			change: func(_ *v1alpha1.Inventory, _ *Inputs, o *SpiderpoolOptions) { o.IPv6Limit = 256 },
			want: []string{
				"SpiderMultusConfig kube-system/ipvlan-ens5: ens5",
				"SpiderIPPool master-v4: 172.31.28.16-172.31.28.31 kube-system/ipvlan-ens5",
				"SpiderIPPool master-v6: 2406:da1e:c4:ed01:c57d::0-2406:da1e:c4:ed01:c57d::ff kube-system/ipvlan-ens5",
				"SpiderIPPool worker1-v4: 172.31.32.176-172.31.32.191 kube-system/ipvlan-ens5",
				"SpiderIPPool worker1-v6: 2406:da1e:c4:ed02:7a2e::0-2406:da1e:c4:ed02:7a2e::ff kube-system/ipvlan-ens5",
			},
		},
		{
			name: "links of different names",
			change: func(inv *v1alpha1.Inventory, _ *Inputs, o *SpiderpoolOptions) {
				inv.Nodes[1].Interfaces[0].Name = "Eth0.1"
				o.IPv6Limit = 1
			},
			want: []string{
				"SpiderMultusConfig kube-system/ipvlan-eni0-ens5: ens5",
				"SpiderMultusConfig kube-system/ipvlan-eni0-eth0-1: Eth0.1",
				"SpiderIPPool master-v4: 172.31.28.16-172.31.28.31 kube-system/ipvlan-eni0-ens5",
				"SpiderIPPool master-v6: 2406:da1e:c4:ed01:c57d::0 kube-system/ipvlan-eni0-ens5",
				"SpiderIPPool worker1-v4: 172.31.32.176-172.31.32.191 kube-system/ipvlan-eni0-eth0-1",
				"SpiderIPPool worker1-v6: 2406:da1e:c4:ed02:7a2e::0 kube-system/ipvlan-eni0-eth0-1",
			},
		},
		{
			name: "a link that nobody has seen",
			change: func(inv *v1alpha1.Inventory, _ *Inputs, _ *SpiderpoolOptions) {
				inv.Nodes[0].Interfaces[0].Name = ""
			},
			want: []string{
				"SpiderMultusConfig kube-system/ipvlan-eni0: ens5",
				"SpiderIPPool worker1-v4: 172.31.32.176-172.31.32.191 kube-system/ipvlan-eni0",
				"SpiderIPPool worker1-v6: 2406:da1e:c4:ed02:7a2e::0-2406:da1e:c4:ed02:7a2e::f kube-system/ipvlan-eni0",
			},
			findings: 2,
		},
		{
			name: "two networks on one interface, and another device",
			change: func(inv *v1alpha1.Inventory, in *Inputs, _ *SpiderpoolOptions) {
				inv.Nodes = inv.Nodes[:1]
				first := &inv.Nodes[0].Interfaces[0]
				first.SecondaryIPv4 = append(first.SecondaryIPv4, addr("172.31.18.20"), addr("172.31.18.22"))
				inv.Nodes[0].Interfaces = append(inv.Nodes[0].Interfaces, v1alpha1.Interface{ID: "eni-2", Name: "ens6", DeviceIndex: 1,
					SubnetID: first.SubnetID, MACAddress: "02:00:00:00:10:02", PrimaryIPv4: addr("172.31.18.30"),
					SecondaryIPv4: []netipAddr{addr("172.31.18.31")}})
				in.Networks = []v1alpha1.UnderlayNetwork{
					network4("a", 0, v1alpha1.SourcePrefix), network4("b", 0, v1alpha1.SourceSecondaryIP), network4("c", 1)}
				in.Networks[1].Spec.Exclude = []v1alpha1.Range{"172.31.18.22"}
			},
			want: []string{
				"SpiderMultusConfig kube-system/ipvlan-a: ens5",
				"SpiderMultusConfig kube-system/ipvlan-b: ens5",
				"SpiderMultusConfig kube-system/ipvlan-c: ens6",
				"SpiderIPPool master-ens6-v4: 172.31.18.31 kube-system/ipvlan-c",
				"SpiderIPPool master-v4: 172.31.28.16-172.31.28.31 kube-system/ipvlan-a",
				"SpiderIPPool master-v4-b: 172.31.18.20,172.31.18.22 kube-system/ipvlan-b but 172.31.18.22",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := example(t, "walkthrough")
			in, opts := Inputs{Propose: true}, SpiderpoolOptions{}
			tt.change(&inv, &in, &opts)
			in.Inventory = inv
			p, _ := For(in)
			objects, findings := Spiderpool(p, inv, opts)
			var got []string
			for _, o := range objects {
				got = append(got, spiderLine(o))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if len(findings) != tt.findings {
				t.Errorf("findings: %+v", findings)
			}
			for _, f := range findings {
				if f.ID != IDLinkNameUnknown || f.Severity != Error {
					t.Errorf("finding %+v", f)
				}
			}
		})
	}
}

func spiderLine(o *unstructured.Unstructured) string {
	if o.GetKind() == "SpiderMultusConfig" {
		master, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "ipvlan", "master")
		return fmt.Sprintf("%s %s/%s: %s", o.GetKind(), o.GetNamespace(), o.GetName(), strings.Join(master, ","))
	}
	ips, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "ips")
	multus, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "multusName")
	exclude, found, _ := unstructured.NestedStringSlice(o.Object, "spec", "excludeIPs")
	line := fmt.Sprintf("%s %s: %s %s", o.GetKind(), o.GetName(), strings.Join(ips, ","), strings.Join(multus, ","))
	if found {
		line += " but " + strings.Join(exclude, ",")
	}
	return line
}
