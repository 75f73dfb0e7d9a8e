// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"os"
)

// Vacate removes from the node what serves all its pods: the rules for host legs, and the filters on its interfaces. No pod may be left. What others
// have there stays; links stay up.
func (d *Datapath) Vacate() error {
	errs := []error{removeFirewall(), d.ForgetAnswers()}
	for _, master := range d.rememberedMasters() {
		errs = append(errs, d.clearFilters(master))
	}
	if err := errors.Join(errs...); err != nil {
		return err // the next call needs to know the interfaces, too
	}
	return os.RemoveAll(d.hint(""))
}

// clearFilters removes our filters from an interface.
func (d *Datapath) clearFilters(index int) error {
	var messages []*message
	for _, f := range []filter{{priority: honestPriority}, {priority: settledPriority}, {priority: filterPriority}, {priority: filterPriority, chain: metadataChain}} {
		f.index, f.parent = index, outgoing
		messages = append(messages, deleteFilter(f))
	}
	if err := d.node.do(messages...); err != nil {
		return err
	}
	return d.removeFilterPoint(index)
}

// removeFilterPoint removes the place for filters if nobody has one there. That is ours as a rule: others who prepared it and have no filter yet would
// have to do it again.
func (d *Datapath) removeFilterPoint(index int) error {
	for _, parent := range []uint32{incoming, outgoing} {
		left, err := d.node.dump(listFilters(index, parent))
		if err != nil || len(left) > 0 {
			return err
		}
	}
	return d.node.do(deleteFilterPoint(index))
}
