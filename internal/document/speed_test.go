// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
)

// largeInventory has nodes with two interfaces each, dual stack, a prefix and a few secondary addresses per family.
func largeInventory(nodes int) v1alpha1.Inventory {
	inventory := v1alpha1.Inventory{Provider: v1alpha1.ProviderAWS}
	inventory.APIVersion, inventory.Kind = v1alpha1.GroupVersion().String(), v1alpha1.InventoryKind
	v4 := func(node, item, low int) netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(node >> 6), byte(node<<2 | item), byte(low)})
	}
	v6 := func(node, item, low int) netip.Addr {
		return netip.AddrFrom16([16]byte{0xfd, 0, 15: byte(low), 4: byte(node >> 8), 5: byte(node), 6: byte(item)})
	}
	for n := range nodes {
		node := v1alpha1.Node{
			Name: fmt.Sprintf("node-%04d.eu-central-1.compute.internal", n), InstanceID: fmt.Sprintf("i-%017x", n),
			ProviderID: fmt.Sprintf("aws:///eu-central-1a/i-%017x", n), InstanceType: "m5.large", Kernel: "6.1.0-38-cloud-amd64",
			Labels:      map[string]string{"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": "eu-central-1a"},
			InternalIPs: []netip.Addr{v4(n, 0, 4)},
		}
		for i := range 2 {
			node.Interfaces = append(node.Interfaces, v1alpha1.Interface{
				ID: fmt.Sprintf("eni-%016x%d", n, i), MACAddress: fmt.Sprintf("02:00:00:%02x:%02x:%02x", n>>8, n&255, i),
				DeviceIndex: int32(i), Name: fmt.Sprintf("ens%d", 5+i), MTU: 9001, SubnetID: "subnet-0123456789abcdef0",
				SecurityGroups: []string{"sg-0123456789abcdef0"}, SourceDestCheck: new(true),
				Tags:        map[string]string{"Name": fmt.Sprintf("node-%04d", n), "underlay.dev/cluster": "0f8fad5b-d9cb-469f-a165-70867728950e"},
				PrimaryIPv4: v4(n, i, 4), SecondaryIPv4: []netip.Addr{v4(n, i, 5), v4(n, i, 6)},
				IPv4Prefixes: []netip.Prefix{netip.PrefixFrom(v4(n, i, 16), 28)},
				PrimaryIPv6:  v6(n, i, 4), SecondaryIPv6: []netip.Addr{v6(n, i, 5), v6(n, i, 6)},
				IPv6Prefixes: []netip.Prefix{netip.PrefixFrom(v6(n, i, 0), 80)},
			})
		}
		inventory.Nodes = append(inventory.Nodes, node)
	}
	return inventory
}

func BenchmarkReadInventory(b *testing.B) {
	walkthrough, err := os.ReadFile("../../docs/examples/walkthrough.yaml")
	if err != nil {
		b.Fatal(err)
	}
	large := largeInventory(5000)
	asYAML, err := yaml.Marshal(large)
	if err != nil {
		b.Fatal(err)
	}
	asJSON, err := json.MarshalIndent(large, "", "  ")
	if err != nil {
		b.Fatal(err)
	}
	for _, file := range []struct {
		name string
		raw  []byte
	}{
		{"walkthrough.yaml", walkthrough}, {"5000-nodes.yaml", asYAML}, {"5000-nodes.json", asJSON},
	} {
		b.Run(file.name, func(b *testing.B) {
			b.SetBytes(int64(len(file.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := document.ReadInventory(file.name, bytes.NewReader(file.raw)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadNetworks(b *testing.B) {
	raw, err := os.ReadFile("../../docs/examples/network.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := document.ReadNetworks("network.yaml", bytes.NewReader(raw)); err != nil {
			b.Fatal(err)
		}
	}
}
