// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

// kubectl runs the kubectl of the API server's version, and gives what it prints.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	cluster := plane.ForTest(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cluster.WriteKubeconfig(path); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--kubeconfig", path, "--cache-dir", t.TempDir()}, args...)
	out, err := exec.CommandContext(t.Context(), filepath.Join(cluster.Bin, "kubectl"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fill stores a network, two pools and a node, each with a status, until the test ends.
func fill(t *testing.T) {
	t.Helper()
	api := newClient(t)
	ready := []m{{"type": "Ready", "status": "True", "reason": "AsPlanned", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}}
	valid := []m{
		{"type": "Valid", "status": "True", "reason": "Valid", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"},
		{"type": "InSync", "status": "False", "reason": "PrefixGone", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"},
	}
	for _, o := range []m{
		merge(network(), m{"status": m{"nodes": 2, "pools": 2, "capacity": 32, "allocated": 3, "available": 27, "conditions": ready}}),
		merge(pool(), m{"status": m{"capacity": 16, "allocated": 2, "available": 13, "cooling": 1, "conditions": valid}}),
		merge(pool(), m{"metadata": m{"name": "ens6.1.v6.worker2"}, "spec": m{
			"nodeName": "worker2", "ipFamily": "IPv6", "subnet": "2406:da1e:c4:ed02::/64", "gateway": "fe80:ec2::1",
			"ranges": []string{"2406:da1e:c4:ed02:7a2e::/80"}, "interface": m{"id": "eni-0b"}, "allocation": "Disabled",
		}}),
		merge(node("worker1"), m{"status": m{
			"kernelVersion": "6.1.0-38-cloud-amd64", "agentVersion": "v1.2.3", "conditions": ready, "links": []m{
				{"name": "ens5", "macAddress": "02:00:00:00:10:00", "mtu": 9001, "up": true, "ipvlan": true},
				{"name": "ens6", "macAddress": "02:00:00:00:10:01", "mtu": 9001, "up": true, "ipvlan": true},
			},
		}}),
	} {
		stored := object(o)
		status, hasStatus := stored.Object["status"]
		if err := api.Create(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { remove(t, api, stored) })
		if !hasStatus {
			continue
		}
		stored.Object["status"] = status
		if err := api.Status().Update(t.Context(), stored, client.FieldOwner("underlay")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestColumns compares what kubectl get prints with golden files.
func TestColumns(t *testing.T) {
	fill(t)
	age := regexp.MustCompile(`\b\d+m?s\b`)
	for _, name := range []string{"unet", "upool", "unode"} {
		for suffix, args := range map[string][]string{"": nil, "-wide": {"-o", "wide"}} {
			t.Run(name+suffix, func(t *testing.T) {
				out := age.ReplaceAllString(kubectl(t, append([]string{"get", name}, args...)...), "1s")
				goldenfile.Compare(t, "testdata/get-"+name+suffix+".golden", out, *update)
			})
		}
	}
}

// TestNames asks for the objects in all the ways that kubectl knows.
func TestNames(t *testing.T) {
	fill(t)
	for _, name := range []string{"unet", "underlaynetwork", "underlaynetworks", "underlaynetworks.underlay.dev", "underlaynetwork.v1alpha1.underlay.dev"} {
		if out := kubectl(t, "get", name, "-o", "name"); out != "underlaynetwork.underlay.dev/ens6\n" {
			t.Errorf("kubectl get %s: %s", name, out)
		}
	}
	got := strings.Fields(kubectl(t, "get", "underlay", "-o", "name"))
	want := []string{
		"underlaynetwork.underlay.dev/ens6", "underlaynode.underlay.dev/worker1",
		"underlaypool.underlay.dev/ens6.1.v4.worker1", "underlaypool.underlay.dev/ens6.1.v6.worker2",
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("category underlay has %s, want %s", got, want)
	}
}

// TestFieldSelectors: each agent watches only its own node's pools, and a network's pools can be listed.
func TestFieldSelectors(t *testing.T) {
	fill(t)
	for selector, want := range map[string]string{
		"spec.nodeName=worker1":                       "underlaypool.underlay.dev/ens6.1.v4.worker1\n",
		"spec.nodeName=worker3":                       "",
		"spec.nodeName!=worker1":                      "underlaypool.underlay.dev/ens6.1.v6.worker2\n",
		"spec.networkName=ens6,spec.nodeName=worker2": "underlaypool.underlay.dev/ens6.1.v6.worker2\n",
		"spec.networkName=other":                      "",
		"metadata.name=ens6.1.v4.worker1":             "underlaypool.underlay.dev/ens6.1.v4.worker1\n",
	} {
		if got := kubectl(t, "get", "upool", "-o", "name", "--field-selector", selector); got != want {
			t.Errorf("%s selects %q, want %q", selector, got, want)
		}
	}
}

// TestExplain: kubectl explain has a sentence for every field of a spec.
func TestExplain(t *testing.T) {
	for _, field := range []string{"unet.spec.interfaceSelector", "upool.spec.ranges", "unode.status.links"} {
		if out := kubectl(t, "explain", field); !strings.Contains(out, "DESCRIPTION:") || strings.Contains(out, "<empty>") {
			t.Errorf("kubectl explain %s:\n%s", field, out)
		}
	}
}
