// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// most is what an agent may take of a node's memory, in KiB.
const most = 40 << 10

// TestMemory runs the program on a node with many pools, and looks at what the kernel counts.
func TestMemory(t *testing.T) {
	vm.NeedRoot(t)
	c := newCluster(t, "memory")
	const pools = 30
	for i := range pools {
		name := fmt.Sprintf("memory-%d", i)
		c.network(t, name, nil)
		c.pool(t, name, "memory", v1alpha1.Range(fmt.Sprintf("172.31.32.%d/29", 8*i)))
	}
	paths := newPaths(t)
	folder := t.TempDir()
	program, kubeconfig := filepath.Join(folder, "underlay-agent"), filepath.Join(folder, "kubeconfig")
	must(t, vm.Compile(t.Context(), "../..", "build", "-ldflags=-s -w", "-o", program, "./cmd/underlay-agent"))
	must(t, plane.ForTest(t).WriteKubeconfig(kubeconfig))
	// The paths of the node file and the store are compiled in: this process has folders of its own there.
	health := freeAddress(t)
	const script = `mount --make-rprivate / && mount -t tmpfs tmpfs /var/lib && mount -t tmpfs tmpfs /run && exec "$@"`
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", script, "sh", program, "--node-name=memory", "--kubeconfig="+kubeconfig,
		"--health-address="+health, "--plugins-dir="+paths.Plugins, "--cni-bin-dir="+paths.CNIBin, "--cni-conf-dir="+paths.CNIConf, "--sysctl-dir="+paths.Sysctl)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		if err := cmd.Wait(); err != nil {
			t.Errorf("the agent: %v\n%s", err, said.String())
		}
	})
	nodeFile := fmt.Sprintf("/proc/%d/root%s", cmd.Process.Pid, cni.NodeFile)
	r := &running{health: health}
	r.wants(t, "/readyz", http.StatusOK)
	eventually(t, func() error {
		f, err := nodefile.Read(nodeFile)
		if err != nil || len(f.Pools) != pools {
			return wrong("the node file has %v, want %d pools: %w", f, pools, err)
		}
		if u := c.report(t); len(u.Status.Pools) != pools {
			return wrong("the report has %d pools, want %d", len(u.Status.Pools), pools)
		}
		return nil
	})
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	must(t, err)
	var resident, peak int
	for line := range strings.Lines(string(content)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &resident)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	t.Logf("with %d pools the agent takes %.1f MiB, at most %.1f", pools, float64(resident)/1024, float64(peak)/1024)
	if resident == 0 || peak > most {
		t.Errorf("the agent took %d KiB, and may take %d", peak, most)
	}
}
