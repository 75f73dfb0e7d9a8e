// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// TestWalkthrough is the main job: from a network to the walkthrough's four pools and its attachment.
func TestWalkthrough(t *testing.T) {
	s := newStage(t)
	s.operate(t)
	network := s.network(t, "ens5", 0)
	for name, ranges := range map[string]string{
		"ens5.0.v4.master":  "172.31.28.16/28",
		"ens5.0.v4.worker1": "172.31.32.176/28",
		"ens5.0.v6.master":  "2406:da1e:c4:ed01:c57d::/80",
		"ens5.0.v6.worker1": "2406:da1e:c4:ed02:7a2e::/80",
	} {
		s.expect(t, name, ranges, "")
		s.expectCondition(t, pool(name), v1alpha1.ConditionInSync, "AsPlanned")
		s.expectCondition(t, pool(name), v1alpha1.ConditionValid, "Usable")
	}
	ready := s.expectCondition(t, network, v1alpha1.ConditionReady, "PoolsReady")
	if ready.Status != metav1.ConditionTrue || ready.Message != "4 pools on 2 nodes" {
		t.Errorf("ready: %+v", ready)
	}
	if network.Status.Pools != 4 || network.Status.Nodes != 2 || fmt.Sprint(network.Status.ServiceCIDRs) != "[10.96.0.0/16 fd00:96::/108]" {
		t.Errorf("status: %+v", network.Status)
	}
	eventually(t, func() error {
		if s.attachment(t, "kube-system", "ipvlan-ens5") == nil {
			return fmt.Errorf("no attachment")
		}
		return nil
	})
}
