// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// services are the ports of nodes, which clients elsewhere reach with their own addresses, and a pod that reaches itself by its service.
func (s *suite) services(t *testing.T) {
	s.kubectl(t, "apply", "-f", "testdata/services.yaml")
	s.servicesOnce(t)
}

// servicesByIptables is the same with kube-proxy's older mode. It removes its other mode's rules by itself.
func (s *suite) servicesByIptables(t *testing.T) {
	for _, node := range s.nodes() {
		s.onNode(t, node, `kill $(pidof kube-proxy)
while pidof kube-proxy; do sleep 0.2; done
sed 's/nftables/iptables/' /opt/node/kube-proxy.yaml >/tmp/kube-proxy.yaml
setsid kube-proxy --config=/tmp/kube-proxy.yaml </dev/null >/tmp/kube-proxy.log 2>&1 &
for try in $(seq 120); do
  iptables-save -t nat | grep -q KUBE-SVC && ! nft list table ip kube-proxy 2>/dev/null && exit 0
  sleep 0.5
done
cat /tmp/kube-proxy.log
exit 1`)
	}
	s.clusterIP(t)
	s.servicesOnce(t)
	s.kubectl(t, "delete", "--wait", "-f", "testdata/services.yaml")
}

func (s *suite) servicesOnce(t *testing.T) {
	self := s.pods(t, "self", 1)[0]
	for _, node := range s.nodes() {
		own, other := s.web(t, node)
		otherV4, otherV6 := addresses(t, &other)
		for i, address := range s.nodeAddresses(t, node) {
			client := []netip.Addr{otherV4, otherV6}[i]
			s.answers(t, other.Name, address, 30080, "clientip", client.String())
			s.answers(t, own.Name, address, 30080, "hostname", own.Name)
			s.answers(t, other.Name, address, 30081, "hostname", other.Name) // by the node, and back to the pod that asks
			if node == self.Spec.NodeName {
				s.answers(t, other.Name, address, 8088, "clientip", client.String())
			}
		}
	}
	var service corev1.Service
	must(t, s.api.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "self"}, &service))
	for _, ip := range service.Spec.ClusterIPs {
		s.answers(t, self.Name, netip.MustParseAddr(ip), 80, "hostname", self.Name)
	}
}

// nodeAddresses are a node's own, IPv4 first.
func (s *suite) nodeAddresses(t *testing.T, name string) []netip.Addr {
	t.Helper()
	var node corev1.Node
	must(t, s.api.Get(t.Context(), client.ObjectKey{Name: name}, &node))
	var list []netip.Addr
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			list = append(list, netip.MustParseAddr(a.Address))
		}
	}
	if len(list) != 2 || !list[0].Is4() || !list[1].Is6() {
		t.Fatalf("node %s has %v, want an address of each family", name, list)
	}
	return list
}

// answers asks until the answer is the one that is wanted: services answer by any of their pods.
func (s *suite) answers(t *testing.T, pod string, address netip.Addr, port uint16, question, want string) {
	t.Helper()
	url := fmt.Sprintf("http://%s/%s", netip.AddrPortFrom(address, port), question)
	eventually(t, patience, func() error {
		said, err := s.exec(t, pod, "get", "-timeout", "3s", url)
		if err == nil && strings.TrimSpace(said) != want {
			err = fmt.Errorf("%s asks %s and hears %q, want %s", pod, url, said, want)
		}
		return err
	})
}
