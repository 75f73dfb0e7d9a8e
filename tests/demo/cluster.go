// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"github.com/underlay-dev/kubectl-underlay/tests/cluster"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

// onCluster sets up a two-node cluster of virtual machines without a CNI, on a VPC that drops what AWS drops.
func (s *stage) onCluster(ctx context.Context, progress io.Writer) error {
	if err := pinned.Make(ctx, progress, "build", "image"); err != nil {
		return err
	}
	running, err := cluster.Start(ctx, cluster.Options{Progress: progress})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, running.Close)
	s.binaries = running.Bin
	if err := running.LoadImage(ctx, filepath.Join("build", "image", "underlay.tar")); err != nil {
		return err
	}
	if err := s.setEnvironment(running.KubeconfigPath(), running.EC2.URL()); err != nil {
		return err
	}
	if err := s.giveCredentials(ctx, running.EC2URL); err != nil {
		return err
	}
	s.ready = "two nodes without a CNI, their instances in a simulated EC2, and a VPC between them that drops what AWS drops"
	s.steps = []step{
		{"The nodes are not ready: nothing gives their pods a network.", "kubectl get nodes"},
		{"What do nodes and cloud have?", "kubectl underlay inspect"},
		{"Install, plan, show the difference, apply it, and wait until pods can run.", "kubectl underlay init --yes"},
		{"Now they are ready.", "kubectl get nodes"},
		{"An application: two replicas, one on each node, and a service.", "kubectl apply -f tests/demo/web.yaml"},
		{"It starts.", "kubectl rollout status deployment/web --timeout=3m"},
		{"Its pods have addresses of their own node's prefixes.", "kubectl get pods -o wide"},
		{"The pools know.", "kubectl underlay pools"},
	}
	s.traffic = traffic
	return nil
}

// giveCredentials tells the operator where EC2 is. On AWS the instances' role does that.
func (s *stage) giveCredentials(ctx context.Context, ec2 string) error {
	for _, line := range []string{
		"kubectl create namespace underlay-system",
		"kubectl create secret generic underlay-aws -n underlay-system --from-literal=AWS_ENDPOINT_URL_EC2=" + ec2 +
			" --from-literal=AWS_ACCESS_KEY_ID=demo --from-literal=AWS_SECRET_ACCESS_KEY=demo",
	} {
		var said bytes.Buffer
		if err := s.shell(ctx, &said, line); err != nil {
			return fmt.Errorf("%s: %w\n%s", line, err, &said)
		}
	}
	return nil
}

// traffic goes from one pod to the other, to both hosts, to the service and out.
func traffic(ctx context.Context, s *stage) ([]step, error) {
	var out bytes.Buffer
	if err := s.shell(ctx, &out, "kubectl get pods -l app=web -o json"); err != nil {
		return nil, fmt.Errorf("find the pods: %w\n%s", err, &out)
	}
	var pods corev1.PodList
	if err := json.Unmarshal(out.Bytes(), &pods); err != nil {
		return nil, fmt.Errorf("find the pods: %w", err)
	}
	if len(pods.Items) != 2 || len(pods.Items[1].Status.PodIPs) != 2 {
		return nil, errors.New("there are not two pods with two addresses each")
	}
	from, to := pods.Items[0], pods.Items[1]
	in := "kubectl exec " + from.Name + " -- /testapp "
	return []step{
		{"From one pod to the other, across subnets, by IPv4 …", in + "get http://" + to.Status.PodIPs[0].IP + ":8080/hostname"},
		{"… and by IPv6.", in + "ping " + to.Status.PodIPs[1].IP},
		{"To its own node, by the host leg, and to the other one.", in + "ping " + from.Status.HostIP},
		{"", in + "ping " + to.Status.HostIP},
		{"By the service's address, which kube-proxy translates.", in + "get http://10.96.0.80/hostname"},
		{"To the internet, which sees the NAT gateway.", in + "get http://203.0.113.10/"},
		{"All of it at a glance.", "kubectl underlay status"},
	}, nil
}
