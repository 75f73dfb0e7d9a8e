// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/operator/agent"
)

// TestManualPools: what a user has written for bare metal comes into the node file as derived pools do.
func TestManualPools(t *testing.T) {
	manual := []v1alpha1.UnderlayNetwork{network("eth1", 2, func(s *v1alpha1.UnderlayNetworkSpec) { s.Provider = v1alpha1.ProviderManual })}
	written := func(p *v1alpha1.UnderlayPool) {
		p.Spec.Subnet, p.Spec.Gateway, p.Spec.Ranges = "10.20.0.0/24", "10.20.0.254", []v1alpha1.Range{"10.20.0.240-10.20.0.254"}
		p.Spec.Exclude = []v1alpha1.Range{"10.20.0.254"}
	}
	file, problems := agent.NodeFile(inputs(manual, pool("eth1.1.v4.worker1", "eth1", 1, written, condition("Valid", metav1.ConditionTrue)),
		pool("wrong", "eth1", 1, on("02:00:00:00:20:02"), condition("Valid", metav1.ConditionFalse))))
	if len(problems) > 0 || len(file.Pools) != 2 {
		t.Fatalf("problems %v, pools %+v", problems, file.Pools)
	}
	right, wrong := file.Pools[0], file.Pools[1]
	if right.Gateway.String() != "10.20.0.254" || right.Allocation != nodefile.AllocationEnabled || wrong.Allocation != nodefile.AllocationDisabled {
		t.Errorf("pools %+v", file.Pools)
	}
}
