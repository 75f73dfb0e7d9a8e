// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

const (
	agentNode    = "bench"
	agentPools   = 16
	agentRecords = 100
	agentRuns    = 5
	agentWait    = 2 * time.Minute
)

// measureAgent runs the agent's program at a real API server, with folders of its own for what is compiled in, and looks how much memory it has had
// when it has reported all pools and records.
func measureAgent(ctx context.Context, progress io.Writer) (_ []row, err error) {
	root, err := pinned.Root()
	if err != nil {
		return nil, err
	}
	program, err := buildProgram(ctx, "underlay-agent")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(filepath.Dir(program))
	plane, err := controlplane.Start(ctx, controlplane.Options{CRDDirs: []string{filepath.Join(root, "manifests", "crds")}, Objects: agentObjects(), Progress: progress})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	s := &agentStage{folder: filepath.Dir(program), kubeconfig: filepath.Join(filepath.Dir(program), "kubeconfig")}
	if s.client, err = client.New(plane.Config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if err := errors.Join(plane.WriteKubeconfig(s.kubeconfig), s.prepare(ctx)); err != nil {
		return nil, err
	}
	var memory []float64
	for range agentRuns {
		mib, err := s.once(ctx)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(progress, "  %.1f MiB at most, with %d pools and %d records\n", mib, agentPools, agentRecords)
		memory = append(memory, mib)
	}
	return []row{newRow("agent-memory", "MiB", memory)}, nil
}

func agentObjects() []client.Object {
	return []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "underlay-system"}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: agentNode}, Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "172.31.32.18"}},
		}},
	}
}

// agentStage is an agent's node.
type agentStage struct {
	client             client.Client
	folder, kubeconfig string
}

// prepare makes the pools: one of each family for each network, each network on an interface of its own.
func (s *agentStage) prepare(ctx context.Context) error {
	for i := range int32(agentPools / 2) {
		n := &v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("net%d", i)}}
		n.Spec.InterfaceSelector.DeviceIndexes = []int32{i}
		if err := s.client.Create(ctx, n); err != nil {
			return err
		}
		for _, family := range []v1alpha1.IPFamily{v1alpha1.IPv4, v1alpha1.IPv6} {
			p := &v1alpha1.UnderlayPool{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%d.v4.%s", n.Name, i, agentNode)}, Spec: v1alpha1.UnderlayPoolSpec{
				NetworkName: n.Name, NodeName: agentNode, IPFamily: family, Subnet: "172.31.32.0/20", Gateway: "172.31.32.1",
				Interface: v1alpha1.PoolInterface{ID: fmt.Sprintf("eni-%d", i), MACAddress: fmt.Sprintf("02:00:00:00:20:%02x", i), DeviceIndex: i},
				Ranges:    []v1alpha1.Range{v1alpha1.Range(fmt.Sprintf("172.31.40.%d/28", 16*i))},
			}}
			if family == v1alpha1.IPv6 {
				p.Name = fmt.Sprintf("%s.%d.v6.%s", n.Name, i, agentNode)
				p.Spec.Subnet, p.Spec.Gateway = "fd00::/64", "fe80:ec2::1"
				p.Spec.Ranges = []v1alpha1.Range{v1alpha1.Range(fmt.Sprintf("fd00:0:0:0:%x::/80", 1+i))}
			}
			if err := s.client.Create(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// once runs an agent until it has reported all that it should, and gives the most memory that it has had, in MiB.
func (s *agentStage) once(ctx context.Context) (mib float64, err error) {
	if err := client.IgnoreNotFound(s.client.Delete(ctx, &v1alpha1.UnderlayNode{ObjectMeta: metav1.ObjectMeta{Name: agentNode}})); err != nil { // an earlier run's report
		return 0, err
	}
	for _, name := range []string{"plugins", "bin", "conf", "sysctl"} {
		if err := os.MkdirAll(filepath.Join(s.folder, name), 0o755); err != nil {
			return 0, err
		}
	}
	for _, name := range []string{"underlay", "portmap", "loopback"} { // they are only copied
		if err := os.WriteFile(filepath.Join(s.folder, "plugins", name), []byte(name), 0o755); err != nil {
			return 0, err
		}
	}
	// The node file and the store have compiled-in paths: the process has folders of its own there.
	const script = `mount --make-rprivate / && mount -t tmpfs tmpfs /var/lib && mount -t tmpfs tmpfs /run && exec "$@"`
	cmd := exec.CommandContext(ctx, "sh", "-c", script, "sh", filepath.Join(s.folder, "underlay-agent"), "--node-name="+agentNode, "--kubeconfig="+s.kubeconfig,
		"--health-address=0", "--plugins-dir="+filepath.Join(s.folder, "plugins"), "--cni-bin-dir="+filepath.Join(s.folder, "bin"),
		"--cni-conf-dir="+filepath.Join(s.folder, "conf"), "--sysctl-dir="+filepath.Join(s.folder, "sysctl"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(filepath.Join(s.folder, "agent.log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		err = errors.Join(err, cmd.Wait())
	}()
	if err := s.until(ctx, func() (bool, error) { return s.attach(cmd.Process.Pid) }); err != nil {
		return 0, err
	}
	err = s.until(ctx, func() (bool, error) { return s.reported(ctx) })
	if err != nil {
		return 0, err
	}
	return peakMemory(cmd.Process.Pid)
}

// attach allocates for as many pods as there shall be records, once the agent has written the node file.
func (s *agentStage) attach(pid int) (bool, error) {
	root := fmt.Sprintf("/proc/%d/root", pid)
	file, err := nodefile.Read(root + cni.NodeFile)
	if err != nil || len(file.Pools) < agentPools {
		return false, nil //nolint:nilerr // not yet
	}
	store, err := ipam.Open(context.Background(), ipam.Options{Folder: root + cni.Folder, Found: func() ([]ipam.Found, error) { return nil, nil }})
	if err != nil {
		return false, err
	}
	for i := range agentRecords {
		_, err = store.Allocate(file, ipam.Request{
			Owner: ipam.Owner{ContainerID: fmt.Sprintf("%064d", i), IfName: "eth0"}, Network: fmt.Sprintf("net%d", i%(agentPools/2)),
			Pod:   ipam.Pod{Namespace: "default", Name: fmt.Sprintf("pod-%d", i), UID: fmt.Sprintf("%036d", i)},
			Netns: ipam.Netns{Path: fmt.Sprintf("/run/netns/pod-%d", i), Inode: uint64(i)},
		})
		if err != nil {
			break
		}
	}
	return err == nil, errors.Join(err, store.Close())
}

// reported says whether the node's object counts all addresses.
func (s *agentStage) reported(ctx context.Context) (bool, error) {
	var u v1alpha1.UnderlayNode
	if err := s.client.Get(ctx, client.ObjectKey{Name: agentNode}, &u); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	allocated := 0
	for _, p := range u.Status.Pools {
		allocated += int(p.Allocated)
	}
	return len(u.Status.Pools) == agentPools && allocated == 2*agentRecords, nil
}

func (s *agentStage) until(ctx context.Context, done func() (bool, error)) error {
	for deadline := time.Now().Add(agentWait); ; {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.folder, "agent.log"))
			return fmt.Errorf("gave up after %s; the agent says at last:\n%s", agentWait, log[max(0, len(log)-2000):])
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
