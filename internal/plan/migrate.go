// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Migration is what takes the place of Spiderpool's objects.
type Migration struct {
	// Networks by name, one for each SpiderMultusConfig that can be carried over; its attachment keeps the name, so that
	// pods' annotations stay as they are.
	Networks []v1alpha1.UnderlayNetwork
	// Pools by name, of provider Manual alone: on AWS the operator derives them.
	Pools []v1alpha1.UnderlayPool
	// Items tell what became of each thing, by object and field.
	Items []MigrationItem
}

// Outcome is what became of a part of another's configuration.
type Outcome string

// The outcomes.
const (
	// Carried over: the same as before.
	Carried Outcome = "carried"
	// Changed: it has a counterpart that differs.
	Changed Outcome = "changed"
	// Dropped: it has no counterpart.
	Dropped Outcome = "dropped"
	// ToDo: the user has to do something first.
	ToDo Outcome = "todo"
)

// MigrationItem is a line of the report.
type MigrationItem struct {
	// Object such as SpiderIPPool/worker1-v4.
	Object string `json:"object"`
	// Field such as spec.ips.
	Field string `json:"field"`
	// Outcome of it.
	Outcome Outcome `json:"outcome"`
	// Note says what became of it, and what to do.
	Note string `json:"note"`
}

// FromSpiderpool gives the networks and pools that take the place of SpiderMultusConfigs, SpiderIPPools and
// SpiderCoordinators; other kinds are left out with a line in the report. With an inventory of AWS the networks' selectors
// derive the pools; otherwise networks are Manual, with pools of their own. Addresses that Spiderpool's pods hold are
// excluded. The error names the object and the field of a value that cannot be read.
func FromSpiderpool(objects []*unstructured.Unstructured, inv v1alpha1.Inventory) (Migration, error) {
	m := &migration{inv: inv, manual: inv.Provider == v1alpha1.ProviderManual, nodes: map[string]*v1alpha1.Node{}}
	for i := range inv.Nodes {
		m.nodes[inv.Nodes[i].Name] = &inv.Nodes[i]
	}
	if err := m.read(objects); err != nil {
		return Migration{}, err
	}
	m.assign()
	for _, c := range m.configs {
		if n := m.network(c); n != nil {
			m.out.Networks = append(m.out.Networks, *n)
		}
	}
	m.compare()
	slices.SortFunc(m.out.Networks, func(a, b v1alpha1.UnderlayNetwork) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(m.out.Pools, func(a, b v1alpha1.UnderlayPool) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(m.out.Items, func(a, b MigrationItem) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Note, b.Note))
	})
	m.out.Items = slices.Compact(m.out.Items)
	return m.out, nil
}

// migration is a migration under way.
type migration struct {
	inv    v1alpha1.Inventory
	manual bool
	nodes  map[string]*v1alpha1.Node
	// pools and configs by name.
	pools   []*spiderPool
	configs []*spiderConfig
	// coordinator of the cluster; a configuration's own goes before it.
	coordinator spiderCoordinator
	// joined are the pools of each configuration, and made the network of it, by reference.
	joined map[v1alpha1.AttachmentReference][]*spiderPool
	made   map[v1alpha1.AttachmentReference]string
	out    Migration
}

func (m *migration) tell(object, field string, outcome Outcome, format string, args ...any) {
	m.out.Items = append(m.out.Items, MigrationItem{object, field, outcome, fmt.Sprintf(format, args...)})
}

// assign finds the pools of each configuration: those that name it, those that it names, and where there is one
// configuration alone those that name none.
func (m *migration) assign() {
	m.joined, m.made = map[v1alpha1.AttachmentReference][]*spiderPool{}, map[v1alpha1.AttachmentReference]string{}
	for _, p := range m.pools {
		found := false
		for _, c := range m.configs {
			named := matches(p.spec.MultusName, c.ref.String()) || c.ref.Namespace == "kube-system" && matches(p.spec.MultusName, c.ref.Name)
			free := len(p.spec.MultusName) == 0 && (matches(c.pools, p.name) || len(m.configs) == 1)
			if named || free {
				found = true
				m.joined[c.ref] = append(m.joined[c.ref], p)
			}
		}
		if !found {
			m.tell(p.object(), "spec.multusName", ToDo, "not carried over: no SpiderMultusConfig that is carried over is named by it or names it; "+
				"name one, or give its addresses to a network by hand")
		}
	}
}
