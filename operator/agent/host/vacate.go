// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
)

// Vacate takes everything of ours from the machine, for when there is no network any more, and says what the machine is like then. While pods hold
// addresses it does nothing, since their end needs it, and says that the machine is not vacant. Changed settings stay, for others may count on them by
// now, and interfaces stay up; docs/reference/agent.md lists what stays. Addresses that rest are forgotten.
func (h *Host) Vacate(ctx context.Context) (Observation, error) {
	vacant, err := h.vacate(ctx)
	if err != nil {
		return Observation{}, fmt.Errorf("remove what is left of networks: %w", err)
	}
	links, err := h.Links(nil)
	return Observation{Links: links, Obstacles: h.obstacles, Vacant: vacant, Facts: h.facts(ctx)}, err
}

// vacate removes our program last, which tells that there was something: what a killed agent has begun, the next completes.
func (h *Host) vacate(ctx context.Context) (vacant bool, err error) {
	program := filepath.Join(h.paths.CNIBin, cni.Type)
	if !anyExists(program, h.paths.NodeFile) && !ipam.Exists(h.paths.Store) {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	store, err := ipam.Open(ctx, h.storeOptions())
	if err != nil {
		return false, err
	}
	pods, err := podsOf(store, "")
	if err != nil || pods > 0 {
		return false, errors.Join(err, store.Close())
	}
	// Under the lock: an ADD that waits for it finds no node file.
	err = errors.Join(removeFile(filepath.Join(h.paths.CNIConf, ConfigName)), removeFile(h.paths.NodeFile), h.clearNode(), store.Erase(), h.removePlugins())
	if err == nil {
		err = removeFile(program)
	}
	if err != nil {
		return false, err
	}
	h.log.Info("removed the CNI from the machine, since there is no network any more")
	return true, nil
}

func anyExists(paths ...string) bool {
	for _, p := range paths {
		if _, err := os.Lstat(p); err == nil {
			return true
		}
	}
	return false
}

// removeFile removes a file that may be gone already.
func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// clearNode removes what serves all pods.
func (h *Host) clearNode() error {
	d, err := h.datapath()
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Vacate()
}

// removePlugins removes what else we installed, unless another CNI is configured, which needs such programs too.
func (h *Host) removePlugins() error {
	others, err := h.configurations()
	if err != nil || len(others) > 0 {
		return err
	}
	var errs []error
	for _, p := range programs() {
		target := filepath.Join(h.paths.CNIBin, p.name)
		if equal, err := sameProgram(filepath.Join(h.paths.Plugins, p.name), target); !p.ours && err == nil && equal {
			errs = append(errs, removeFile(target))
		}
	}
	return errors.Join(errs...)
}
