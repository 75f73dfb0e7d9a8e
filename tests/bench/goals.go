// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"slices"
)

// goal is the most that a figure may be.
type goal struct {
	name string
	// ratio: the limit is on ours by the peer's, else on ours.
	ratio bool
	most  float64
}

// goals of all rows, in the order of tables.
func goals() []goal {
	const ratio, ours = true, false
	return []goal{
		{"plan-5000-nodes", ours, 2},
		{"plan-5000-nodes-memory", ours, 500},
		{"plan-growth-1000-to-5000", ours, 6},
		{"plugin-start", ratio, 1.5},
		{"ec2-calls-1000-nodes", ours, 40},
		{"ec2-throttled-1000-nodes", ours, 0},
		{"cni-add-del-ipv4-p50", ratio, 0.6},
		{"cni-add-del-ipv4-p99", ratio, 0.6},
		{"cni-add-del-dual-p50", ratio, 0.6},
		{"cni-add-del-dual-p99", ratio, 0.6},
		{"cni-add-100-parallel", ratio, 0.5},
		{"cni-add-del-hostleg-p50", ratio, 0.6},
		{"cni-floor", ratio, 1.2},
		{"ipam-16", ratio, math.Inf(1)}, // only that it is no slower than at 60,000
		{"ipam-1000", ratio, 1},
		{"ipam-60000", ratio, 1},
		{"ipam-v6-80", ratio, 1},
		{"ipam-growth-16-to-60000", ours, 1.5},
		{"cni-binary-size", ours, 8},
		{"cni-start", ratio, 1.3},
		{"operator-5000-converge", ours, 600},
		{"operator-5000-steady-writes", ours, 0},
		{"operator-5000-ec2-calls", ours, 2},
		{"operator-5000-new-node", ours, 2},
		{"operator-5000-memory", ours, 600},
		{"agent-memory", ours, 40},
		{"pod-start-60-p50", ratio, 1},
		{"pod-start-60-p99", ratio, 1},
	}
}

// place of a row in the list of goals; -1 if it is not there.
func place(name string) int {
	return slices.IndexFunc(goals(), func(g goal) bool { return g.name == name })
}

// missing are the names of rows that are in the list of goals and not among those given.
func missing(rows []row) []string {
	var names []string
	for _, g := range goals() {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.Name == g.name }) {
			names = append(names, g.name)
		}
	}
	return names
}

// goalOf a row; one without limit if the list has none.
func goalOf(name string) goal {
	if i := place(name); i >= 0 {
		return goals()[i]
	}
	return goal{name: name, most: math.Inf(1)}
}

// String is the goal as tables have it.
func (g goal) String() string {
	switch {
	case math.IsInf(g.most, 1):
		return "–"
	case g.ratio:
		return fmt.Sprintf("ratio ≤ %g", g.most)
	}
	return fmt.Sprintf("≤ %g", g.most)
}

// verdict on a row.
func (g goal) verdict(r row) string {
	figure := r.Ours
	if g.ratio {
		if r.Ratio == nil {
			return "MISSED"
		}
		figure = *r.Ratio
	}
	switch {
	case math.IsInf(g.most, 1):
		return "–"
	case figure <= g.most:
		return "met"
	}
	return "MISSED"
}
