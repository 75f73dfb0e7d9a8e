// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// TestShare: what the two sides get is apart, enough, and what EC2 and their subnets allow.
func TestShare(t *testing.T) {
	inventory, err := document.OpenInventory("../../docs/examples/walkthrough.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ours, peer, err := share(inventory)
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := ec2sim.New(inventory)
	if err != nil {
		t.Fatal(err)
	}
	cloud.Close()
	for i, node := range inventory.Nodes {
		nic, theirs, mine := node.Interfaces[0], peer.addresses[node.Name], ours.addresses[node.Name]
		if mine.Overlaps(theirs) || mine.Contains(nic.PrimaryIPv4) || theirs.Contains(nic.PrimaryIPv4) {
			t.Errorf("%s: %s, %s and %s overlap", node.Name, mine, theirs, nic.PrimaryIPv4)
		}
		for _, p := range nic.IPv4Prefixes {
			if !mine.Overlaps(p) && !theirs.Overlaps(p) || !inventory.Subnets[i+1].CIDR.Overlaps(p) {
				t.Errorf("%s: prefix %s is nobody's, or outside the subnet", node.Name, p)
			}
		}
		if size := 1 << (32 - mine.Bits()); size < 2*podsPerNode { // those of the last round rest
			t.Errorf("%s: %d addresses for %d pods", node.Name, size, podsPerNode)
		}
	}
}

func TestShareRefuses(t *testing.T) {
	inventory, err := document.OpenInventory("../../docs/examples/walkthrough.yaml")
	if err != nil {
		t.Fatal(err)
	}
	inventory.Nodes[1].Interfaces[0].PrimaryIPv4 = netip.MustParseAddr("172.31.32.200")
	if _, _, err := share(inventory); err == nil || !strings.Contains(err.Error(), "worker1 has 172.31.32.200") {
		t.Errorf("got %v", err)
	}
}

func TestPeerConfig(t *testing.T) {
	var got struct {
		Plugins []struct {
			Type, Master string
			IPAM         struct {
				Ranges [][]struct{ Subnet, RangeStart, RangeEnd, Gateway string }
			}
		}
	}
	text := peerConfig(netip.MustParsePrefix("172.31.32.0/24"), netip.MustParsePrefix("172.31.32.192/26"))
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	r := got.Plugins[0].IPAM.Ranges[0][0]
	if r.Subnet != "172.31.32.0/24" || r.RangeStart != "172.31.32.192" || r.RangeEnd != "172.31.32.254" || r.Gateway != "172.31.32.1" {
		t.Errorf("got %+v", r)
	}
}

func TestOwns(t *testing.T) {
	side := podSide{"ours", map[string]netip.Prefix{"worker1": netip.MustParsePrefix("10.0.0.0/26")}}
	tests := []struct{ name, node, address, wrong string }{
		{"own", "worker1", "10.0.0.9", ""},
		{"the other side's", "worker1", "10.0.0.70", "none of 10.0.0.0/26"},
		{"of another node", "master", "10.0.0.9", "which is none of"},
		{"none", "worker1", "", "without an address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: tt.node}, Status: corev1.PodStatus{PodIP: tt.address}}
			err := side.owns(pod)
			if (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("got %v", err)
			}
		})
	}
}
