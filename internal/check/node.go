// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The ids of the checks of nodes.
const (
	idInstanceNotFound  = "instance-not-found"
	idKernelTooOld      = "kernel-too-old"
	idKernelUnknown     = "kernel-unknown"
	idPrefixNeedsNitro  = "prefix-needs-nitro"
	idProviderIDMissing = "provider-id-missing"
)

func nodeChecks() []Check {
	return []Check{
		{idInstanceNotFound, "each node has its EC2 instance", plan.Error, eachNode(instanceNotFound)},
		{idKernelTooOld, "kernels have ipvlan: 4.2 or newer", plan.Error, eachNode(kernelTooOld)},
		{idKernelUnknown, "the nodes' kernels are known", plan.Info, eachNode(kernelUnknown)},
		{idPrefixNeedsNitro, "nodes with prefixes are Nitro instances", plan.Error, prefixNeedsNitro},
		{idProviderIDMissing, "nodes have a providerID", plan.Warning, eachNode(providerIDMissing)},
	}
}

// eachNode makes a check of the inventory out of a check of a node.
func eachNode(run func(provider v1alpha1.Provider, n *v1alpha1.Node) *plan.Finding) func(Inputs) []plan.Finding {
	return func(in Inputs) []plan.Finding {
		var out []plan.Finding
		for i := range in.Inventory.Nodes {
			if f := run(in.Inventory.Provider, &in.Inventory.Nodes[i]); f != nil {
				f.Object = "node/" + in.Inventory.Nodes[i].Name
				out = append(out, *f)
			}
		}
		return out
	}
}

// ipvlan came with Linux 3.19 and is sound for pods from 4.2 on.
const oldestMajor, oldestMinor = 4, 2

func kernelTooOld(_ v1alpha1.Provider, n *v1alpha1.Node) *plan.Finding {
	major, minor, ok := kernelVersion(n.Kernel)
	if !isLinux(n) || !ok || major > oldestMajor || major == oldestMajor && minor >= oldestMinor {
		return nil
	}
	return &plan.Finding{ID: idKernelTooOld, Severity: plan.Error,
		Message: fmt.Sprintf("kernel %s is older than %d.%d, from which on ipvlan can carry pods", n.Kernel, oldestMajor, oldestMinor),
		Remedy:  "upgrade the node's kernel and reboot, or keep the network off this node with spec.nodeSelector"}
}

func kernelUnknown(_ v1alpha1.Provider, n *v1alpha1.Node) *plan.Finding {
	if _, _, ok := kernelVersion(n.Kernel); ok || !isLinux(n) {
		return nil
	}
	message := "the node's kernel version is unknown, so it was not checked"
	if n.Kernel != "" {
		message = fmt.Sprintf("the node's kernel version %q cannot be read, so it was not checked", n.Kernel)
	}
	return &plan.Finding{ID: idKernelUnknown, Severity: plan.Info, Message: message,
		Remedy: "look at `uname -r` on the node (4.2 or newer is needed), and put it as `kernel:` into the inventory"}
}

// kernelVersion reads the first two numbers of what uname prints, such as 5.10.0-28-amd64.
func kernelVersion(s string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(s, ".")
	digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		rest = rest[:digits]
	}
	major, err := strconv.Atoi(first)
	if err != nil {
		return 0, 0, false
	}
	minor, err = strconv.Atoi(rest)
	return major, minor, err == nil
}

// isLinux is the label's word; a node without the label is a Linux node.
func isLinux(n *v1alpha1.Node) bool {
	os, labelled := n.Labels["kubernetes.io/os"]
	return !labelled || os == "linux"
}

func providerIDMissing(provider v1alpha1.Provider, n *v1alpha1.Node) *plan.Finding {
	if _, ok := cloud.ParseProviderID(n.ProviderID); ok || provider != v1alpha1.ProviderAWS {
		return nil
	}
	message := "the node has no providerID, so its instance is found by address alone, and AWS load balancers cannot find it"
	if n.ProviderID != "" {
		message = fmt.Sprintf("the node's providerID %s is not of AWS, so its instance is found by address alone", n.ProviderID)
	}
	wanted := "aws:///<zone>/<instance id>"
	if n.InstanceID != "" {
		wanted = "aws:///<zone>/" + n.InstanceID
	}
	return &plan.Finding{ID: idProviderIDMissing, Severity: plan.Warning, Message: message,
		Remedy: "start the kubelet with --provider-id=" + wanted + ", or run the AWS cloud controller manager; a providerID, once set, cannot be changed"}
}

// instanceNotFound asks for nothing where interfaces are known: a file by hand needs no instance ids.
func instanceNotFound(provider v1alpha1.Provider, n *v1alpha1.Node) *plan.Finding {
	if provider != v1alpha1.ProviderAWS || n.InstanceID != "" || len(n.Interfaces) > 0 {
		return nil
	}
	by := "neither providerID nor internal address is known"
	switch id, _ := cloud.ParseProviderID(n.ProviderID); {
	case id.InstanceID != "":
		by = fmt.Sprintf("EC2 has no running %s, which its providerID names", id.InstanceID)
	case n.ProviderID != "":
		by = fmt.Sprintf("its providerID %s names no EC2 instance", n.ProviderID)
	case len(n.InternalIPs) > 0:
		by = fmt.Sprintf("no single interface in EC2 has its address %s", n.InternalIPs[0])
	}
	return &plan.Finding{ID: idInstanceNotFound, Severity: plan.Error,
		Message: "no instance was found for the node, so it gets no pool: " + by,
		Remedy:  "check region and account of the credentials, and the node's providerID; a node outside EC2 belongs outside the network's nodeSelector"}
}
