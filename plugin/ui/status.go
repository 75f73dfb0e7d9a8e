// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"slices"
	"strconv"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// Status is what runs in a cluster for us, and how well.
type Status struct {
	// Operator and Agents are nil where they are not installed.
	Operator *Workload `json:"operator,omitempty"`
	Agents   *Workload `json:"agents,omitempty"`
	// Networks by name.
	Networks []NetworkStatus `json:"networks"`
	// Findings about operator, agents, networks, pools and nodes.
	Findings []plan.Finding `json:"findings"`
}

// Workload is the operator or the agents.
type Workload struct {
	// Ready of Desired replicas.
	Ready   int32  `json:"ready"`
	Desired int32  `json:"desired"`
	Image   string `json:"image"`
	// Version is the image's tag.
	Version string `json:"version,omitempty"`
	// Leader of the operator's replicas.
	Leader string `json:"leader,omitempty"`
}

// NetworkStatus is a network with the use of its pools.
type NetworkStatus struct {
	Name string `json:"name"`
	// Ready is True, False, or Unknown.
	Ready   string `json:"ready"`
	Default bool   `json:"default"`
	// Nodes that have a pool.
	Nodes int         `json:"nodes"`
	Usage []FamilyUse `json:"usage"`
}

// FamilyUse sums up the pools of one family.
type FamilyUse struct {
	Family    v1alpha1.IPFamily `json:"family"`
	Pools     int               `json:"pools"`
	Capacity  int64             `json:"capacity"`
	Allocated int64             `json:"allocated"`
	Available int64             `json:"available"`
}

// Status draws operator, agents and networks, then what is not as it should be.
func (s *Screen) Status(st Status) {
	p := s.page()
	if st.Operator == nil && st.Agents == nil {
		p.line(span{s.symbols.info, name}, span{"Neither operator nor agents are installed: `kubectl underlay init` does that.", plain})
	} else {
		p.workload("operator", st.Operator, "replicas available")
		p.workload("agents", st.Agents, "nodes ready")
	}
	p.end()
	s.networks(p, st.Networks)
	if len(st.Findings) > 0 || st.Operator != nil {
		p.end()
	}
	switch {
	case len(st.Findings) > 0:
		p.findings(st.Findings)
	case st.Operator != nil:
		p.line(span{s.symbols.ok, good}, span{"All is well", good})
	}
	p.print()
}

// workload writes one line: a sign, the name, how many are ready, and what runs.
func (p *page) workload(label string, w *Workload, of string) {
	s := &p.screen.symbols
	sign, look := s.ok, good
	about := "not installed"
	switch {
	case w == nil:
		sign, look = s.failed, bad
	case w.Ready == 0:
		sign, look = s.failed, bad
	case w.Ready < w.Desired:
		sign, look = s.warning, caution
	}
	if w != nil {
		about = thousands(int(w.Ready)) + " of " + thousands(int(w.Desired)) + " " + of
	}
	p.paint(sign, look)
	p.spaces(1)
	p.paint(label, heading)
	p.spaces(len("operator") - len(label) + gap)
	spans := []span{{about, plain}}
	if w != nil {
		if w.Leader != "" {
			spans[0].text += ","
			spans = append(spans, span{"led from", plain}, span{s.clean(w.Leader), name})
		}
		spans = append(spans, span{}, span{s.clean(w.Image), dim})
	}
	p.flow(p.at, spans...)
}

// networks writes a row for each network and family.
func (s *Screen) networks(p *page, networks []NetworkStatus) {
	if len(networks) == 0 {
		p.line(span{"No networks found.", plain})
		return
	}
	t := table{columns: []column{
		{head: "NETWORK", want: 20}, {head: "READY"}, {head: "DEFAULT", rank: 4}, {head: "NODES", right: true, rank: 2}, {head: "FAMILY"},
		{head: "POOLS", right: true, rank: 3}, {head: "FREE", right: true}, {head: "USED", right: true}, {head: "CAPACITY", right: true, rank: 1},
	}}
	for _, n := range networks {
		lead := []cell{{s.symbols.clean(n.Name), name}, readyCell(s.symbols.clean(n.Ready)), {"-", dim}, {thousands(n.Nodes), plain}}
		if n.Default {
			lead[2] = cell{"yes", plain}
		}
		uses := n.Usage
		if len(uses) == 0 {
			uses = []FamilyUse{{}}
		}
		for i, u := range uses {
			if i > 0 && s.width > 0 { // a pipe has each line whole
				lead = make([]cell, len(lead))
			}
			t.rows = append(t.rows, row{cells: append(slices.Clone(lead), s.useCells(u)...)})
		}
	}
	t.write(p)
}

func readyCell(ready string) cell {
	switch ready {
	case "True":
		return cell{"yes", good}
	case "False":
		return cell{"no", bad}
	}
	return cell{strings.ToLower(ready), caution}
}

func (s *Screen) useCells(f FamilyUse) []cell {
	if f.Pools == 0 {
		return []cell{{"-", dim}, {"0", dim}, {"-", dim}, {"-", dim}, {"-", dim}}
	}
	// Where no operator counts, nothing is known.
	u := usage{known: f.Capacity > 0, capacity: f.Capacity, used: f.Allocated, free: f.Available}
	capacity := u.capacityCell()
	if !u.known {
		capacity = cell{"-", dim}
	}
	return []cell{s.familyCell(f.Family), {strconv.Itoa(f.Pools), plain}, u.freeCell(), u.usedCell(), capacity}
}
