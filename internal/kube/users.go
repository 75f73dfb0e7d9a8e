// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// networkStatus is the annotation in which Multus writes all addresses of a pod.
const networkStatus = "k8s.v1.cni.cncf.io/network-status"

// Users names the pods, as namespace/name, that hold an address of the pools, by node. Which pod holds an address is
// known from pod status and Multus' network-status alone.
func (c *Cluster) Users(ctx context.Context, pools []v1alpha1.UnderlayPool) (map[string][]string, error) {
	ranges := map[string][]iprange.Range{} // by node
	for i := range pools {
		for _, text := range pools[i].Spec.Ranges {
			if r, err := iprange.Parse(string(text)); err == nil {
				ranges[pools[i].Spec.NodeName] = append(ranges[pools[i].Spec.NodeName], r)
			}
		}
	}
	if len(ranges) == 0 {
		return nil, nil
	}
	var pods corev1.PodList
	if err := c.client.List(ctx, &pods); err != nil {
		return nil, fmt.Errorf("list pods: %w", explain(c.host, err))
	}
	out := map[string][]string{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue // its sandbox is gone
		}
		held := slices.ContainsFunc(addresses(pod), func(a netip.Addr) bool {
			return slices.ContainsFunc(ranges[pod.Spec.NodeName], func(r iprange.Range) bool { return r.Contains(a) })
		})
		if held {
			out[pod.Spec.NodeName] = append(out[pod.Spec.NodeName], pod.Namespace+"/"+pod.Name)
		}
	}
	return out, nil
}

// addresses of a pod, as kubelet and Multus tell them.
func addresses(pod *corev1.Pod) []netip.Addr {
	var texts []string
	for _, ip := range pod.Status.PodIPs {
		texts = append(texts, ip.IP)
	}
	var attached []struct {
		IPs []string `json:"ips"`
	}
	// A pod's annotation may hold anything.
	if json.Unmarshal([]byte(pod.Annotations[networkStatus]), &attached) == nil {
		for _, a := range attached {
			texts = append(texts, a.IPs...)
		}
	}
	var out []netip.Addr
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, a)
		}
	}
	return out
}
