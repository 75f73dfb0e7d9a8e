// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"errors"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// takeAnswers has each interface of pools with host legs take pods' answers there, and no other.
func (h *Host) takeAnswers(file *nodefile.File) error {
	d, err := h.datapath()
	if err != nil {
		return err
	}
	defer d.Close()
	var errs []error
	var used []string
	for _, mac := range macs(file) {
		pods := file.HostLegPods(mac)
		if len(pods) == 0 {
			continue
		}
		used = append(used, mac)
		changed, err := d.SetAnswers(mac, datapath.Answers{Pods: pods, Node: file.Node.Addresses})
		if errors.As(err, new(*datapath.MasterError)) {
			continue // bringUp says it
		}
		if changed && err == nil {
			h.log.Info("takes answers of pods by their host legs", "mac", mac)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, d.ForgetAnswers(used...))...)
}
