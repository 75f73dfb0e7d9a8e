// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/yaml"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// isolate hides this machine's AWS configuration from the test, and gives it good credentials.
func isolate(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	empty := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", empty)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", empty)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-nobody-shall-see")
}

// simulate runs EC2 with what the inventory says, and leads the SDK there as a user would: by the environment.
func simulate(t *testing.T, inv v1alpha1.Inventory) *ec2sim.Server {
	t.Helper()
	server, err := ec2sim.New(inv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	isolate(t)
	t.Setenv("AWS_ENDPOINT_URL", server.URL())
	return server
}

// atOnce retries as often as usual, but without waiting.
func atOnce() aws.Options {
	return aws.Options{Load: []func(*config.LoadOptions) error{config.WithRetryer(func() sdk.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 3
			o.Backoff = retry.BackoffDelayerFunc(noDelay)
		})
	})}}
}

// example reads one of the documentation's inventories.
func example(t *testing.T, name string) v1alpha1.Inventory {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../docs/examples", name))
	if err != nil {
		t.Fatal(err)
	}
	var inv v1alpha1.Inventory
	if err := yaml.UnmarshalStrict(text, &inv); err != nil {
		t.Fatal(err)
	}
	return inv
}

// asKubernetes leaves of nodes what Kubernetes knows.
func asKubernetes(nodes []v1alpha1.Node) []v1alpha1.Node {
	var out []v1alpha1.Node
	for _, node := range nodes {
		node.InstanceID, node.InstanceType, node.Interfaces = "", "", nil
		out = append(out, node)
	}
	return out
}

// anonymous takes the providerIDs away.
func anonymous(nodes []v1alpha1.Node) []v1alpha1.Node {
	var out []v1alpha1.Node
	for _, node := range nodes {
		node.ProviderID = ""
		out = append(out, node)
	}
	return out
}

// asAgents reports the links of nodes as their agents do.
func asAgents(nodes []v1alpha1.Node) []v1alpha1.UnderlayNode {
	var out []v1alpha1.UnderlayNode
	for _, node := range nodes {
		seen := v1alpha1.UnderlayNode{}
		seen.Name = node.Name
		for _, nic := range node.Interfaces {
			seen.Status.Links = append(seen.Status.Links, v1alpha1.NodeLink{Name: nic.Name, MACAddress: nic.MACAddress, MTU: nic.MTU})
		}
		out = append(out, seen)
	}
	return out
}

// fleet is a VPC with n nodes over 20 subnets, each with a second interface that carries a prefix.
func fleet(n int) v1alpha1.Inventory {
	inv := v1alpha1.Inventory{VPCs: []v1alpha1.VPC{{ID: "vpc-1", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}}
	for i := range 20 {
		inv.Subnets = append(inv.Subnets, v1alpha1.Subnet{
			ID: fmt.Sprintf("subnet-%02d", i), VPCID: "vpc-1", Zone: "eu-central-1a", CIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)})
	}
	types := []string{"m5.large", "m5.xlarge", "c6i.large"}
	for i := range n {
		subnet, host := i%20, 16+16*(i/20)
		at := func(offset int) netip.Addr {
			return netip.AddrFrom4([4]byte{10, byte(subnet), byte((host + offset) / 256), byte((host + offset) % 256)})
		}
		id := fmt.Sprintf("%05d", i)
		inv.Nodes = append(inv.Nodes, v1alpha1.Node{
			Name: "node-" + id, ProviderID: "aws:///eu-central-1a/i-" + id, InstanceID: "i-" + id, InstanceType: types[i%3],
			InternalIPs: []netip.Addr{at(0)},
			Interfaces: []v1alpha1.Interface{
				{ID: "eni-a" + id, MACAddress: fmt.Sprintf("02:00:00:%02x:%02x:00", i/256, i%256), SubnetID: inv.Subnets[subnet].ID, PrimaryIPv4: at(0)},
				{ID: "eni-b" + id, MACAddress: fmt.Sprintf("02:00:00:%02x:%02x:01", i/256, i%256), SubnetID: inv.Subnets[subnet].ID, PrimaryIPv4: at(1), DeviceIndex: 1},
			},
		})
	}
	return inv
}

// options compare addresses by value, take no list for an empty one, and unknown source checking for the usual. How
// much of a subnet is free is no part of the examples.
func options() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b *bool) bool { return (a == nil || *a) == (b == nil || *b) }),
		cmpopts.EquateEmpty(),
		cmpopts.IgnoreFields(v1alpha1.Subnet{}, "AvailableIPv4"),
	}
}
