// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/check"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/plugin/ui"
)

type statusOptions struct {
	output  string
	watch   bool
	wait    bool
	timeout time.Duration
}

func newStatus(g *global) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show operator, agents and networks, and what is not as it should be",
		Long: `Show operator, agents and networks with their free and used addresses, and what is not as it should be.

It asks the cluster alone, not the cloud; ` + "`kubectl underlay check`" + ` looks at both. The exit code is 0 whatever it shows;
with --wait it is 3 when something is still not ready in the end.`,
		Example: `  kubectl underlay status
  kubectl underlay status -w
  kubectl underlay status --wait --timeout 2m
  kubectl underlay status -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.timeout <= 0:
				return usageError{cmd.CommandPath(), fmt.Errorf("--timeout=%s is not allowed; use more than 0", o.timeout)}
			case o.watch && o.wait:
				return usageError{cmd.CommandPath(), fmt.Errorf("--watch goes on and --wait ends: use one of them")}
			}
			if err := oneOf(cmd, "output", o.output, "", "json", "yaml"); err != nil {
				return err
			}
			return g.status(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.watch, "watch", "w", false, "go on and show changes")
	flags.BoolVar(&o.wait, "wait", false, "wait until operator, agents, networks and nodes are ready, then show them")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "with --wait: give up after this time")
	addOutputFlag(cmd, &o.output, "json", "yaml")
	return cmd
}

func (g *global) status(ctx context.Context, o statusOptions) error {
	cluster, err := g.cluster()
	if err != nil {
		return err
	}
	if o.wait {
		if err := g.waitReady(ctx, o.timeout, cluster, plan.Plan{}); err != nil {
			return err
		}
	}
	w := watcher{cluster: cluster}
	if err := w.look(ctx); err != nil {
		return err
	}
	for shown := (ui.Status{}); ; {
		now, err := statusOf(ctx, cluster, w.seen)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(now, shown) {
			if err := g.showStatus(o, now); err != nil {
				return err
			}
			shown = now
		}
		if !o.watch {
			return nil
		}
		if err := w.lookAgain(ctx); err != nil {
			return err
		}
	}
}

func (g *global) showStatus(o statusOptions, st ui.Status) error {
	if o.output != "" {
		return printValue(g.env.Out, o.output, st)
	}
	if o.watch {
		g.out().Clear()
	}
	g.out().Status(st)
	return nil
}

func statusOf(ctx context.Context, cluster *kube.Cluster, seen kube.Observation) (ui.Status, error) {
	// Lists that are empty, and not null, for whoever reads them by program.
	st := ui.Status{
		Networks: networkStatus(seen),
		Findings: append([]plan.Finding{}, check.Health(check.Inputs{Cluster: clusterOf(seen)})...),
	}
	install := seen.Install
	if install == nil {
		return st, nil
	}
	if d := install.Operator; d != nil {
		st.Operator = workload(d.Spec.Template)
		st.Operator.Ready, st.Operator.Desired = install.OperatorReady()
		leader, err := cluster.Leader(ctx)
		if err != nil {
			return st, err
		}
		st.Operator.Leader, _, _ = strings.Cut(leader, "_") // what follows tells processes of one host apart
	}
	if d := install.Agents; d != nil {
		st.Agents = workload(d.Spec.Template)
		st.Agents.Ready, st.Agents.Desired = d.Status.NumberReady, d.Status.DesiredNumberScheduled
	}
	return st, nil
}

func workload(template corev1.PodTemplateSpec) *ui.Workload {
	w := &ui.Workload{}
	if len(template.Spec.Containers) > 0 {
		w.Image = template.Spec.Containers[0].Image
		w.Version = kube.ImageTag(w.Image)
	}
	return w
}

// networkStatus sums up the pools of each network, by family.
func networkStatus(seen kube.Observation) []ui.NetworkStatus {
	out := make([]ui.NetworkStatus, 0, len(seen.Networks))
	at := map[string]int{}
	nodes := map[string]map[string]bool{}
	for _, n := range seen.Networks {
		ready := string(metav1.ConditionUnknown)
		if c := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionReady); c != nil {
			ready = string(c.Status)
		}
		at[n.Name], nodes[n.Name] = len(out), map[string]bool{}
		out = append(out, ui.NetworkStatus{Name: n.Name, Ready: ready, Default: n.Spec.Default, Usage: []ui.FamilyUse{}})
	}
	for _, pool := range seen.Pools {
		i, known := at[pool.Spec.NetworkName]
		if !known {
			continue
		}
		nodes[pool.Spec.NetworkName][pool.Spec.NodeName] = true
		out[i].Nodes = len(nodes[pool.Spec.NetworkName])
		u := slices.IndexFunc(out[i].Usage, func(u ui.FamilyUse) bool { return u.Family == pool.Spec.IPFamily })
		if u < 0 {
			u = len(out[i].Usage)
			out[i].Usage = append(out[i].Usage, ui.FamilyUse{Family: pool.Spec.IPFamily})
		}
		use := &out[i].Usage[u]
		use.Pools++
		use.Capacity = min(use.Capacity+pool.Status.Capacity, iprange.MaxSize)
		use.Allocated = min(use.Allocated+pool.Status.Allocated, iprange.MaxSize)
		use.Available = min(use.Available+pool.Status.Available, iprange.MaxSize)
	}
	for i := range out {
		slices.SortFunc(out[i].Usage, func(a, b ui.FamilyUse) int { return cmp.Compare(a.Family, b.Family) })
	}
	return out
}
