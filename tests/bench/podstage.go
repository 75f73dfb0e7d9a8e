// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/tests/cluster"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

const (
	podMemory  = 2560 // MiB of a node: its pods' file systems are in there
	podLink    = "ens5"
	podHandler = "runc" // containerd's own, whose pods get the default CNI, which is ours
)

// podStage is a cluster whose nodes have both CNIs: two sides, ours first.
type podStage struct {
	cluster *cluster.Cluster
	client  client.WithWatch
	sides   [2]podSide
	folder  string
	root    string
}

func setUpPods(ctx context.Context, progress io.Writer) (s *podStage, err error) {
	s = &podStage{}
	if s.root, err = pinned.Root(); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp("", "underlay-bench-pods-"); err != nil {
		return nil, err
	}
	if err := pinned.Make(ctx, progress, "build", "image"); err != nil {
		return s, err
	}
	inventory, err := document.OpenInventory(filepath.Join(s.root, "docs", "examples", "walkthrough.yaml"))
	if err != nil {
		return s, err
	}
	s.sides[0], s.sides[1], err = share(inventory)
	if err != nil {
		return s, err
	}
	s.cluster, err = cluster.Start(ctx, cluster.Options{Inventory: inventory, MemoryMiB: podMemory, Progress: progress})
	if err != nil {
		return s, err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return s, err
	}
	config := *s.cluster.Config
	config.QPS = -1
	if s.client, err = client.NewWithWatch(&config, client.Options{Scheme: scheme}); err != nil {
		return s, err
	}
	if err := s.installPeer(ctx, inventory); err != nil {
		return s, err
	}
	return s, s.installOurs(ctx)
}

// share gives each node's interface the /25 behind its primary address's /24, as prefixes, and divides it: the lower half is ours, the upper half the
// peer's. EC2 has bound all of it, since the VPC drops what it has not. IPv4 alone: the upstream plugin would wait for DAD.
func share(inventory v1alpha1.Inventory) (ours, peer podSide, err error) {
	ours, peer = podSide{"ours", map[string]netip.Prefix{}}, podSide{cluster.PeerHandler, map[string]netip.Prefix{}}
	for i := range inventory.Nodes {
		node := &inventory.Nodes[i]
		nic := &node.Interfaces[0]
		at := nic.PrimaryIPv4.As4()
		nic.IPv4Prefixes, nic.IPv6Prefixes = nil, nil
		for at[3] = 128; at[3] >= 128; at[3] += 16 { // until it overflows
			nic.IPv4Prefixes = append(nic.IPv4Prefixes, netip.PrefixFrom(netip.AddrFrom4(at), 28))
		}
		half := len(nic.IPv4Prefixes) / 2
		if slices.ContainsFunc(nic.IPv4Prefixes, func(p netip.Prefix) bool { return p.Contains(nic.PrimaryIPv4) }) {
			return ours, peer, fmt.Errorf("node %s has %s where its pods' addresses shall be", node.Name, nic.PrimaryIPv4)
		}
		ours.addresses[node.Name] = netip.PrefixFrom(nic.IPv4Prefixes[0].Addr(), 26)
		peer.addresses[node.Name] = netip.PrefixFrom(nic.IPv4Prefixes[half].Addr(), 26)
	}
	return ours, peer, nil
}

// installPeer gives the nodes the upstream plugins, for pods of a class of their own.
func (s *podStage) installPeer(ctx context.Context, inventory v1alpha1.Inventory) error {
	if err := s.cluster.InstallPlugins(ctx, "ipvlan", "host-local"); err != nil {
		return err
	}
	for i, node := range s.cluster.Nodes() {
		nic := inventory.Nodes[i].Interfaces[0]
		at := slices.IndexFunc(inventory.Subnets, func(n v1alpha1.Subnet) bool { return n.ID == nic.SubnetID })
		config := peerConfig(inventory.Subnets[at].CIDR, s.sides[1].addresses[node.Name])
		if err := node.WriteFile(ctx, cluster.PeerConf+"/10-peer.conflist", []byte(config), 0o644); err != nil {
			return err
		}
	}
	for i, handler := range []string{podHandler, cluster.PeerHandler} {
		class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: s.sides[i].name}, Handler: handler}
		if err := s.client.Create(ctx, class); err != nil {
			return err
		}
	}
	return nil
}

// peerConfig has the interface and gateway that our pods have, and the node's own addresses.
func peerConfig(subnet, own netip.Prefix) string {
	return fmt.Sprintf(`{"cniVersion":"1.0.0","name":"peer","plugins":[{"type":"ipvlan","master":%q,"mode":"l2","ipam":{"type":"host-local",
"ranges":[[{"subnet":%q,"rangeStart":%q,"rangeEnd":%q,"gateway":%q}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}`,
		podLink, subnet, own.Addr(), lastBut(own), subnet.Masked().Addr().Next())
}

// lastBut is the last address of a prefix but one: the last of all may be the subnet's broadcast address.
func lastBut(p netip.Prefix) netip.Addr {
	a := p.Addr()
	for p.Contains(a.Next().Next()) {
		a = a.Next()
	}
	return a
}

// installOurs does what a user does.
func (s *podStage) installOurs(ctx context.Context) error {
	if err := s.cluster.LoadImage(ctx, filepath.Join(s.root, "build", "image", "underlay.tar")); err != nil {
		return err
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "underlay-system"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "underlay-system", Name: "underlay-aws"}, StringData: map[string]string{
			"AWS_ENDPOINT_URL_EC2": s.cluster.EC2URL, "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}},
	} {
		if err := s.client.Create(ctx, object); err != nil {
			return err
		}
	}
	network := v1alpha1.UnderlayNetwork{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "UnderlayNetwork"}, ObjectMeta: metav1.ObjectMeta{Name: podLink}}
	network.Spec.InterfaceSelector.DeviceIndexes = []int32{0}
	network.Spec.Default = true
	network.Spec.IPFamilies = []v1alpha1.IPFamily{v1alpha1.IPv4}
	for _, theirs := range s.sides[1].addresses {
		network.Spec.Exclude = append(network.Spec.Exclude, v1alpha1.Range(theirs.String()))
	}
	raw, err := yaml.Marshal(network)
	if err != nil {
		return err
	}
	file := filepath.Join(s.folder, "network.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.root, "build", "kubectl-underlay"), "init", "--yes", "--network="+file, "--timeout=10m")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.folder, "KUBECONFIG=" + s.cluster.KubeconfigPath(), "AWS_ENDPOINT_URL=" + s.cluster.EC2.URL(),
		"AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_EC2_METADATA_DISABLED=true"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("init: %w\n%s", err, out)
	}
	return nil
}

// keepLogs where people look when it failed.
func (s *podStage) keepLogs(ctx context.Context, failure error) error {
	logs := filepath.Join(s.root, "build", "bench", "pods-logs")
	if err := errors.Join(os.RemoveAll(logs), s.cluster.CollectLogs(context.WithoutCancel(ctx), logs)); err != nil {
		return errors.Join(failure, err)
	}
	return fmt.Errorf("%w; what nodes and pods said is in %s", failure, logs)
}

func (s *podStage) close() error {
	var err error
	if s.cluster != nil {
		err = s.cluster.Close()
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}
