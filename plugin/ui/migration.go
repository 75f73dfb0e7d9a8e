// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"fmt"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// Migration draws what became of each part of another's configuration, and how many parts of each outcome there are.
func (s *Screen) Migration(items []plan.MigrationItem) {
	looks := map[plan.Outcome]ink{plan.Carried: good, plan.Changed: name, plan.Dropped: caution, plan.ToDo: bad}
	t := table{columns: []column{{head: "OUTCOME"}, {head: "FIELD", want: 19}, {head: "WHAT", wrap: true}}, indent: 2}
	counts := map[plan.Outcome]int{}
	for at, i := range items {
		counts[i.Outcome]++
		if at == 0 || items[at-1].Object != i.Object {
			t.rows = append(t.rows, row{banner: []span{{s.symbols.clean(i.Object), heading}}})
		}
		t.rows = append(t.rows, row{cells: []cell{
			{s.symbols.clean(string(i.Outcome)), looks[i.Outcome]}, {s.symbols.clean(i.Field), plain}, {s.symbols.prose(i.Note), plain},
		}})
	}
	p := s.page()
	t.write(p)
	p.end()
	p.line(span{fmt.Sprintf("%d carried, %d changed, %d dropped, %d to do", counts[plan.Carried], counts[plan.Changed], counts[plan.Dropped], counts[plan.ToDo]), dim})
	p.print()
}
