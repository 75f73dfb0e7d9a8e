// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/underlay-dev/kubectl-underlay/internal/check"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/plugin/ui"
)

type checkOptions struct {
	from   sources
	skip   []string
	failOn string
	output string
	list   bool
	pre    bool
	peers  []string
}

func newCheck(g *global) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check nodes, cloud and cluster for what keeps pods from their addresses",
		Long: `Check nodes, cloud and cluster for what keeps pods from their addresses.

Each finding has an id, says what is wrong and what to do next; docs/checks.md explains every id. The exit code is 1
when a finding is at least as severe as --fail-on.

--peer-context compares with another cluster that yours shall live beside: whether both use the same interface or the
same addresses, and whether anything joins their VPCs.`,
		Example: `  kubectl underlay check
  kubectl underlay check --skip provider-id-missing --fail-on warning
  kubectl underlay check --peer-context blue --peer-context green
  kubectl underlay check --inventory docs/examples/walkthrough.yaml -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			if o.list {
				return g.listChecks(o)
			}
			return g.check(cmd, o)
		},
	}
	flags := cmd.Flags()
	o.from.addInventoryFlag(cmd, "check this inventory file, without cluster and cloud")
	o.from.addNetworkFlag(cmd)
	flags.StringSliceVar(&o.skip, "skip", nil, "ids of checks to leave out")
	flags.StringVar(&o.failOn, "fail-on", "error", "exit with 1 from this severity on: error, warning, info or never")
	flags.BoolVar(&o.pre, "pre", false, "check nodes, cloud and networks alone, as before installing; pools that exist are not looked at")
	flags.StringArrayVar(&o.peers, "peer-context", nil, "compare with the cluster of this `context` of the kubeconfig; may be repeated")
	flags.BoolVar(&o.list, "list", false, "list all checks and stop")
	addOutputFlag(cmd, &o.output, "json", "yaml")
	completeWith(cmd, "fail-on", "error", "warning", "info", "never")
	completeWith(cmd, "skip", checkIDs()...)
	g.completeContexts(cmd, "peer-context")
	return cmd
}

func (o checkOptions) validate(cmd *cobra.Command) error {
	for _, id := range o.skip {
		if !slices.Contains(checkIDs(), id) {
			return usageError{cmd.CommandPath(), fmt.Errorf("--skip: no check has the id %q; `%s --list` names all", id, cmd.CommandPath())}
		}
	}
	if err := oneOf(cmd, "fail-on", o.failOn, "error", "warning", "info", "never"); err != nil {
		return err
	}
	return oneOf(cmd, "output", o.output, "", "json", "yaml")
}

func (g *global) check(cmd *cobra.Command, o checkOptions) error {
	w, err := g.gather(cmd.Context(), o.from, false)
	if err != nil {
		return err
	}
	if err := w.surround(cmd.Context()); err != nil {
		return err
	}
	if err := g.addPeers(cmd.Context(), w, o.peers); err != nil {
		return err
	}
	if o.pre {
		w.seen.Pools, w.seen.Install = nil, nil // what was installed is not the question
	}
	p, planned := w.plan()
	findings := w.check(p, planned, o.skip)
	if o.output != "" {
		// An empty list, and not null, for whoever reads it by program.
		err = printValue(g.env.Out, o.output, append([]plan.Finding{}, findings...))
	} else {
		g.out().Findings(findings)
	}
	if err == nil && atLeast(findings, plan.Severity(o.failOn)) {
		return foundError{}
	}
	return err
}

// atLeast says whether a finding is at least as severe as the limit; "never" is a limit that nothing reaches.
func atLeast(findings []plan.Finding, limit plan.Severity) bool {
	order := []plan.Severity{plan.Error, plan.Warning, plan.Info}
	last := slices.Index(order, limit)
	return slices.ContainsFunc(findings, func(f plan.Finding) bool {
		return slices.Index(order, f.Severity) <= last
	})
}

func (g *global) listChecks(o checkOptions) error {
	type row struct {
		ID       string        `json:"id"`
		Severity plan.Severity `json:"severity"`
		Title    string        `json:"title"`
	}
	var rows []row
	var lines []ui.CheckRow
	for _, c := range check.All() {
		rows = append(rows, row{c.ID, c.Severity, c.Title})
		lines = append(lines, ui.CheckRow{ID: c.ID, Severity: c.Severity, Title: c.Title})
	}
	if o.output != "" {
		return printValue(g.env.Out, o.output, rows)
	}
	g.out().Checks(lines)
	return nil
}

func checkIDs() []string {
	var ids []string
	for _, c := range check.All() {
		ids = append(ids, c.ID)
	}
	return ids
}
