// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/operator/agent/host"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// running is an agent that works on folders of its own. It reads this machine's links, and changes nothing of them: no pool's interface is here.
type running struct {
	paths           host.Paths
	health, metrics string
	stop            func()
}

func newPaths(t *testing.T) host.Paths {
	t.Helper()
	root := t.TempDir()
	paths := host.Paths{
		NodeFile: filepath.Join(root, "node.json"), Store: filepath.Join(root, "run"), Plugins: filepath.Join(root, "plugins"),
		CNIBin: filepath.Join(root, "bin"), CNIConf: filepath.Join(root, "net.d"), Sysctl: filepath.Join(root, "sys"),
	}
	for name, content := range map[string]string{"plugins/underlay": "u", "plugins/portmap": "p", "plugins/loopback": "l",
		"sys/net/ipv4/ip_forward": "0", "sys/net/ipv4/conf/all/rp_filter": "0", "sys/net/ipv4/conf/lo/rp_filter": "0"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, name), []byte(content), 0o600))
	}
	return paths
}

func start(t *testing.T, config *rest.Config, node string, paths host.Paths) *running {
	t.Helper()
	vm.NeedRoot(t) // it looks into all network namespaces for addresses in use
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{paths: paths, health: freeAddress(t), metrics: freeAddress(t)}
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, config, Options{NodeName: node, Version: "v1", Paths: paths, HealthAddress: r.health, MetricsAddress: r.metrics, Log: newLog(t)})
	}()
	r.stop = func() {
		cancel()
		if ended != nil {
			must(t, <-ended)
			ended = nil
		}
	}
	t.Cleanup(r.stop)
	return r
}

// get asks the agent.
func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, http.NoBody)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(body)
}

// wants an answer about the agent's health.
func (r *running) wants(t *testing.T, path string, code int) {
	t.Helper()
	eventually(t, func() error {
		if got, body := get(t, r.health, path); got != code {
			return wrong("%s says %d %s, want %d", path, got, body, code)
		}
		return nil
	})
}

// TestAgent is the agent against a real API server, with the permissions that it is installed with.
func TestAgent(t *testing.T) {
	c := newCluster(t, "whole")
	r := start(t, c.config, "whole", newPaths(t))
	pool := func(check func(f *nodefile.File, p *nodefile.Pool, reported *v1alpha1.NodePool) bool) {
		t.Helper()
		eventually(t, func() error {
			f, err := nodefile.Read(r.paths.NodeFile)
			if err != nil {
				return err
			}
			u := c.report(t)
			if len(f.Pools) != 1 || len(u.Status.Pools) != 1 || !check(f, &f.Pools[0], &u.Status.Pools[0]) {
				return wrong("node file %+v\nreport %+v", f, u.Status)
			}
			return nil
		})
	}
	condition := func(kind string, status metav1.ConditionStatus, says string) {
		t.Helper()
		eventually(t, func() error {
			u := c.report(t)
			found := meta.FindStatusCondition(u.Status.Conditions, kind)
			if found == nil || found.Status != status || !strings.Contains(found.Message, says) {
				return wrong("condition %s is %+v, want %s: %s", kind, found, status, says)
			}
			return nil
		})
	}
	r.wants(t, "/readyz", http.StatusOK)
	r.wants(t, "/healthz", http.StatusOK)
	condition(v1alpha1.ConditionReady, metav1.ConditionTrue, "there is no UnderlayNetwork")
	r.isVacant(t)
	condition(v1alpha1.ConditionFollowed, metav1.ConditionTrue, "")

	network := c.network(t, "whole-a", func(s *v1alpha1.UnderlayNetworkSpec) { s.Default = true })
	p := c.pool(t, "whole-a", "whole", "172.31.32.176/28", "172.31.32.192/28")
	pool(func(f *nodefile.File, p *nodefile.Pool, reported *v1alpha1.NodePool) bool {
		return p.Generation == 1 && reported.ObservedGeneration == 1 && len(p.Ranges) == 2 && len(f.Networks[0].HostLeg.CIDRs) == 1 && f.Writer == "underlay-agent v1"
	})
	condition(v1alpha1.ConditionReady, metav1.ConditionFalse, "interface 02:00:00:00:20:01 is not on this machine")
	condition(v1alpha1.ConditionDefaultNetwork, metav1.ConditionTrue, "whole-a")
	for _, path := range []string{r.paths.CNIConf + "/" + host.ConfigName, r.paths.CNIBin + "/underlay", r.paths.CNIBin + "/portmap"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}

	update(t, c, p, func(p *v1alpha1.UnderlayPool) { p.Spec.Draining = []v1alpha1.Range{"172.31.32.192/28"} })
	pool(func(_ *nodefile.File, p *nodefile.Pool, reported *v1alpha1.NodePool) bool {
		return p.Generation == 2 && reported.ObservedGeneration == 2 && len(reported.Drained) == 1 && reported.Drained[0] == "172.31.32.192/28"
	})

	_, body := get(t, r.metrics, "/metrics")
	for _, want := range []string{`underlay_pool_addresses{pool="whole-a.1.v4.whole",state="draining"} 16`, `state="free"} 16`, "process_resident_memory_bytes"} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s:\n%s", want, body)
		}
	}

	before := c.report(t)
	time.Sleep(2 * reportEvery)
	if after := c.report(t); after.ResourceVersion != before.ResourceVersion {
		t.Error("the report was written though nothing changed")
	}

	must(t, c.Delete(t.Context(), network))
	condition(v1alpha1.ConditionFollowed, metav1.ConditionFalse, "pool/whole-a.1.v4.whole: it hands out nothing: there is no UnderlayNetwork whole-a")
	eventually(t, func() error {
		if _, err := os.Stat(r.paths.CNIConf + "/" + host.ConfigName); !os.IsNotExist(err) {
			return wrong("the CNI configuration of a network that is gone: %v", err)
		}
		return nil
	})
	must(t, c.Delete(t.Context(), p))
	condition(v1alpha1.ConditionReady, metav1.ConditionTrue, "there is no UnderlayNetwork")
	r.isVacant(t)
	r.wants(t, "/readyz", http.StatusOK)
}

// isVacant: the agent has left no file on its machine.
func (r *running) isVacant(t *testing.T) {
	t.Helper()
	for _, folder := range []string{r.paths.CNIBin, r.paths.CNIConf, r.paths.Store, filepath.Dir(r.paths.NodeFile)} {
		entries, err := os.ReadDir(folder)
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		for _, e := range entries {
			if !e.IsDir() {
				t.Errorf("%s is left in %s", e.Name(), folder)
			}
		}
	}
}

// TestAgentWithoutAPIServer starts where nobody answers.
func TestAgentWithoutAPIServer(t *testing.T) {
	nobody := &rest.Config{Host: "https://" + freeAddress(t)}
	t.Run("with a node file", func(t *testing.T) {
		paths := newPaths(t)
		file, problems := NodeFile(Inputs{Writer: "an earlier agent", Node: nodefile.Node{Name: "alone"}})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		must(t, nodefile.Write(paths.NodeFile, &file))
		before, err := os.Stat(paths.NodeFile)
		must(t, err)
		r := start(t, nobody, "alone", paths)
		r.wants(t, "/readyz", http.StatusOK)
		r.wants(t, "/healthz", http.StatusOK)
		if after, err := os.Stat(paths.NodeFile); err != nil || !os.SameFile(before, after) {
			t.Errorf("the node file was replaced: %v", err)
		}
		if _, err := os.Stat(paths.CNIBin + "/underlay"); err != nil {
			t.Error(err)
		}
		r.stop() // Run must end without an error
	})
	t.Run("without", func(t *testing.T) {
		r := start(t, nobody, "alone", newPaths(t))
		r.wants(t, "/healthz", http.StatusOK)
		r.wants(t, "/readyz", http.StatusServiceUnavailable)
	})
}

// TestNoNodeName is a mistake that no time mends.
func TestNoNodeName(t *testing.T) {
	err := Run(t.Context(), &rest.Config{}, Options{Log: newLog(t)})
	if err == nil || !strings.Contains(err.Error(), "--node-name") {
		t.Errorf("error %v", err)
	}
}
