// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// podTimeout is how long a pod may take to run; it takes about four seconds on idle cores.
const podTimeout = 2 * time.Minute

// TestCluster starts one cluster for all its cases, which change it in the order in which they are written.
func TestCluster(t *testing.T) {
	vm.NeedRoot(t)
	c := startForTest(t, Options{Progress: os.Stderr})
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("nodes are as the inventory says, and lack a CNI", func(t *testing.T) { testNodes(t, c, client) })
	pods := map[string]string{"master": "on-master", "worker1": "on-worker1"}
	if !t.Run("a pod runs on each node's own network", func(t *testing.T) {
		for node, name := range pods {
			createPod(t, client, name, node, true)
		}
		for _, name := range pods {
			waitReady(t, client, name)
		}
	}) {
		t.FailNow()
	}
	t.Run("kubectl exec reaches the internet by the NAT gateway", func(t *testing.T) {
		if seen := kubectlExec(t, c, pods["master"], "/testapp", "get", c.OutsideURLs()[0]); seen != "203.0.113.1\n" {
			t.Errorf("the internet sees %q", seen)
		}
	})
	t.Run("kubectl exec reaches the other node", func(t *testing.T) {
		kubectlExec(t, c, pods["master"], "/testapp", "ping", "-size", fmt.Sprint(fabric.MTU), "172.31.32.18")
		if seen := kubectlExec(t, c, pods["master"], "/testapp", "get", "http://172.31.32.18:8080/clientip"); seen != "172.31.18.11\n" {
			t.Errorf("worker1 sees %q", seen)
		}
	})
	t.Run("kube-proxy translates the API server's Service", func(t *testing.T) {
		awaitService(t, c.Node("worker1"), "10.96.0.1")
		kubectlExec(t, c, pods["worker1"], "/testapp", "tcp", "-connect", "10.96.0.1:443")
	})
	t.Run("nodes reach EC2", func(t *testing.T) {
		kubectlExec(t, c, pods["worker1"], "/testapp", "tcp", "-connect", strings.TrimPrefix(c.EC2URL, "http://"))
	})
	t.Run("the VPC follows EC2", func(t *testing.T) { testPrefix(t, c) })
	t.Run("pods run once a CNI is installed", func(t *testing.T) { testPlugin(t, c, client) })
	t.Run("the API server and etcd stop and start", func(t *testing.T) { testRestart(t, c, client) })
	t.Run("logs say what happened", func(t *testing.T) { testLogs(t, c) })
}

// startForTest starts a cluster that ends with the test. If the test fails, the logs are kept.
func startForTest(t *testing.T, options Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			folder := filepath.Join(os.TempDir(), fmt.Sprintf("kubectl-underlay-failed-cluster-%d", os.Getpid()))
			t.Logf("logs are in %s: %v", folder, c.CollectLogs(context.Background(), folder))
		}
		scratch := c.scratch.Path()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.Stat(scratch); err == nil {
			t.Errorf("%s is left", left.Name())
		}
	})
	return c
}

func testNodes(t *testing.T, c *Cluster, client kubernetes.Interface) {
	for _, spec := range c.Inventory().Nodes {
		node, err := client.CoreV1().Nodes().Get(t.Context(), spec.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if node.Spec.ProviderID != spec.ProviderID {
			t.Errorf("node %s has provider id %s, want %s", node.Name, node.Spec.ProviderID, spec.ProviderID)
		}
		for key, value := range spec.Labels {
			if node.Labels[key] != value {
				t.Errorf("node %s has label %s=%s, want %s", node.Name, key, node.Labels[key], value)
			}
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && (condition.Status != corev1.ConditionFalse || !strings.Contains(condition.Message, "cni plugin not initialized")) {
				t.Errorf("node %s is Ready=%s: %s", node.Name, condition.Status, condition.Message)
			}
		}
		out, err := c.Node(spec.Name).Shell(t.Context(), "cat /sys/class/net/ens5/address /sys/class/net/ens5/mtu; ls /opt/cni/bin /etc/cni/net.d; touch /opt/cni/bin/a /etc/cni/net.d/a && rm /opt/cni/bin/a /etc/cni/net.d/a")
		if want := spec.Interfaces[0].MACAddress + "\n9001\n/etc/cni/net.d:\n\n/opt/cni/bin:\n"; err != nil || out != want {
			t.Errorf("node %s: %v, %q, want %q", spec.Name, err, out, want)
		}
	}
}

// createPod runs the test image on the node. Its own network needs no CNI.
func createPod(t *testing.T, client kubernetes.Interface, name, node string, hostNetwork bool) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			HostNetwork:  hostNetwork,
			NodeSelector: map[string]string{"kubernetes.io/hostname": node},
			Tolerations:  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "app", Image: TestAppImage, ImagePullPolicy: corev1.PullNever,
				ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
					Command: []string{"/testapp", "get", "http://127.0.0.1:8080/healthz"},
				}}},
			}},
		},
	}
	if _, err := client.CoreV1().Pods(corev1.NamespaceDefault).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// waitReady waits for the pod, and returns it.
func waitReady(t *testing.T, client kubernetes.Interface, name string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	ctx, cancel := context.WithTimeout(t.Context(), podTimeout)
	defer cancel()
	err := poll(ctx, func() (bool, error) {
		var err error
		pod, err = client.CoreV1().Pods(corev1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Fatalf("wait for pod %s: %v; it is %+v", name, err, pod.Status)
	}
	return pod
}

// awaitService waits for kube-proxy's rules, which come some time after its node is registered.
func awaitService(t *testing.T, node *Node, address string) {
	t.Helper()
	var rules string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		if rules, _ = node.Shell(t.Context(), "/usr/bin/nft list ruleset"); strings.Contains(rules, address) {
			return
		}
	}
	t.Fatalf("kube-proxy has no rule for %s:\n%s", address, rules)
}

func kubectlExec(t *testing.T, c *Cluster, pod string, command ...string) string {
	t.Helper()
	args := append([]string{"--kubeconfig", c.KubeconfigPath(), "exec", pod, "--"}, command...)
	var stdout, stderr bytes.Buffer
	kubectl := exec.CommandContext(t.Context(), filepath.Join(c.Bin, "kubectl"), args...)
	kubectl.Stdout, kubectl.Stderr = &stdout, &stderr
	if err := kubectl.Run(); err != nil {
		t.Errorf("kubectl exec %s -- %s: %v\n%s%s", pod, strings.Join(command, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// testPrefix sends from an address of a prefix before, while and after it is assigned.
func testPrefix(t *testing.T, c *Cluster) {
	prefix := netip.MustParsePrefix("172.31.28.32/28")
	node := c.Node("master")
	if out, err := node.Shell(t.Context(), "ip addr add 172.31.28.32/32 dev lo"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	answered := func(want bool) {
		t.Helper()
		wait := map[bool]string{true: "20", false: "2"}[want]
		out, err := node.Shell(t.Context(), "ping -c 1 -W "+wait+" -I 172.31.28.32 172.31.32.18")
		if (err == nil) != want {
			t.Errorf("a ping from %s is answered: %t, want %t\n%s", prefix, !want, want, out)
		}
	}
	answered(false)
	if err := c.AssignPrefix("master", 0, prefix); err != nil {
		t.Fatal(err)
	}
	answered(true)
	if err := c.UnassignPrefix("master", 0, prefix); err != nil {
		t.Fatal(err)
	}
	answered(false)
	if err := c.AssignPrefix("master", 0, netip.MustParsePrefix("172.31.32.176/28")); err == nil {
		t.Error("a prefix of another subnet, which another node has, can be assigned")
	}
	if err := c.AssignPrefix("master", 1, prefix); err == nil {
		t.Error("a prefix can be assigned to an interface that does not exist")
	}
}

// testPlugin gives pods addresses of their nodes' prefixes by the upstream ipvlan, and lets them talk across subnets.
func testPlugin(t *testing.T, c *Cluster, client kubernetes.Interface) {
	if err := c.InstallPlugins(t.Context(), "ipvlan", "host-local", "loopback"); err != nil {
		t.Fatal(err)
	}
	for _, spec := range c.Inventory().Nodes {
		nic := spec.Interfaces[0]
		subnet := c.Inventory().Subnets[1].CIDR
		if spec.Name == "worker1" {
			subnet = c.Inventory().Subnets[2].CIDR
		}
		prefix := nic.IPv4Prefixes[0]
		conf := fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "test", "type": "ipvlan", "master": "ens5", "ipam": {"type": "host-local",
			"ranges": [[{"subnet": %q, "rangeStart": %q, "rangeEnd": %q, "gateway": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}}`,
			subnet, prefix.Addr().Next(), prefix.Addr().Next().Next(), subnet.Addr().Next())
		if err := c.Node(spec.Name).WriteFile(t.Context(), "/etc/cni/net.d/10-test.conf", []byte(conf), 0o644); err != nil {
			t.Fatal(err)
		}
		createPod(t, client, "pod-on-"+spec.Name, spec.Name, false)
	}
	there := waitReady(t, client, "pod-on-worker1")
	if want := "172.31.32.177"; there.Status.PodIP != want {
		t.Errorf("the pod on worker1 has %s, want %s", there.Status.PodIP, want)
	}
	waitReady(t, client, "pod-on-master")
	if seen := kubectlExec(t, c, "pod-on-master", "/testapp", "get", "http://"+there.Status.PodIP+":8080/clientip"); seen != "172.31.28.17\n" {
		t.Errorf("the pod on worker1 sees %q", seen)
	}
}

func testRestart(t *testing.T, c *Cluster, client kubernetes.Interface) {
	if err := c.StopEtcd(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("the API server answers after its end")
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != len(c.Nodes()) {
		t.Errorf("after the restart: %v, %d nodes", err, len(nodes.Items))
	}
}

func testLogs(t *testing.T, c *Cluster) {
	folder := t.TempDir()
	if err := c.CollectLogs(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"kube-apiserver.log":          "Serving securely",
		"kube-controller-manager.log": "Caches are synced",
		"kube-scheduler.log":          "Serving securely",
		"etcd.log":                    "",
		"master/containerd.log":       "containerd successfully booted",
		"master/kubelet.log":          "Successfully registered node",
		"worker1/kube-proxy.log":      "nftables",
		"worker1/network.txt":         "172.31.32.18/24",
		"worker1/pods.log":            "== /var/log/pods/default_on-worker1",
		"master/kernel.log":           "",
		"objects.txt":                 "on-master",
		"drops.txt":                   "wrong-source",
	} {
		content, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s: %v, does not say %q", file, err, want)
		}
	}
}

// TestOtherNode starts a cluster of one node, with both families, a second interface and the older kind of kube-proxy.
func TestOtherNode(t *testing.T) {
	vm.NeedRoot(t)
	options := Options{ProxyMode: "iptables", Progress: os.Stderr}
	if err := options.complete(); err != nil {
		t.Fatal(err)
	}
	spec := options.Inventory.Nodes[0]
	first, second := spec.Interfaces[0], spec.Interfaces[0]
	first.PrimaryIPv6 = netip.MustParseAddr("2406:da1e:c4:ed01::11")
	spec.InternalIPs = append(spec.InternalIPs, first.PrimaryIPv6)
	second.ID, second.MACAddress, second.DeviceIndex, second.Name = "eni-second", "02:00:00:00:10:02", 1, "ens6"
	second.PrimaryIPv4, second.IPv4Prefixes, second.IPv6Prefixes = netip.MustParseAddr("172.31.18.12"), nil, nil
	spec.Interfaces = []v1alpha1.Interface{first, second}
	options.Inventory.Nodes = []v1alpha1.Node{spec}
	c := startForTest(t, options)
	for name, script := range map[string]string{
		"kube-proxy translates":        "until iptables-save -t nat | grep -q KUBE-SVC; do sleep 1; done; nc -w 10 10.96.0.1 443 < /dev/null",
		"the internet by IPv6":         "ping -c 1 -W 20 2001:db8:ffff::10",
		"the second interface is bare": `/usr/bin/ip -4 addr show dev ens6 | grep -q inet && exit 1; grep -q 02:00:00:00:10:02 /sys/class/net/ens6/address`,
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := c.Node("master").Shell(t.Context(), script); err != nil {
				t.Errorf("%s: %v\n%s%s", script, err, out, tail(filepath.Join(c.Node("master").logs, "kube-proxy.log")))
			}
		})
	}
	t.Run("the node has both addresses", func(t *testing.T) {
		client, err := kubernetes.NewForConfig(c.Config)
		if err != nil {
			t.Fatal(err)
		}
		node, err := client.CoreV1().Nodes().Get(t.Context(), "master", metav1.GetOptions{})
		if err != nil || len(node.Status.Addresses) < 2 || node.Status.Addresses[1].Address != "2406:da1e:c4:ed01::11" {
			t.Errorf("%v, addresses %v", err, node.Status.Addresses)
		}
	})
}

func TestOptions(t *testing.T) {
	vm.NeedRoot(t)
	if _, err := Start(t.Context(), Options{ProxyMode: "ipvs"}); err == nil || !strings.Contains(err.Error(), "choose nftables or iptables") {
		t.Errorf("a mode of kube-proxy that does not exist: %v", err)
	}
}

func TestProgramVersions(t *testing.T) {
	pins, err := os.ReadFile("binaries/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range Programs().Programs {
		if tool := "\t" + program.Package + "\n"; !bytes.Contains(pins, []byte(tool)) {
			t.Errorf("%s: binaries/go.mod has no tool %s", program.Name, program.Package)
		}
		module := program.Package
		for !bytes.Contains(pins, []byte("\t"+module+" ")) {
			if module = filepath.Dir(module); module == "." {
				break
			}
		}
		if pin := "\t" + module + " " + program.Version; !bytes.Contains(pins, []byte(pin)) {
			t.Errorf("%s: binaries/go.mod does not require %s", program.Name, pin)
		}
	}
}
