// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

const (
	operatorNodes    = 5000
	poolsPerNode     = 4 // as plantest.DualStack has them
	steadyRefreshes  = 10
	newNodes         = 7
	creators         = 8 // of nodes, at a time
	operatorUser     = "underlay-operator"
	operatorRefresh  = 15 * time.Second
	operatorPatience = 30 * time.Minute
)

// operatorStage is a large cluster with its cloud, and an operator in a process of its own.
type operatorStage struct {
	inventory v1alpha1.Inventory // with the new nodes at its end
	plane     *controlplane.ControlPlane
	cloud     *ec2sim.Server
	client    client.Client
	audit     string
	folder    string
	operator  *exec.Cmd
	progress  io.Writer
}

// measureOperator lets an operator begin with nothing, then watches it while nothing happens, and then adds nodes.
func measureOperator(ctx context.Context, progress io.Writer) (rows []row, err error) {
	s := &operatorStage{progress: progress}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.setUp(ctx); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := s.startOperator(ctx); err != nil {
		return nil, err
	}
	if err := s.converge(ctx); err != nil {
		return nil, err
	}
	converged := time.Since(start).Seconds()
	fmt.Fprintf(progress, "  %d pools in sync after %.0f s\n", operatorNodes*poolsPerNode, converged)
	start = time.Now()
	writes, calls, err := s.steady(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "  looked on for %.0f s\n", time.Since(start).Seconds())
	var appeared []float64
	for i := range newNodes {
		seconds, err := s.addNode(ctx, s.inventory.Nodes[operatorNodes+i])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(progress, "  pools of new node %d of %d after %.2f s\n", i+1, newNodes, seconds)
		appeared = append(appeared, seconds)
	}
	memory, err := peakMemory(s.operator.Process.Pid)
	if err != nil {
		return nil, err
	}
	return []row{
		newRow("operator-5000-converge", "s", []float64{converged}),
		newRow("operator-5000-steady-writes", "requests", []float64{writes}),
		newRow("operator-5000-ec2-calls", "calls per refresh ÷ pages", calls),
		newRow("operator-5000-new-node", "s", appeared),
		newRow("operator-5000-memory", "MiB", []float64{memory}),
	}, nil
}

func (s *operatorStage) setUp(ctx context.Context) (err error) {
	all := plantest.Inventory(plantest.Uniform(operatorNodes+newNodes, plantest.DualStack()))
	s.inventory = all
	first := all
	first.Nodes = all.Nodes[:operatorNodes]
	if s.cloud, err = ec2sim.New(first); err != nil {
		return err
	}
	program, err := buildProgram(ctx, operatorUser)
	if err != nil {
		return err
	}
	s.folder = filepath.Dir(program)
	s.audit = filepath.Join(s.folder, "audit.log")
	policy := filepath.Join(s.folder, "policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	root, err := pinned.Root()
	if err != nil {
		return err
	}
	s.plane, err = controlplane.Start(ctx, controlplane.Options{
		CRDDirs: []string{filepath.Join(root, "manifests", "crds")},
		CRDs:    [][]byte{controlplane.MultusCRD()},
		Objects: []client.Object{
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "underlay-system"}},
			&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: operatorUser},
				RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
				Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: operatorUser}}},
		},
		APIServerArgs: []string{"--audit-policy-file=" + policy, "--audit-log-path=" + s.audit},
		Progress:      s.progress,
	})
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	config := *s.plane.Config
	config.QPS = -1
	if s.client, err = client.New(&config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	return s.populate(ctx, first)
}

// auditPolicy logs what the operator writes, but for its lease and events.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: None
  resources:
  - {group: coordination.k8s.io, resources: [leases]}
  - {group: events.k8s.io, resources: [events]}
  - {group: "", resources: [events]}
- level: Metadata
  users: [` + operatorUser + `]
- level: None
`

// populate creates the nodes, and a network for each device index.
func (s *operatorStage) populate(ctx context.Context, inventory v1alpha1.Inventory) error {
	begun := time.Now()
	nodes := controlplane.NodesOf(inventory)
	failed := make(chan error, creators)
	for i := range creators {
		go func() {
			var err error
			for k := i; k < len(nodes) && err == nil; k += creators {
				err = s.client.Create(ctx, nodes[k])
			}
			failed <- err
		}()
	}
	for range creators {
		if err := <-failed; err != nil {
			return err
		}
	}
	fmt.Fprintf(s.progress, "  %d nodes created in %.0f s\n", len(nodes), time.Since(begun).Seconds())
	for device := range int32(2) {
		n := &v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("ens%d", 5+device)}}
		n.Spec.InterfaceSelector.DeviceIndexes = []int32{device}
		if err := s.client.Create(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (s *operatorStage) startOperator(ctx context.Context) error {
	user, err := s.plane.AddUser(operatorUser)
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(s.folder, "kubeconfig")
	if err := user.WriteKubeconfig(kubeconfig); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.folder, "operator.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.operator = exec.CommandContext(ctx, filepath.Join(s.folder, operatorUser), "--kubeconfig", kubeconfig,
		"--refresh", operatorRefresh.String(), "--health-address", "0")
	s.operator.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+s.cloud.URL(), "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench",
		"AWS_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true")
	s.operator.Stdout, s.operator.Stderr = log, log
	return s.operator.Start()
}

// converge waits until the networks count all pools, and then looks whether each is in sync.
func (s *operatorStage) converge(ctx context.Context) error {
	const want = operatorNodes * poolsPerNode
	err := s.until(ctx, time.Second, func() (bool, error) {
		var networks v1alpha1.UnderlayNetworkList
		if err := s.client.List(ctx, &networks); err != nil {
			return false, err
		}
		got := 0
		for _, n := range networks.Items {
			if meta.IsStatusConditionTrue(n.Status.Conditions, v1alpha1.ConditionReady) {
				got += int(n.Status.Pools)
			}
		}
		return got == want, nil
	})
	if err != nil {
		return err
	}
	var pools v1alpha1.UnderlayPoolList
	if err := s.client.List(ctx, &pools); err != nil {
		return err
	}
	synced := 0
	for _, p := range pools.Items {
		if meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionInSync) {
			synced++
		}
	}
	if synced != want {
		return fmt.Errorf("the networks count %d pools, but %d are in sync", want, synced)
	}
	return nil
}

// steady counts what is written, and the calls for each page, over some refreshes in which nothing changes.
func (s *operatorStage) steady(ctx context.Context) (writes float64, calls []float64, err error) {
	// The passes that look at what the last one has written come first.
	if err := s.refreshes(ctx, 2); err != nil {
		return 0, nil, err
	}
	before, err := s.written()
	if err != nil {
		return 0, nil, err
	}
	for range steadyRefreshes {
		s.cloud.ForgetCalls()
		if err := s.refreshes(ctx, 1); err != nil {
			return 0, nil, err
		}
		// A page of a thousand instances, and of a thousand interfaces, of which each node has two.
		pages := math.Ceil(operatorNodes/1000.0) + math.Ceil(2*operatorNodes/1000.0)
		calls = append(calls, float64(len(s.cloud.Calls()))/pages)
	}
	after, err := s.written()
	for _, line := range after[min(len(before), len(after)):] {
		fmt.Fprintf(s.progress, "  written although nothing changed: %s\n", line)
	}
	return float64(len(after) - len(before)), calls, err
}

// refreshes waits until that many snapshots have ended; each asks for instance types last.
func (s *operatorStage) refreshes(ctx context.Context, n int) error {
	want := s.cloud.Counts()["DescribeInstanceTypes"] + n
	return s.until(ctx, 100*time.Millisecond, func() (bool, error) { return s.cloud.Counts()["DescribeInstanceTypes"] >= want, nil })
}

// written are the requests in the audit log, as verb and URI.
func (s *operatorStage) written() ([]string, error) {
	raw, err := os.ReadFile(s.audit)
	if err != nil {
		return nil, err
	}
	var out []string
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb       string `json:"verb"`
			RequestURI string `json:"requestURI"`
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		out = append(out, event.Verb+" "+event.RequestURI)
	}
	return out, lines.Err()
}

// addNode says how long it takes from the node's creation until its pools are in sync.
func (s *operatorStage) addNode(ctx context.Context, node v1alpha1.Node) (float64, error) {
	if err := s.cloud.Update(func(w *ec2sim.World) error { return w.AddNode(node) }); err != nil {
		return 0, err
	}
	one := s.inventory
	one.Nodes = []v1alpha1.Node{node}
	start := time.Now()
	if err := s.client.Create(ctx, controlplane.NodesOf(one)[0]); err != nil {
		return 0, err
	}
	var names []string
	for device := range 2 {
		for _, family := range []string{"v4", "v6"} {
			names = append(names, fmt.Sprintf("ens%d.%d.%s.%s", 5+device, device, family, node.Name))
		}
	}
	err := s.until(ctx, 20*time.Millisecond, func() (bool, error) {
		var p v1alpha1.UnderlayPool
		if err := s.client.Get(ctx, client.ObjectKey{Name: names[0]}, &p); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		if meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionInSync) {
			names = slices.Delete(names, 0, 1)
		}
		return len(names) == 0, nil
	})
	return time.Since(start).Seconds(), err
}

func (s *operatorStage) until(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	deadline := time.Now().Add(operatorPatience)
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.folder, "operator.log"))
			return fmt.Errorf("gave up after %s; the operator says at last:\n%s", operatorPatience, log[max(0, len(log)-2000):])
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}

// peakMemory of a process in MiB: the most that it has had resident.
func peakMemory(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("this system does not say how much memory a process had: %w", err)
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("/proc has no VmHWM")
}

func (s *operatorStage) close() error {
	var failed []error
	if s.operator != nil && s.operator.Process != nil {
		_ = s.operator.Process.Signal(os.Interrupt) // it may have ended by itself
		_ = s.operator.Wait()
	}
	if s.plane != nil {
		failed = append(failed, s.plane.Stop())
	}
	if s.cloud != nil {
		s.cloud.Close()
	}
	if s.folder != "" {
		failed = append(failed, os.RemoveAll(s.folder))
	}
	return errors.Join(failed...)
}
