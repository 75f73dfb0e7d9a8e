// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"testing"
	"time"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

const (
	worker1Pool = "ens5.0.v4.worker1"
	worker1ENI  = "eni-0c4e1f5a7b9d20002"
	first       = "172.31.32.176/28"
	second      = "172.31.32.192/28"
)

func TestPrefixAddedInTheCloud(t *testing.T) {
	s := newStage(t)
	s.network(t, "ens5", 0)
	s.operate(t)
	s.expect(t, worker1Pool, first, "")
	s.prefixes(t, first, second)
	s.expect(t, worker1Pool, first+" "+second, "")
	s.expectEvent(t, worker1Pool, "RangesAdded", second)
}

// TestLateAnswer: EC2 does not show a prefix for a while. The pool stays as it is.
func TestLateAnswer(t *testing.T) {
	s := newStage(t)
	s.network(t, "ens5", 0)
	s.operate(t)
	before := s.expect(t, worker1Pool, first, "")
	s.prefixes(t)
	c := s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "NotPlanned")
	contains(t, c.Message, first, "1m0s")
	s.clock.advance(59 * time.Second)
	s.refreshes(t, 3)
	s.prefixes(t, first)
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "AsPlanned")
	// The count begins anew.
	s.prefixes(t)
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "NotPlanned")
	s.clock.advance(59 * time.Second)
	s.refreshes(t, 3)
	if after := s.expect(t, worker1Pool, first, ""); after.Generation != before.Generation {
		t.Errorf("the pool has changed:\n%s", s.describe(t))
	}
}

// TestDrain: a prefix that is gone leaves the pool in two steps.
func TestDrain(t *testing.T) {
	s := newStage(t)
	s.prefixes(t, first, second)
	s.network(t, "ens5", 0)
	s.operate(t)
	before := s.expect(t, worker1Pool, first+" "+second, "")
	s.report(t, "worker1", v1alpha1.NodePool{Name: worker1Pool, ObservedGeneration: before.Generation, Allocated: 3})
	s.prefixes(t, first)
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "RangesMissing")
	s.clock.advance(61 * time.Second)
	draining := s.expect(t, worker1Pool, first+" "+second, second)
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "RangesDraining")

	stays := func(why string, report v1alpha1.NodePool) {
		t.Helper()
		report.Name = worker1Pool
		s.report(t, "worker1", report)
		s.clock.advance(time.Hour)
		s.refreshes(t, 2)
		if after := s.expect(t, worker1Pool, first+" "+second, second); after.Generation != draining.Generation {
			t.Errorf("%s, and yet the pool has changed:\n%s", why, s.describe(t))
		}
	}
	stays("the agent has not seen that it drains", v1alpha1.NodePool{ObservedGeneration: before.Generation, Drained: []string{second}})
	stays("addresses are held", v1alpha1.NodePool{ObservedGeneration: draining.Generation, Allocated: 1})
	stays("another range is drained", v1alpha1.NodePool{ObservedGeneration: draining.Generation, Drained: []string{first}})
	s.report(t, "worker1", v1alpha1.NodePool{Name: worker1Pool, ObservedGeneration: draining.Generation, Drained: []string{second}})
	s.expect(t, worker1Pool, first, "")
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "AsPlanned")
	s.expectEvent(t, worker1Pool, "RangesRemoved", second)
}

// TestDrainingSurvivesRestart: another operator goes on where the first has stopped, without counting again.
func TestDrainingSurvivesRestart(t *testing.T) {
	s := newStage(t)
	s.prefixes(t, first, second)
	s.network(t, "ens5", 0)
	o := s.operate(t)
	before := s.expect(t, worker1Pool, first+" "+second, "")
	s.report(t, "worker1", v1alpha1.NodePool{Name: worker1Pool, ObservedGeneration: before.Generation, Allocated: 3})
	s.prefixes(t, first)
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "RangesMissing")
	s.clock.advance(61 * time.Second)
	draining := s.expect(t, worker1Pool, first+" "+second, second)
	o.stop(t)
	s.report(t, "worker1", v1alpha1.NodePool{Name: worker1Pool, ObservedGeneration: draining.Generation, Drained: []string{second}})
	s.operate(t)
	s.expect(t, worker1Pool, first, "")
}

// TestRangeReturns: a prefix that drains is shown again, by one late answer or for good.
func TestRangeReturns(t *testing.T) {
	s := newStage(t)
	s.prefixes(t, first, second)
	s.network(t, "ens5", 0)
	s.operate(t)
	before := s.expect(t, worker1Pool, first+" "+second, "")
	s.report(t, "worker1", v1alpha1.NodePool{Name: worker1Pool, ObservedGeneration: before.Generation, Allocated: 3})
	s.prefixes(t, first)
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "RangesMissing")
	s.clock.advance(61 * time.Second)
	draining := s.expect(t, worker1Pool, first+" "+second, second)
	s.prefixes(t, first, second)
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "RangesReturning")
	s.refreshes(t, 2)
	if after := s.expect(t, worker1Pool, first+" "+second, second); after.Generation != draining.Generation {
		t.Errorf("one answer was enough:\n%s", s.describe(t))
	}
	s.clock.advance(61 * time.Second)
	s.expect(t, worker1Pool, first+" "+second, "")
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "AsPlanned")
}

// TestInterfaceGone: with an agent, the pool goes when nothing of it is held; where none has ever been, when EC2 has said
// so twice.
func TestInterfaceGone(t *testing.T) {
	for _, agent := range []bool{true, false} {
		t.Run(map[bool]string{true: "agent", false: "no agent"}[agent], func(t *testing.T) {
			s := newStage(t)
			err := s.cloud.Update(func(w *ec2sim.World) error {
				nic := w.Interfaces[worker1ENI].Interface
				nic.ID, nic.MACAddress, nic.DeviceIndex = "eni-2", "02:00:00:00:20:02", 1
				nic.PrimaryIPv4, nic.IPv4Prefixes, nic.IPv6Prefixes = nic.PrimaryIPv4.Next(), prefixList(second), nil
				return w.AddInterface(ec2sim.NetworkInterface{Interface: nic, InstanceID: w.Interfaces[worker1ENI].InstanceID})
			})
			if err != nil {
				t.Fatal(err)
			}
			s.network(t, "ens6", 1)
			s.operate(t)
			const name = "ens6.1.v4.worker1"
			p := s.expect(t, name, second, "")
			if agent {
				s.report(t, "worker1", v1alpha1.NodePool{Name: name, ObservedGeneration: p.Generation, Allocated: 1})
			}
			if err := s.cloud.Update(func(w *ec2sim.World) error { delete(w.Interfaces, "eni-2"); return nil }); err != nil {
				t.Fatal(err)
			}
			s.expectCondition(t, pool(name), v1alpha1.ConditionInSync, "InterfaceGone")
			s.clock.advance(61 * time.Second)
			if agent {
				p = s.expect(t, name, second, second)
				s.expectCondition(t, pool(name), v1alpha1.ConditionInSync, "InterfaceGone")
				s.report(t, "worker1", v1alpha1.NodePool{Name: name, ObservedGeneration: p.Generation, Drained: []string{second}})
			}
			s.expect(t, name, "", "")
		})
	}
}

// TestInstanceGone says nothing about addresses: the pool stays until the node goes.
func TestInstanceGone(t *testing.T) {
	s := newStage(t)
	s.network(t, "ens5", 0)
	s.operate(t)
	before := s.expect(t, worker1Pool, first, "")
	if err := s.cloud.Update(func(w *ec2sim.World) error { w.RemoveInstance("i-0c4e1f5a7b9d20002"); return nil }); err != nil {
		t.Fatal(err)
	}
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "InstanceNotFound")
	s.clock.advance(time.Hour)
	s.refreshes(t, 3)
	if after := s.expect(t, worker1Pool, first, ""); after.Generation != before.Generation {
		t.Errorf("the pool has changed:\n%s", s.describe(t))
	}
}
