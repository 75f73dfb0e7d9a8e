// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/operator/agent/host"
)

const testMAC = "02:00:00:00:20:01"

// seen is a machine on which all is well.
func seen() host.Observation {
	drained, _ := iprange.Parse("172.31.32.192/28")
	return host.Observation{
		Links: []datapath.NodeLink{
			{Link: datapath.Link{Name: "ens5", MAC: "02:00:00:00:20:00", MTU: 9001}, Up: true, Addresses: []netip.Addr{netip.MustParseAddr("172.31.32.9")}},
			{Link: datapath.Link{Name: "ens6", MAC: testMAC, MTU: 1500}},
		},
		File:  &nodefile.File{Pools: []nodefile.Pool{{Name: "p", Generation: 3, Interface: nodefile.Interface{ID: "eni-1", MAC: testMAC}}}},
		Facts: host.Facts{MissingModules: []string{"sch_tbf"}, KubeProxyMode: "nftables", ForeignConfiguration: "00-other.conf", ARPIgnore: 1},
		Pools: []ipam.PoolUsage{{Pool: "p", Held: 2, Cooling: 1, Drained: []iprange.Range{drained}}},
	}
}

func TestStatus(t *testing.T) {
	got := statusOf(facts{"6.1", "boot", "v1"}, seen(), nil)
	want := v1alpha1.UnderlayNodeStatus{
		KernelVersion: "6.1", BootID: "boot", AgentVersion: "v1",
		Links: []v1alpha1.NodeLink{
			{Name: "ens5", MACAddress: "02:00:00:00:20:00", MTU: 9001, Up: true, IPVlan: true},
			{Name: "ens6", MACAddress: testMAC, MTU: 1500, IPVlan: true},
		},
		Host: &v1alpha1.NodeHost{
			Addresses: []string{"172.31.32.9"}, MissingModules: []string{"sch_tbf"}, KubeProxyMode: "nftables", ForeignCNIConfiguration: "00-other.conf", ARPIgnore: 1,
		},
		Pools: []v1alpha1.NodePool{{Name: "p", ObservedGeneration: 3, Allocated: 2, Cooling: 1, Drained: []string{"172.31.32.192/28"}}},
		Conditions: []metav1.Condition{
			{Type: "Ready", Status: "True", Reason: "NodeFileWritten", Message: "the CNI is installed and knows 1 pool"},
			{Type: "Followed", Status: "True", Reason: "AllFollowed", Message: "networks and pools are followed as they are written"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func withHostLegs(o *host.Observation) {
	o.File.Networks = []nodefile.Network{{Name: "a", HostLeg: nodefile.HostLeg{Enabled: true}}}
}

func TestConditions(t *testing.T) {
	many := make([]Problem, 100)
	for i := range many {
		many[i] = Problem{Object: fmt.Sprintf("pool/%d", i), Message: strings.Repeat("wrong ", 500)}
	}
	obstacle := map[string]*datapath.MasterError{testMAC: {MAC: testMAC, Name: "ens6", Reason: "carries macvlan"}}
	for _, c := range []struct {
		name     string
		change   func(o *host.Observation)
		problems []Problem
		// want is "type status reason: message", or its beginning.
		want string
	}{
		{"no network", func(o *host.Observation) { *o = host.Observation{Links: o.Links, Vacant: true} }, nil, "Ready True Vacant: there is no UnderlayNetwork"},
		{"no node file", func(o *host.Observation) { o.File, o.Pools = nil, nil }, nil, "Ready False NoNodeFile: the node file is not written yet"},
		{"programs", func(o *host.Observation) { o.Failed = map[host.Part]error{host.PartPrograms: errors.New("full")} }, nil, "Ready False ProgramsFailed: full"},
		{"of two failures the first part's", func(o *host.Observation) {
			o.Failed = map[host.Part]error{host.PartNodeFile: errors.New("disk"), host.PartLinks: errors.Join(errors.New("one"), errors.New("two"))}
		}, nil, "Ready False LinksFailed: one; two"},
		{"obstacle", func(o *host.Observation) { o.Obstacles = obstacle }, nil, "Ready False InterfaceNotUsable: pool p: interface ens6 (" + testMAC + ") carries macvlan"},
		{"port of a bridge", func(o *host.Observation) { o.Links[1].Port = true }, nil, "Ready False InterfaceNotUsable: pool p: interface ens6 is a port"},
		{"another link is a port of a bridge", func(o *host.Observation) { o.Links[0].Port = true }, nil, "Ready True NodeFileWritten: "},
		{"problems", func(*host.Observation) {}, []Problem{{"pool/a", "wrong"}, {"pool/b", "wrong too"}}, "Followed False Problems: pool/a: wrong; pool/b: wrong too"},
		{"many problems", func(*host.Observation) {}, many, "Followed False Problems: pool/0: wrong wrong"},
		{"default network", func(o *host.Observation) { o.Default = host.Default{Wanted: "a", Installed: "a"} }, nil, "DefaultNetwork True Installed: network a is the node's default: 05-underlay.conflist"},
		{"default network refused", func(o *host.Observation) { o.Default = host.Default{Wanted: "a", Foreign: "00-x.conf", Refused: "no"} }, nil, "DefaultNetwork False ForeignConfiguration: no"},
		{"answers by the host leg", withHostLegs, nil, "HostLegAnswers True ConnectionTracking: "},
		{"no answers by the host leg", func(o *host.Observation) { withHostLegs(o); o.Answers = errors.New("no act_ct") }, nil,
			"HostLegAnswers False NotSupported: NodePorts with externalTrafficPolicy: Local and host ports of pods do not answer clients elsewhere: no act_ct"},
		{"default network stays", func(o *host.Observation) { o.Default = host.Default{Installed: "a", Refused: "pods"} }, nil, "DefaultNetwork False Waiting: pods"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := seen()
			c.change(&o)
			var all []string
			for _, got := range statusOf(facts{}, o, c.problems).Conditions {
				if len(got.Message) > 32768 {
					t.Errorf("the message of %s has %d characters", got.Type, len(got.Message))
				}
				text := fmt.Sprintf("%s %s %s: %s", got.Type, got.Status, got.Reason, got.Message)
				if strings.HasPrefix(text, c.want) {
					return
				}
				all = append(all, text)
			}
			t.Errorf("no condition %q among:\n%.2000s", c.want, strings.Join(all, "\n"))
		})
	}
}
