// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/tests/cluster"
)

func (s *suite) nodes() []string { return []string{"master", "worker1"} }

// hosts are the nodes' own addresses.
func hosts() map[string]string {
	return map[string]string{"master": "172.31.18.11", "worker1": "172.31.32.18"}
}

func prefix(t *testing.T, text string) netip.Prefix {
	t.Helper()
	p, err := netip.ParsePrefix(text)
	must(t, err)
	return p
}

// onNode runs a script on a node, as root.
func (s *suite) onNode(t *testing.T, node, script string) string {
	t.Helper()
	out, err := s.tryOnNode(t, node, script)
	must(t, err)
	return out
}

func (s *suite) tryOnNode(t *testing.T, node, script string) (string, error) {
	return s.Node(node).Shell(t.Context(), script)
}

// web gives the deployment's pods, that of the node and the other one.
func (s *suite) web(t *testing.T, node string) (own, other corev1.Pod) {
	t.Helper()
	for _, pod := range s.pods(t, "web", 2) {
		if pod.Spec.NodeName == node {
			own = pod
		} else {
			other = pod
		}
	}
	if own.Name == "" || other.Name == "" {
		t.Fatalf("there is no pod on %s, or no other one", node)
	}
	return own, other
}

func (s *suite) deploy(t *testing.T) {
	s.kubectl(t, "apply", "-f", "testdata/walkthrough.yaml")
	ranges := map[string][2]string{
		"master":  {"172.31.28.16/28", "2406:da1e:c4:ed01:c57d::/80"},
		"worker1": {"172.31.32.176/28", "2406:da1e:c4:ed02:7a2e::/80"},
	}
	for _, node := range s.nodes() {
		pod, _ := s.web(t, node)
		v4, v6 := addresses(t, &pod)
		if !prefix(t, ranges[node][0]).Contains(v4) || !prefix(t, ranges[node][1]).Contains(v6) {
			t.Errorf("pod %s on %s has %s and %s, want addresses of %v", pod.Name, node, v4, v6, ranges[node])
		}
	}
}

func (s *suite) podToOwnHost(t *testing.T) {
	for _, node := range s.nodes() {
		pod, _ := s.web(t, node)
		s.reach(t, pod.Name, "ping", hosts()[node])
	}
}

func (s *suite) podToOtherHost(t *testing.T) {
	for _, node := range s.nodes() {
		_, other := s.web(t, node)
		s.reach(t, other.Name, "ping", hosts()[node])
	}
}

func (s *suite) hostToPod(t *testing.T) {
	for _, node := range s.nodes() {
		own, other := s.web(t, node)
		for _, pod := range []corev1.Pod{own, other} {
			v4, _ := addresses(t, &pod)
			s.onNode(t, node, "ping -c 3 -W 5 "+v4.String())
		}
	}
}

func (s *suite) podToPod(t *testing.T) {
	for _, node := range s.nodes() {
		from, to := s.web(t, node)
		v4, v6 := addresses(t, &to)
		for _, address := range []netip.Addr{v4, v6} {
			s.reach(t, from.Name, "ping", address.String())
			if said := s.reach(t, from.Name, "get", "http://"+netip.AddrPortFrom(address, 8080).String()+"/hostname"); strings.TrimSpace(said) != to.Name {
				t.Errorf("%s says that it is %q, want %s", address, said, to.Name)
			}
		}
	}
}

// clusterIP asks the service by both of its addresses until each replica has answered, from each replica: by the own node, and by the other.
func (s *suite) clusterIP(t *testing.T) {
	var service corev1.Service
	must(t, s.api.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "web"}, &service))
	if len(service.Spec.ClusterIPs) != 2 {
		t.Fatalf("the service has %v, want an address of each family", service.Spec.ClusterIPs)
	}
	for _, node := range s.nodes() {
		from, other := s.web(t, node)
		for _, ip := range service.Spec.ClusterIPs {
			waiting := map[string]bool{from.Name: true, other.Name: true}
			eventually(t, patience, func() error {
				said, err := s.exec(t, from.Name, "get", "http://"+netip.AddrPortFrom(netip.MustParseAddr(ip), 80).String()+"/hostname")
				if err != nil {
					return err
				}
				delete(waiting, strings.TrimSpace(said))
				if len(waiting) > 0 {
					return fmt.Errorf("%s has not answered %s by %s yet: %v", ip, from.Name, node, waiting)
				}
				return nil
			})
		}
	}
}

// egress asks hosts in the internet whom they see: the NAT gateway for IPv4, the pod itself for IPv6.
func (s *suite) egress(t *testing.T) {
	urls := s.OutsideURLs()
	for _, node := range s.nodes() {
		pod, _ := s.web(t, node)
		_, v6 := addresses(t, &pod)
		for i, want := range []netip.Addr{netip.MustParseAddr("203.0.113.1"), v6} {
			if got := strings.TrimSpace(s.reach(t, pod.Name, "get", urls[i])); got != want.String() {
				t.Errorf("%s sees %s, which is on %s, as %s, want %s", urls[i], pod.Name, node, got, want)
			}
		}
	}
}

func (s *suite) probes(t *testing.T) {
	s.kubectl(t, "apply", "-f", "testdata/probes.yaml")
	defer s.kubectl(t, "delete", "--wait", "-f", "testdata/probes.yaml")
	s.pods(t, "probes", 3)
	eventually(t, patience, func() error {
		events, err := s.try(t, "", "get", "events", "--field-selector", "involvedObject.name=probe-refused,reason=Unhealthy", "-o", "jsonpath={.items[*].message}")
		if err == nil && !strings.Contains(events, "refused") {
			err = fmt.Errorf("the probe of a closed port says %q", events)
		}
		return err
	})
	var pod corev1.Pod
	must(t, s.api.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "probe-refused"}, &pod))
	if ready(&pod) {
		t.Error("the pod whose probe is refused is ready")
	}
}

// crowd runs more pods than one prefix holds, and expects that none shares an address and that all come back. They come and go in waves of four a node:
// nodes are emulated, and when twenty pods start or stop at once, kubelet and runtime give up what takes longer than they wait, and begin it anew.
func (s *suite) crowd(t *testing.T) {
	const all, wave = 40, 8
	scale := func(n int) []corev1.Pod {
		s.kubectl(t, "scale", "deployment/crowd", fmt.Sprintf("--replicas=%d", n))
		return s.pods(t, "crowd", n)
	}
	s.kubectl(t, "apply", "-f", "testdata/crowd.yaml")
	var running []corev1.Pod
	for n := wave; n <= all; n += wave {
		running = scale(n)
	}
	holders := map[netip.Addr]string{}
	for _, pod := range running {
		v4, v6 := addresses(t, &pod)
		for _, a := range []netip.Addr{v4, v6} {
			if other, taken := holders[a]; taken {
				t.Errorf("%s is held by %s and %s", a, other, pod.Name)
			}
			holders[a] = pod.Name
		}
	}
	for n := all - wave; n >= 0; n -= wave {
		scale(n)
	}
	s.kubectl(t, "delete", "--wait", "-f", "testdata/crowd.yaml")
	s.allocated(t, 1)
}

// allocated waits until each pool says that so many addresses are held.
func (s *suite) allocated(t *testing.T, want int) {
	t.Helper()
	eventually(t, patience, func() error {
		out, err := s.try(t, "", "get", "underlaypools", "-o", "jsonpath={range .items[*]}{.metadata.name}={.status.allocated} {end}")
		if err != nil {
			return err
		}
		for pool := range strings.FieldsSeq(out) {
			if _, got, _ := strings.Cut(pool, "="); got != fmt.Sprint(want) && (got != "" || want != 0) {
				return fmt.Errorf("allocated are %s, want %d each", out, want)
			}
		}
		return nil
	})
}

func (s *suite) released(t *testing.T) {
	t.Helper()
	s.allocated(t, 0)
}

// alone stops everything but the nodes: one static pod is taken away, another one put there.
func (s *suite) alone(t *testing.T) {
	const node = "worker1"
	s.staticPod(t, node, "before")
	before := s.staticAddress(t, node, "before")

	s.kubectl(t, "scale", "deployment/underlay-operator", "-n", "underlay-system", "--replicas=0")
	s.kubectl(t, "patch", "daemonset/underlay-agent", "-n", "underlay-system", "--type=merge", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"nobody":"here"}}}}}`)
	s.kubectl(t, "wait", "--for=delete", "pod", "-n", "underlay-system", "--all", "--timeout=3m")
	must(t, s.StopAPIServer())

	s.onNode(t, node, "rm /etc/kubernetes/manifests/before.yaml")
	eventually(t, patience, func() error {
		if _, err := s.tryOnNode(t, node, "ping -c 1 -W 1 "+before.String()); err == nil {
			return fmt.Errorf("%s still answers", before)
		}
		return nil
	})
	s.staticPod(t, node, "after")
	after := s.staticAddress(t, node, "after")
	s.onNode(t, "master", "ping -c 3 -W 5 "+after.String())

	must(t, s.StartAPIServer(t.Context()))
	s.onNode(t, node, "rm /etc/kubernetes/manifests/after.yaml")
	eventually(t, patience, func() error {
		_, err := s.try(t, "", "patch", "daemonset/underlay-agent", "-n", "underlay-system", "--type=json", "-p", `[{"op":"remove","path":"/spec/template/spec/nodeSelector/nobody"}]`)
		return err
	})
	s.kubectl(t, "scale", "deployment/underlay-operator", "-n", "underlay-system", "--replicas=2")
	s.kubectl(t, "rollout", "status", "daemonset/underlay-agent", "-n", "underlay-system", "--timeout=3m")
	s.kubectl(t, "rollout", "status", "deployment/underlay-operator", "-n", "underlay-system", "--timeout=3m")
	s.allocated(t, 1)
}

// staticPod gives the kubelet a pod without the API server. It says in its log which addresses it has.
func (s *suite) staticPod(t *testing.T, node, name string) {
	t.Helper()
	s.onNode(t, node, fmt.Sprintf(`cat >/etc/kubernetes/manifests/%s.yaml <<END
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: default}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: addresses, image: "%[2]s", imagePullPolicy: Never, args: [addresses]}
  containers:
  - {name: app, image: "%[2]s", imagePullPolicy: Never}
END`, name, cluster.TestAppImage))
}

// staticAddress waits for what the pod says of its address in the worker's prefixes.
func (s *suite) staticAddress(t *testing.T, node, name string) netip.Addr {
	t.Helper()
	find := regexp.MustCompile(`172\.31\.32\.[0-9]+`)
	var address netip.Addr
	eventually(t, patience, func() error {
		out, err := s.tryOnNode(t, node, "cat /var/log/pods/default_"+name+"-"+node+"_*/addresses/*.log")
		if err != nil {
			return err
		}
		address, err = netip.ParseAddr(find.FindString(out))
		return err
	})
	return address
}
