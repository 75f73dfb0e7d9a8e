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

const (
	// barsFrom is the width of screen from which on bars are drawn.
	barsFrom = 100
	// barWidth in columns.
	barWidth = 10
	// nearlyFull is the use in percent from which on a pool is worth a look.
	nearlyFull = 90
)

// poolColumn is a column with what it says of a pool, and of all pools of a family (nil: nothing).
type poolColumn struct {
	column
	value func(*poolRow) cell
	total func(*poolTotal) cell
}

// poolTotal sums up the pools of a family.
type poolTotal struct {
	family v1alpha1.IPFamily
	pools  int
	usage  usage
}

func (s *Screen) poolTable(rows []poolRow, wide bool) table {
	known := slices.ContainsFunc(rows, func(r poolRow) bool { return r.usage.known })
	columns := s.poolColumns(wide, known)
	t := table{}
	for _, c := range columns {
		t.columns = append(t.columns, c.column)
	}
	for i := range rows {
		cells := make([]cell, len(columns))
		for n, c := range columns {
			cells[n] = c.value(&rows[i])
		}
		switch {
		case s.width == 0: // a pipe has each line whole, for grep and awk
			fill(cells)
		case i > 0:
			group(cells, &rows[i-1], &rows[i])
		}
		t.rows = append(t.rows, row{cells: cells})
	}
	if len(rows) == 1 {
		return t
	}
	t.rows = append(t.rows, row{})
	for i, total := range totals(rows) {
		cells := make([]cell, len(columns))
		for n, c := range columns {
			if c.total != nil {
				cells[n] = c.total(&total)
			}
		}
		if i == 0 || s.width == 0 {
			cells[0] = cell{"TOTAL", heading}
		}
		t.rows = append(t.rows, row{cells: cells})
	}
	return t
}

// group leaves out node and interface where they are those of the row above.
func group(cells []cell, above, row *poolRow) {
	a, b := &above.pool.Spec, &row.pool.Spec
	if a.NodeName != b.NodeName {
		return
	}
	cells[0].text = ""
	if a.NetworkName == b.NetworkName && a.Interface == b.Interface {
		cells[1].text = ""
	}
}

// fill puts a dash where a cell is empty.
func fill(cells []cell) {
	for i := range cells {
		if cells[i].text == "" {
			cells[i] = cell{"-", dim}
		}
	}
}

func totals(rows []poolRow) []poolTotal {
	var sums []poolTotal
	for _, row := range rows {
		family := row.pool.Spec.IPFamily
		i := slices.IndexFunc(sums, func(t poolTotal) bool { return t.family == family })
		if i < 0 {
			i = len(sums)
			sums = append(sums, poolTotal{family: family})
		}
		sums[i].pools++
		sums[i].usage = sums[i].usage.plus(row.usage)
	}
	slices.SortFunc(sums, func(a, b poolTotal) int { return strings.Compare(string(a.family), string(b.family)) })
	return sums
}

// poolColumns are the columns of the table; known says that the use of a pool is. Their ranks say who stays where not
// all fit: what a plan is about, its ranges, or what an operator's pools are about, their use; bars come last.
func (s *Screen) poolColumns(wide, known bool) []poolColumn {
	rankCooling, rankRanges, leastRanges := 4, 3, len("2406:da1e:c4:ed01:c57d::/80")
	if known {
		rankCooling, rankRanges, leastRanges = 3, 4, len("172.31.28.16/28 +127")
	}
	columns := []poolColumn{
		{column{head: "NODE", want: s.width * 3 / 10}, func(r *poolRow) cell { return cell{r.node, name} }, nil},
		{
			column{head: "INTERFACE", want: 15}, func(r *poolRow) cell { return cell{r.link, plain} },
			func(t *poolTotal) cell { return cell{plan.Count(t.pools, "pool"), dim} },
		},
		{
			column{head: "FAMILY"}, func(r *poolRow) cell { return s.familyCell(r.pool.Spec.IPFamily) },
			func(t *poolTotal) cell { return s.familyCell(t.family) },
		},
		usageColumn(column{head: "FREE", right: true}, usage.freeCell),
		usageColumn(column{head: "USED", right: true}, usage.usedCell),
		usageColumn(column{head: "COOLING", right: true, rank: rankCooling}, usage.coolingCell),
		usageColumn(column{head: "CAPACITY", right: true, rank: 1}, usage.capacityCell),
	}
	if s.width >= barsFrom && !wide {
		columns = append(columns, usageColumn(column{head: "USE", rank: 5, optional: true}, s.bar))
	}
	state := column{head: "STATE", rank: 2, want: len("out of sync"), cut: s.symbols.cutList, optional: true}
	columns = append(columns,
		poolColumn{state, func(r *poolRow) cell { return r.state }, nil},
		s.textColumn("RANGES", rankRanges, leastRanges, func(p *v1alpha1.UnderlayPool) string {
			return strings.Join(toStrings(p.Spec.Ranges), ", ")
		}),
	)
	if wide {
		columns = append(columns, s.wideColumns()...)
	}
	return columns
}

func (s *Screen) wideColumns() []poolColumn {
	return []poolColumn{
		s.textColumn("POOL", 5, 32, func(p *v1alpha1.UnderlayPool) string { return p.Name }),
		s.textColumn("NETWORK", 6, 0, func(p *v1alpha1.UnderlayPool) string { return p.Spec.NetworkName }),
		s.textColumn("ENI", 7, 0, func(p *v1alpha1.UnderlayPool) string { return p.Spec.Interface.ID }),
		s.textColumn("SUBNET", 8, 0, func(p *v1alpha1.UnderlayPool) string { return string(p.Spec.Subnet) }),
		s.textColumn("GATEWAY", 9, 0, func(p *v1alpha1.UnderlayPool) string { return string(p.Spec.Gateway) }),
		s.textColumn("ALLOCATION", 10, 0, func(p *v1alpha1.UnderlayPool) string { return string(p.Spec.Allocation) }),
	}
}

func (s *Screen) textColumn(head string, rank, want int, value func(*v1alpha1.UnderlayPool) string) poolColumn {
	return poolColumn{
		column{head: head, rank: rank, want: want, cut: s.symbols.cutList},
		func(r *poolRow) cell { return cell{s.symbols.clean(value(r.pool)), plain} }, nil,
	}
}

func (s *Screen) familyCell(family v1alpha1.IPFamily) cell {
	return cell{s.symbols.clean(string(family)), plain}
}

func usageColumn(c column, value func(usage) cell) poolColumn {
	return poolColumn{
		c, func(r *poolRow) cell { return value(r.usage) }, func(t *poolTotal) cell { return value(t.usage) },
	}
}

func (u usage) freeCell() cell {
	switch {
	case !u.known:
		return cell{"-", dim}
	case u.free == 0 && u.capacity > 0:
		return cell{"0", bad}
	case u.percent() >= nearlyFull:
		return cell{number(u.free), caution}
	}
	return cell{number(u.free), plain}
}

func (u usage) usedCell() cell     { return u.quiet(u.used) }
func (u usage) coolingCell() cell  { return u.quiet(u.cooling) }
func (u usage) capacityCell() cell { return cell{number(u.capacity), plain} }

// quiet is a number that is of interest only when it is not zero.
func (u usage) quiet(n int64) cell {
	switch {
	case !u.known:
		return cell{"-", dim}
	case n == 0:
		return cell{"0", dim}
	}
	return cell{number(n), plain}
}

// percent of the capacity that is used, rounded down.
func (u usage) percent() int {
	if u.capacity <= 0 {
		return 0
	}
	return int(min(float64(u.used)/float64(u.capacity), 1) * 100)
}

// bar shows use; a pool in use is never empty, and only a full one is full.
func (s *Screen) bar(u usage) cell {
	if !u.known {
		return cell{}
	}
	percent := u.percent()
	full := percent * barWidth / 100
	text := strconv.Itoa(percent) + "%"
	if u.used > 0 && percent == 0 {
		text = "<1%"
	}
	if u.used > 0 && full == 0 {
		full = 1
	}
	look := plain
	if percent >= nearlyFull {
		look = caution
	}
	if u.free == 0 && u.capacity > 0 {
		look = bad
	}
	drawn := strings.Repeat(s.symbols.barFull, full) + strings.Repeat(s.symbols.barEmpty, barWidth-full)
	return cell{drawn + strings.Repeat(" ", 5-len(text)) + text, look}
}
