// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package firstpacket

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// node is a machine with one pod.
type node struct {
	*vm.VM
	name    string
	primary netip.Addr
	pod     []netip.Addr // IPv4 first
}

// namespace of the pod, as a runtime would make it.
const namespace = "/run/netns/pod"

// configure gives the machine what a booted node has: its own address, and a default route; and what its agent writes.
func (n *node) configure(t *testing.T, inventory *v1alpha1.Inventory, index int) {
	t.Helper()
	nic := inventory.Nodes[index].Interfaces[0]
	var subnet netip.Prefix
	for _, s := range inventory.Subnets {
		if s.ID == nic.SubnetID {
			subnet = s.CIDR
		}
	}
	n.Shell(t, strings.Join([]string{
		"set -e",
		"ip link set eth0 up",
		fmt.Sprintf("ip addr add %s/%d dev eth0", n.primary, subnet.Bits()),
		fmt.Sprintf("ip route add default via %s", subnet.Addr().Next()),
		"mkdir -p " + filepath.Dir(cni.NodeFile) + " " + filepath.Dir(namespace),
		"cp " + guestShare + "/" + nodeFile + " " + cni.NodeFile,
		"touch " + namespace,
		"unshare --net=" + namespace + " ip link set lo up",
	}, "\n"))
	t.Logf("%s is up, with %s", n.name, n.primary)
}

// call runs the CNI binary as a runtime does.
func (n *node) call(t *testing.T, verb string, attachment plan.Attachment) string {
	t.Helper()
	environment := []string{
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=sandbox-" + n.name, "CNI_NETNS=" + namespace, "CNI_IFNAME=eth0", "CNI_PATH=" + guestShare,
		"CNI_ARGS='IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-" + n.name + "'",
	}
	return n.Shell(t, strings.Join(environment, " ")+" "+guestShare+"/"+pluginFile+" < "+guestShare+"/"+fmt.Sprintf(configFormat, attachment.Name))
}

func (n *node) addPod(t *testing.T, attachment plan.Attachment) {
	t.Helper()
	out := n.call(t, "ADD", attachment)
	result := &types100.Result{}
	if err := json.Unmarshal([]byte(out), result); err != nil {
		t.Fatalf("the result of ADD on %s: %v\n%s", n.name, err, out)
	}
	for _, ip := range result.IPs {
		a, _ := netip.AddrFromSlice(ip.Address.IP)
		n.pod = append(n.pod, a.Unmap())
	}
	if len(n.pod) != 2 || !n.pod[0].Is4() || !n.pod[1].Is6() {
		t.Fatalf("the pod on %s has %v, want an address of each family", n.name, n.pod)
	}
	t.Logf("ADD on %s: its pod has %s and %s", n.name, n.pod[0], n.pod[1])
	if held := n.records(t); len(held) != 1 {
		t.Errorf("%s holds addresses for %d sandboxes, want 1", n.name, len(held))
	}
}

// ping pings from the pod: one packet of usual size and one of the VPC's MTU.
func (n *node) ping(t *testing.T, what string, target netip.Addr) {
	t.Helper()
	header := 20 + 8
	if target.Is6() {
		header = 40 + 8
	}
	for _, size := range []int{56, fabric.MTU - header} {
		script := fmt.Sprintf("nsenter --net=%s ping -c 1 -W 10 -s %d %s", namespace, size, target)
		if out, err := n.TryShell(t, script); err != nil {
			t.Errorf("the pod on %s does not reach %s, %s, with %d bytes: %v\n%s", n.name, what, target, size, err, out)
			return
		}
	}
	t.Logf("the pod on %s reaches %s, %s", n.name, what, target)
}

// deletePod detaches the pod, and expects that nothing of it is left: links, routes, addresses.
func (n *node) deletePod(t *testing.T, attachment plan.Attachment) {
	t.Helper()
	n.call(t, "DEL", attachment)
	if out := n.Shell(t, "nsenter --net="+namespace+" ip -o link"); strings.Count(out, "\n") != 1 || !strings.Contains(out, ": lo:") {
		t.Errorf("after DEL the pod's namespace on %s has\n%s", n.name, out)
	}
	if out := n.Shell(t, "ip -o link; ip route; ip -6 route"); strings.Contains(out, datapath.LinkPrefix) {
		t.Errorf("after DEL %s has\n%s", n.name, out)
	}
	for _, r := range n.records(t) {
		t.Errorf("after DEL %s holds %v for %v", n.name, r.Addresses(), r.Owner)
	}
	if !t.Failed() {
		t.Logf("DEL on %s: nothing is left", n.name)
	}
}

// records reads the node's allocation store, which is brought here, and checks it.
func (n *node) records(t *testing.T) []ipam.Record {
	t.Helper()
	out := n.Shell(t, "cat /proc/sys/kernel/random/boot_id && base64 "+cni.Folder+"/store.db")
	boot, encoded, _ := strings.Cut(out, "\n")
	content, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(encoded, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "store.db"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := ipam.Open(t.Context(), ipam.Options{
		Folder: folder, BootID: boot,
		Found: func() ([]ipam.Found, error) { return nil, fmt.Errorf("the store of %s cannot be read", n.name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	problems, err := store.Check()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("store of %s: %s", n.name, p)
	}
	records, err := store.List()
	if err != nil {
		t.Fatal(err)
	}
	return records
}
