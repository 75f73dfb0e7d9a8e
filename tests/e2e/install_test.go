// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package e2e

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
)

// nodesReady says which nodes are ready.
func (s *suite) nodesReady(t *testing.T) (map[string]bool, error) {
	var nodes corev1.NodeList
	if err := s.api.List(t.Context(), &nodes); err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, n := range nodes.Items {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady {
				out[n.Name] = c.Status == corev1.ConditionTrue
			}
		}
	}
	return out, nil
}

func (s *suite) expectNodes(t *testing.T, within time.Duration, readiness bool) {
	t.Helper()
	want := map[string]bool{"master": readiness, "worker1": readiness}
	eventually(t, within, func() error {
		got, err := s.nodesReady(t)
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("ready are %v, want %v", got, want)
		}
		return err
	})
}

func (s *suite) notReady(t *testing.T) {
	s.expectNodes(t, patience, false)
	var nodes corev1.NodeList
	must(t, s.api.List(t.Context(), &nodes))
	for _, n := range nodes.Items {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && !strings.Contains(c.Message, "cni plugin not initialized") {
				t.Errorf("node %s is not ready for another reason: %s", n.Name, c.Message)
			}
		}
	}
}

// initialize gives the operator its credentials, which on AWS the instances' role does, and runs init.
func (s *suite) initialize(t *testing.T) {
	s.kubectl(t, "create", "namespace", "underlay-system")
	s.kubectl(t, "create", "secret", "generic", "underlay-aws", "--namespace=underlay-system",
		"--from-literal=AWS_ENDPOINT_URL_EC2="+s.EC2URL,
		"--from-literal=AWS_ACCESS_KEY_ID=e2e", "--from-literal=AWS_SECRET_ACCESS_KEY=e2e")
	out, err := s.try(t, "", "underlay", "init", "--yes", "--network=testdata/network.yaml", "--timeout=5m")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.expectNodes(t, time.Second, true) // init has waited
}

func (s *suite) initializeAgain(t *testing.T) {
	out := s.kubectl(t, "underlay", "init", "--yes", "--network=testdata/network.yaml")
	if !strings.Contains(out, "No changes") {
		t.Errorf("the second init says\n%s", out)
	}
}

// poolsAsDocumented compares what the operator has made with the walkthrough's pools.
func (s *suite) poolsAsDocumented(t *testing.T) {
	type pool struct{ Subnet, Gateway, Ranges string }
	want := map[string]pool{
		"ens5.0.v4.master":  {"172.31.16.0/20", "172.31.16.1", "172.31.28.16/28"},
		"ens5.0.v6.master":  {"2406:da1e:c4:ed01::/64", "fe80:ec2::1", "2406:da1e:c4:ed01:c57d::/80"},
		"ens5.0.v4.worker1": {"172.31.32.0/24", "172.31.32.1", "172.31.32.176/28"},
		"ens5.0.v6.worker1": {"2406:da1e:c4:ed02::/64", "fe80:ec2::1", "2406:da1e:c4:ed02:7a2e::/80"},
	}
	got := map[string]pool{}
	var pools v1alpha1.UnderlayPoolList
	must(t, s.api.List(t.Context(), &pools))
	for _, p := range pools.Items {
		var ranges []string
		for _, r := range p.Spec.Ranges {
			ranges = append(ranges, string(r))
		}
		got[p.Name] = pool{string(p.Spec.Subnet), string(p.Spec.Gateway), strings.Join(ranges, ", ")}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pools (-document +cluster):\n%s", diff)
	}
	if config := s.kubectl(t, "get", "network-attachment-definitions", "-n", "kube-system", "ipvlan-ens5", "-o", "jsonpath={.spec.config}"); !strings.Contains(config, `"type":"underlay"`) {
		t.Errorf("the attachment's configuration is %s", config)
	}
}

func (s *suite) status(t *testing.T) {
	out := s.kubectl(t, "underlay", "status", "--wait", "--timeout=1m")
	for _, want := range []string{"2 of 2 replicas available", "2 of 2 nodes ready", "ens5"} {
		if !strings.Contains(out, want) {
			t.Errorf("status does not say %q:\n%s", want, out)
		}
	}
}

// check: the agents have looked at real machines.
func (s *suite) check(t *testing.T) {
	out := s.kubectl(t, "underlay", "check")
	for _, node := range s.nodes() {
		var report v1alpha1.UnderlayNode
		must(t, s.api.Get(t.Context(), client.ObjectKey{Name: node}, &report))
		h := report.Status.Host
		if h == nil || h.KubeProxyMode != "nftables" || len(h.MissingModules) > 0 || h.ForeignCNIConfiguration != "" || len(h.Addresses) < 2 {
			t.Errorf("the agent of %s has seen %+v\n%s", node, h, out)
		}
	}
}

// addPrefix assigns a prefix to each node's interface, as a user would in EC2's console. Nobody tells the operator.
func (s *suite) addPrefix(t *testing.T) {
	added := map[string]string{"master": "172.31.28.32/28", "worker1": "172.31.32.192/28"}
	for _, node := range slices.Sorted(maps.Keys(added)) {
		must(t, s.AssignPrefix(node, 0, prefix(t, added[node])))
	}
	for node, want := range added {
		eventually(t, patience, func() error {
			var pool v1alpha1.UnderlayPool
			if err := s.api.Get(t.Context(), client.ObjectKey{Name: "ens5.0.v4." + node}, &pool); err != nil {
				return err
			}
			if !slices.Contains(pool.Spec.Ranges, v1alpha1.Range(want)) || pool.Status.Capacity != 32 {
				return fmt.Errorf("pool %s has %v and a capacity of %d, want %s among 32 addresses", pool.Name, pool.Spec.Ranges, pool.Status.Capacity, want)
			}
			return nil
		})
		s.observed(t, node)
	}
}

// observed waits until the node's agent hands out what the pools say.
func (s *suite) observed(t *testing.T, node string) {
	t.Helper()
	eventually(t, patience, func() error {
		var pools v1alpha1.UnderlayPoolList
		if err := s.api.List(t.Context(), &pools, client.MatchingFields{"spec.nodeName": node}); err != nil {
			return err
		}
		var report v1alpha1.UnderlayNode
		if err := s.api.Get(t.Context(), client.ObjectKey{Name: node}, &report); err != nil {
			return err
		}
		for _, pool := range pools.Items {
			i := slices.IndexFunc(report.Status.Pools, func(p v1alpha1.NodePool) bool { return p.Name == pool.Name })
			if i < 0 || report.Status.Pools[i].ObservedGeneration < pool.Generation {
				return fmt.Errorf("the agent of %s has not seen generation %d of pool %s: %+v", node, pool.Generation, pool.Name, report.Status.Pools)
			}
		}
		return nil
	})
}

func (s *suite) uninstallRefused(t *testing.T) {
	out, err := s.try(t, "", "underlay", "uninstall", "--yes")
	if code(err) != 2 || !strings.Contains(err.Error(), "web-") {
		t.Errorf("uninstall beside running pods gives exit code %d, want 2, and names the pods: %v\n%s", code(err), err, out)
	}
	s.pods(t, "web", 2) // still there, still well
}

func (s *suite) uninstall(t *testing.T) {
	s.kubectl(t, "delete", "--wait", "-f", "testdata/walkthrough.yaml")
	s.released(t)
	out, err := s.try(t, "", "underlay", "uninstall", "--yes", "--timeout=5m")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, question := range [][]string{
		{"get", "crd", "-o", "name"},
		{"get", "network-attachment-definitions", "-A", "-o", "name"},
		{"get", "namespaces", "-o", "name"},
		{"get", "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings", "-o", "name"},
	} {
		left := s.kubectl(t, question...)
		for line := range strings.Lines(left) {
			if strings.Contains(line, "underlay") || strings.Contains(line, "ipvlan-ens5") {
				t.Errorf("uninstall has left %s", line)
			}
		}
	}
	for _, node := range s.nodes() {
		for _, folder := range []string{"/etc/cni/net.d", "/opt/cni/bin", "/var/lib/underlay", "/run/underlay"} {
			if files := s.onNode(t, node, "ls -A "+folder); files != "" {
				t.Errorf("uninstall has left on %s, in %s: %s", node, folder, files)
			}
		}
		for command, trace := range map[string]string{"nft list tables": "underlay", "tc qdisc show": "clsact"} {
			if out := s.onNode(t, node, command); strings.Contains(out, trace) {
				t.Errorf("uninstall has left %q on %s:\n%s", trace, node, out)
			}
		}
		network := s.onNode(t, node, "ip -o link; ip -6 route; ip route; ip rule; ip -6 rule")
		// Of pods: our links' names, and addresses of the nodes' prefixes.
		for _, trace := range []string{datapath.LinkPrefix, "ipvlan", "veth", `172\.31\.28\.`, `172\.31\.32\.(17[6-9]|1[89][0-9]|20[0-7])\b`} {
			if regexp.MustCompile(trace).MatchString(network) {
				t.Errorf("uninstall has left %q on %s:\n%s", trace, node, network)
			}
		}
	}
	s.expectNodes(t, patience, false)
}
