// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// contexts makes one kubeconfig of several control planes, by the names of their contexts; green is the current one.
func contexts(t *testing.T, planes map[string]*controlplane.ControlPlane) {
	t.Helper()
	merged := clientcmdapi.NewConfig()
	merged.CurrentContext = "green"
	for name, plane := range planes {
		path := filepath.Join(t.TempDir(), name)
		if err := plane.WriteKubeconfig(path); err != nil {
			t.Fatal(err)
		}
		one, err := clientcmd.LoadFromFile(path)
		if err != nil {
			t.Fatal(err)
		}
		current := one.Contexts[one.CurrentContext]
		merged.Clusters[name], merged.AuthInfos[name] = one.Clusters[current.Cluster], one.AuthInfos[current.AuthInfo]
		merged.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	merged.Clusters["gone"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	merged.Contexts["gone"] = &clientcmdapi.Context{Cluster: "gone", AuthInfo: "green"}
	path := filepath.Join(t.TempDir(), "merged")
	if err := clientcmd.WriteToFile(*merged, path); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", path)
}

// blue is another cluster of one node, in a VPC of its own.
func blue() v1alpha1.Inventory {
	cidr := netip.MustParsePrefix("192.168.64.0/24")
	return v1alpha1.Inventory{
		VPCs:    []v1alpha1.VPC{{ID: "vpc-blue", CIDRs: []netip.Prefix{cidr}}},
		Subnets: []v1alpha1.Subnet{{ID: "subnet-blue", VPCID: "vpc-blue", Zone: "ap-southeast-1a", CIDR: cidr}},
		Nodes: []v1alpha1.Node{{Name: "blue-1", InstanceID: "i-blue", ProviderID: "aws:///ap-southeast-1a/i-blue", InstanceType: "m5.large",
			InternalIPs: []netip.Addr{netip.MustParseAddr("192.168.64.9")}, Interfaces: []v1alpha1.Interface{{ID: "eni-blue", MACAddress: "02:00:00:00:64:01",
				SubnetID: "subnet-blue", PrimaryIPv4: netip.MustParseAddr("192.168.64.9")}}}},
	}
}

// TestPeers compares two clusters on API servers of their own, whose nodes are in one simulated cloud.
func TestPeers(t *testing.T) {
	s := newStage(t)
	must(t, 0, "init --no-operator --yes")
	there := controlplane.ForTest(t, controlplane.Options{CRDDirs: []string{"../manifests/crds"}, Objects: controlplane.NodesOf(blue())})
	contexts(t, map[string]*controlplane.ControlPlane{"green": plane.ForTest(t), "blue": there})
	inventory, other := readWalkthrough(t), blue()
	inventory.VPCs, inventory.Subnets = append(inventory.VPCs, other.VPCs...), append(inventory.Subnets, other.Subnets...)
	inventory.Nodes = append(inventory.Nodes, other.Nodes...)
	ec2sim.ForTest(t, inventory)

	must(t, 0, "check --fail-on warning --skip pool-not-as-planned")
	found := must(t, 1, "check --fail-on warning --peer-context blue")
	contains(t, found.stdout, "cluster/blue", "peer-without-route", "neither a peering connection nor a transit gateway joins its VPC vpc-blue")

	pool := s.list(t, underlayKind("UnderlayPool"))[0]
	moved := &unstructured.Unstructured{Object: map[string]any{"spec": pool.Object["spec"]}}
	moved.SetGroupVersionKind(pool.GroupVersionKind())
	moved.SetName("ens5.0.v4.blue-1")
	if err := unstructured.SetNestedField(moved.Object, "blue-1", "spec", "nodeName"); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(there.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	found = must(t, 1, "check --peer-context blue --peer-context blue")
	contains(t, found.stdout, "peer-interface-shared", "cluster blue has a pool of it too: ens5.0.v4.blue-1 on node blue-1",
		"peer-addresses-overlap", "have 16 addresses in common")
	if n := strings.Count(found.stdout, "cluster blue has a pool of it too"); n != 1 {
		t.Errorf("the finding comes %d times", n)
	}
	offline := must(t, 1, "check --inventory "+walkthrough+" --peer-context blue")
	contains(t, offline.stdout, "peer-interface-shared")
	if strings.Contains(offline.stdout, "peer-without-route") {
		t.Errorf("without the cloud nothing is known of routes:\n%s", offline.stdout)
	}

	// The other cluster's nodes may be of an account that says nothing.
	t.Setenv("AWS_ENDPOINT_URL", s.cloud.URL())
	found = must(t, 1, "check --peer-context blue")
	contains(t, found.stdout, "peer-interface-shared")
	if strings.Contains(found.stdout, "peer-without-route") {
		t.Errorf("the other VPC is not known:\n%s", found.stdout)
	}
}

// TestPeersThatCannotBeAsked: the reason names the context, and the exit code is 2.
func TestPeersThatCannotBeAsked(t *testing.T) {
	newStage(t)
	contexts(t, map[string]*controlplane.ControlPlane{"green": plane.ForTest(t), "same": plane.ForTest(t)})
	for name, says := range map[string]string{
		"grey": "error: --peer-context grey: the kubeconfig has no such context; it has gone, green, same",
		"gone": "error: --peer-context gone: list nodes: API server https://127.0.0.1:1 cannot be reached: connection refused",
		"same": "error: --peer-context same: that is the same cluster: node master is in both; name the context of another one",
	} {
		r := must(t, 2, "check --peer-context "+name)
		contains(t, r.stderr, says)
		if r.stdout != "" {
			t.Errorf("%s: stdout has %q", name, r.stdout)
		}
	}
	for _, flag := range []string{"check --peer-context", "inspect --context"} {
		contains(t, run(t, "__complete "+flag+" g").stdout, "gone\ngreen\n")
	}
}
