// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package fabric_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// TestTwoMachines boots two machines with an ENI each, in two subnets of a VPC on this machine's own kernel.
func TestTwoMachines(t *testing.T) {
	vm.NeedRoot(t)
	kit := vm.ForTest(t)
	f, err := fabric.New(
		fabric.Subnet{Name: "a", IPv4: netip.MustParsePrefix("172.31.16.0/20"), IPv6: netip.MustParsePrefix("2406:da1e:c4:ed01::/64")},
		fabric.Subnet{Name: "b", IPv4: netip.MustParsePrefix("172.31.32.0/24"), IPv6: netip.MustParsePrefix("2406:da1e:c4:ed02::/64")},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	machines := []*machine{
		{name: "master", subnet: "a", mac: net.HardwareAddr{2, 0, 0, 0, 0x10, 1}, gateway: "172.31.16.1",
			addresses: []string{"172.31.28.16/20", "2406:da1e:c4:ed01:c57d::/64"}},
		{name: "worker", subnet: "b", mac: net.HardwareAddr{2, 0, 0, 0, 0x10, 2}, gateway: "172.31.32.1",
			addresses: []string{"172.31.32.176/24", "2406:da1e:c4:ed02:7a2e::/64"}},
	}
	var configs []vm.Config
	for _, m := range machines {
		configs = append(configs, vm.Config{MemoryMiB: 512, NICs: []vm.NIC{m.attach(t, f)}})
	}
	for i, booted := range vm.BootAllForTest(t, kit, configs...) {
		machines[i].VM = booted
	}
	master, worker := machines[0], machines[1]
	master.configure(t)
	worker.configure(t)

	for i, address := range worker.addresses {
		target := netip.MustParsePrefix(address).Addr()
		t.Run("ping "+target.String(), func(t *testing.T) {
			master.Shell(t, "ping -c 1 -W 10 "+target.String())
			// One packet of the VPC's MTU, which ping does not let routers fragment.
			header := []int{20, 40}[i] + 8
			master.Shell(t, fmt.Sprintf("ping -c 1 -W 10 -s %d %s", fabric.MTU-header, target))
		})
	}
	t.Run("unbound address", func(t *testing.T) {
		master.Shell(t, "ip addr add 172.31.28.99/20 dev eth0")
		if out, err := master.TryShell(t, "ping -c 1 -W 1 -I 172.31.28.99 172.31.32.176"); err == nil {
			t.Errorf("a ping from an unbound address is answered:\n%s", out)
		}
		drops, err := f.DropsOf("eni-master")
		if err != nil {
			t.Fatal(err)
		}
		if drops[fabric.WrongSource] == 0 {
			t.Errorf("the fabric dropped %v, want %s among them", drops, fabric.WrongSource)
		}
	})
}

// machine is a node with its addresses on eth0.
type machine struct {
	name, subnet, gateway string
	mac                   net.HardwareAddr
	addresses             []string // with the subnet's length
	*vm.VM
}

func (m *machine) attach(t *testing.T, f *fabric.Fabric) vm.NIC {
	t.Helper()
	eni := fabric.ENI{Name: "eni-" + m.name, Subnet: m.subnet, MAC: m.mac}
	for _, address := range m.addresses {
		addr := netip.MustParsePrefix(address).Addr()
		eni.Bound = append(eni.Bound, netip.PrefixFrom(addr, addr.BitLen()))
	}
	tap, err := f.AttachTap(eni)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	return vm.NIC{Tap: tap, MAC: m.mac, MTU: fabric.MTU}
}

func (m *machine) configure(t *testing.T) {
	t.Helper()
	m.Shell(t, strings.Join([]string{
		"echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad",
		"ip link set eth0 up",
		"ip addr add " + m.addresses[0] + " dev eth0",
		"ip addr add " + m.addresses[1] + " dev eth0",
		"ip route add default via " + m.gateway,
		"ip -6 route add default via " + fabric.GatewayIPv6().String() + " dev eth0",
	}, " && "))
}
