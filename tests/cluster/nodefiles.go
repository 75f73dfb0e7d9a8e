// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
)

// writeNodeFiles writes what the node finds in guestFiles.
func (c *Cluster) writeNodeFiles(n *Node, folder string) error {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	files := map[string]string{
		"ca.crt":          string(c.plane.ca.pem),
		"containerd.toml": containerdConfig(c.options.Disks),
		"kubelet.yaml":    kubeletConfig(n.spec),
		"kube-proxy.yaml": proxyConfig(n.Name, c.options.ProxyMode),
		"prepare.sh":      c.prepareScript(n.spec),
	}
	kubelet, err := c.plane.ca.kubeconfig(c.plane.nodeURL(), "system:node:"+n.Name, "system:nodes")
	if err != nil {
		return err
	}
	proxy, err := c.plane.ca.kubeconfig(c.plane.nodeURL(), "system:kube-proxy")
	if err != nil {
		return err
	}
	serving, err := c.plane.ca.issue("kubelet", nil, n.Name, n.spec.InternalIPs[0].String())
	if err != nil {
		return err
	}
	files["kubelet.conf"], files["kube-proxy.conf"] = string(kubelet), string(proxy)
	files["kubelet.crt"], files["kubelet.key"] = string(serving.cert), string(serving.key)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// PeerHandler is containerd's handler, for a RuntimeClass, whose pods get the CNI configuration in PeerConf instead of that in
// /etc/cni/net.d: two CNIs can be compared on one node at the same time.
const (
	PeerHandler = "peer"
	PeerConf    = "/etc/cni/peer.d"
)

// containerdConfig has containerd wait for its disk only where there is one, which it must find whole after a power cut.
func containerdConfig(disk bool) string {
	return `version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "` + PauseImage + `"
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
    SystemdCgroup = false
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.` + PeerHandler + `]
  runtime_type = "io.containerd.runc.v2"
  cni_conf_dir = "` + PeerConf + `"
  cni_max_conf_num = 1
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.` + PeerHandler + `.options]
    SystemdCgroup = false
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.metadata.v1.bolt"]
  no_sync = ` + strconv.FormatBool(!disk) + `
`
}

func kubeletConfig(node v1alpha1.Node) string {
	return `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
providerID: ` + node.ProviderID + `
authentication:
  x509: {clientCAFile: ` + guestFiles + `/ca.crt}
tlsCertFile: ` + guestFiles + `/kubelet.crt
tlsPrivateKeyFile: ` + guestFiles + `/kubelet.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
staticPodPath: /etc/kubernetes/manifests
cgroupDriver: cgroupfs
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
evictionHard: {}
imageGCHighThresholdPercent: 100
`
}

// kubeletArgs are what the kubelet's configuration file cannot say.
func (n *Node) kubeletArgs() []string {
	var addresses []string
	for _, ip := range n.spec.InternalIPs {
		addresses = append(addresses, ip.String())
	}
	return []string{
		"--config=" + guestFiles + "/kubelet.yaml", "--kubeconfig=" + guestFiles + "/kubelet.conf",
		"--hostname-override=" + n.Name, "--node-ip=" + strings.Join(addresses, ","),
	}
}

func proxyConfig(node, mode string) string {
	return `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ` + mode + `
hostnameOverride: ` + node + `
clientConnection: {kubeconfig: ` + guestFiles + `/kube-proxy.conf}
conntrack: {maxPerCore: 0}
`
}

// modules that a node loads at once: those of containers, and those of kube-proxy, which would each take a third of a second
// when it asks for them.
func modules() []string {
	return []string{
		"overlay", "br_netfilter", "nf_conntrack", "veth", "ipvlan", "bridge",
		"nft_ct", "nft_chain_nat", "nft_nat", "nft_masq", "nft_fib_inet", "nft_numgen", "nft_hash", "nft_limit", "nft_reject_inet", "nft_redir", "nft_log",
		"nft_compat", "xt_comment", "xt_conntrack", "xt_mark", "xt_MASQUERADE", "xt_nat", "xt_addrtype", "xt_statistic", "xt_multiport",
	}
}

// prepareScript makes a bare machine a node: folders, programs, kernel and network.
func (c *Cluster) prepareScript(node v1alpha1.Node) string {
	lines := []string{"set -eu"}
	if c.options.Disks {
		lines = append(lines, mountScript()...)
	}
	lines = append(lines,
		"hostname "+node.Name,
		"mkdir -p /etc/cni/net.d /etc/kubernetes/manifests /opt/cni/bin /var/lib/kubelet /var/log/pods /usr/sbin /dev/pts /dev/shm /dev/mqueue",
		"ln -s /run /var/run",
		"ln -s "+guestTools+"/lib /lib/x86_64-linux-gnu",
		"ln -s "+guestTools+"/lib /lib64",
		"mkdir -p /usr/lib",
		"ln -s "+guestTools+"/lib /usr/lib/x86_64-linux-gnu", // where iptables looks for its extensions
		"/bin/busybox --install -s /bin",
		"for program in "+guestTools+"/bin/*; do ln -s $program /usr/bin/; done",
		"for name in containerd containerd-shim-runc-v2 ctr runc; do ln -s "+guestRuntime+"/$name /usr/local/bin/; done",
		"for name in kubelet kube-proxy; do ln -s "+guestKubernetes+"/$name /usr/local/bin/; done",
		"mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts",
		"mount -t tmpfs tmpfs /dev/shm",
		"mount -t mqueue mqueue /dev/mqueue",
		"echo "+machineID(node)+" > /etc/machine-id",
		"echo 'PRETTY_NAME=\"test node\"' > /etc/os-release",
		"touch /etc/resolv.conf",
		"echo '127.0.0.1 localhost "+node.Name+"' > /etc/hosts",
		"echo '::1 localhost' >> /etc/hosts",
		"modprobe -a "+strings.Join(modules(), " "),
		"echo 1 > /proc/sys/net/ipv4/ip_forward",
	)
	for i, nic := range node.Interfaces {
		name := nic.Name
		if name == "" {
			name = fmt.Sprintf("ens%d", 5+i)
		}
		lines = append(lines, fmt.Sprintf("ip link set eth%d name %s", i, name))
		if nic.DeviceIndex == 0 && nic.NetworkCardIndex == 0 {
			lines = append(lines, c.networkScript(nic, name)...)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// networkScript configures the node's first interface as cloud images do.
func (c *Cluster) networkScript(nic v1alpha1.Interface, name string) []string {
	var subnet v1alpha1.Subnet
	for _, s := range c.options.Inventory.Subnets {
		if s.ID == nic.SubnetID {
			subnet = s
		}
	}
	lines := []string{fmt.Sprintf("ip link set %s mtu %d up", name, fabric.MTU)}
	if nic.PrimaryIPv4.IsValid() {
		lines = append(lines,
			fmt.Sprintf("ip addr add %s dev %s", netip.PrefixFrom(nic.PrimaryIPv4, subnet.CIDR.Bits()), name),
			fmt.Sprintf("ip route add default via %s dev %s", subnet.CIDR.Masked().Addr().Next(), name))
	}
	if nic.PrimaryIPv6.IsValid() {
		lines = append(lines,
			fmt.Sprintf("/usr/bin/ip addr add %s dev %s nodad", netip.PrefixFrom(nic.PrimaryIPv6, subnet.IPv6CIDR.Bits()), name),
			fmt.Sprintf("ip -6 route add default via %s dev %s", fabric.GatewayIPv6(), name))
	}
	return lines
}

// machineID is made of the instance's id, in the form of systemd's.
func machineID(node v1alpha1.Node) string {
	id := strings.TrimPrefix(node.InstanceID, "i-")
	return fmt.Sprintf("%032s", id)
}
