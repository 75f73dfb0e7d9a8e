// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The ids of the checks of the cluster.
const (
	idKubernetesTooOld   = "kubernetes-too-old"
	idMultusCRDMissing   = "multus-crd-missing"
	idNodeNotInInventory = "node-not-in-inventory"
)

func clusterChecks() []Check {
	return []Check{
		{idKubernetesTooOld, "Kubernetes is 1.32 or newer", plan.Error, inCluster(kubernetesTooOld)},
		{idMultusCRDMissing, "the cluster knows NetworkAttachmentDefinitions", plan.Error, inCluster(multusCRDMissing)},
		{idNodeNotInInventory, "the inventory has every node of the cluster", plan.Warning, inCluster(nodeNotInInventory)},
	}
}

// inCluster makes a check say nothing offline.
func inCluster(run func(Inputs) []plan.Finding) func(Inputs) []plan.Finding {
	return func(in Inputs) []plan.Finding {
		if in.Cluster == nil {
			return nil
		}
		return run(in)
	}
}

// oldestKubernetes (of major version 1) selects by the fields that a CRD names.
const oldestKubernetes = 32

func kubernetesTooOld(in Inputs) []plan.Finding {
	major, minor, ok := kernelVersion(strings.TrimPrefix(in.Cluster.ServerVersion, "v"))
	if !ok || major > 1 || minor >= oldestKubernetes {
		return nil
	}
	return []plan.Finding{{ID: idKubernetesTooOld, Severity: plan.Error, Object: "cluster",
		Message: fmt.Sprintf("the API server is %s; agents watch their own node's pools by field, which needs 1.%d",
			in.Cluster.ServerVersion, oldestKubernetes),
		Remedy: fmt.Sprintf("upgrade the cluster to Kubernetes 1.%d or newer", oldestKubernetes)}}
}

func multusCRDMissing(in Inputs) []plan.Finding {
	if in.Cluster.MultusCRD || len(in.Plan.Attachments) == 0 {
		return nil
	}
	f := plan.Finding{ID: idMultusCRDMissing, Severity: plan.Error, Object: "cluster",
		Message: fmt.Sprintf("the cluster does not know NetworkAttachmentDefinitions, so %s cannot be made, and pods cannot join",
			plan.Count(len(in.Plan.Attachments), "attachment")),
		Remedy: "install Multus (https://github.com/k8snetworkplumbingwg/multus-cni); its manifest brings the CRD"}
	if i := slices.IndexFunc(in.Plan.Networks, func(n v1alpha1.UnderlayNetwork) bool { return n.Spec.Default }); i >= 0 {
		f.Severity = plan.Info
		f.Message = fmt.Sprintf("pods get addresses of the default network %s; without Multus they cannot join others by an attachment",
			in.Plan.Networks[i].Name)
		f.Remedy = "nothing, if one network is enough; otherwise install Multus (https://github.com/k8snetworkplumbingwg/multus-cni), " +
			"and the operator makes the attachments"
	}
	return []plan.Finding{f}
}

func nodeNotInInventory(in Inputs) []plan.Finding {
	known := map[string]bool{}
	for i := range in.Inventory.Nodes {
		known[in.Inventory.Nodes[i].Name] = true
	}
	var out []plan.Finding
	for i := range in.Cluster.Nodes {
		if n := &in.Cluster.Nodes[i]; !known[n.Name] && isLinux(n) {
			out = append(out, plan.Finding{ID: idNodeNotInInventory, Severity: plan.Warning, Object: "node/" + n.Name,
				Message: "the cluster has this node, but the inventory does not: nothing is planned for it",
				Remedy:  "take the inventory again (`kubectl underlay inspect -o yaml`), or leave --inventory out"})
		}
	}
	return out
}
