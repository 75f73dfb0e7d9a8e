// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// Paths of the machine, as the agent sees them.
type Paths struct {
	// NodeFile and Store are where the CNI looks for them: cni.NodeFile and cni.Folder, except in tests.
	NodeFile, Store string
	// Plugins is the folder with our CNI programs, CNIBin the one where runtimes look for such.
	Plugins, CNIBin string
	// CNIConf is the folder in which runtimes look for their CNI configuration.
	CNIConf string
	// Sysctl is the machine's /proc/sys.
	Sysctl string
}

// Part of the work on a machine.
type Part string

// The parts, in the order in which they are done.
const (
	PartPrograms Part = "Programs"
	PartSettings Part = "Settings"
	PartLinks    Part = "Links"
	PartNodeFile Part = "NodeFile"
	PartDefault  Part = "DefaultNetwork"
)

// Observation is what the machine is like.
type Observation struct {
	// Links that could carry pods, by name.
	Links []datapath.NodeLink
	// Obstacles say why some links cannot carry pods, by MAC. They are looked for by FindObstacles.
	Obstacles map[string]*datapath.MasterError
	// File that is in place; nil if there is none that could be read.
	File *nodefile.File
	// Vacant: nothing of ours is on the machine, and nothing shall be.
	Vacant bool
	// Pools of File, in its order.
	Pools []ipam.PoolUsage
	// Default CNI configuration.
	Default Default
	// Facts beside links.
	Facts Facts
	// Answers says why what pods answer by their host legs is not taken there; nil if it is, or no pool here is of a network with host legs.
	Answers error
	// Failed parts.
	Failed map[Part]error
}

// Host is the machine. It is for one user at a time.
type Host struct {
	paths     Paths
	log       *slog.Logger
	obstacles map[string]*datapath.MasterError
	// installed programs as they were when they were compared last: the source, and the target by its path.
	installed map[string][2]identity
	// missing modules of the kernel; tried: they were looked for.
	missing []string
	tried   bool
	// now is the time since boot, for tests; nil is the kernel's.
	now func() time.Duration
}

// New is the machine with these paths. Log hears of each change.
func New(paths Paths, log *slog.Logger) *Host {
	return &Host{paths: paths, log: log, installed: map[string][2]identity{}}
}

// datapath works on the machine's network. The caller closes it.
func (h *Host) datapath() (*datapath.Datapath, error) {
	return datapath.Open(datapath.Options{Folder: h.paths.Store})
}

// Links that could carry pods, by name; where the machine is a container, those with one of the MACs among them.
func (h *Host) Links(macs []string) ([]datapath.NodeLink, error) {
	d, err := h.datapath()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.NodeLinks(macs)
}

// macs of the interfaces with pools.
func macs(file *nodefile.File) []string {
	var list []string
	if file != nil {
		for _, p := range file.Pools {
			list = append(list, p.Interface.MAC)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Apply makes the machine what the node file says, and says what it is then. Without a file it is what the one in place says, if that is the node's:
// this is for the time in which the API server cannot be asked.
func (h *Host) Apply(ctx context.Context, node string, file *nodefile.File) Observation {
	o := Observation{Failed: map[Part]error{}, Obstacles: h.obstacles}
	fail := func(part Part, err error) {
		if err != nil {
			o.Failed[part] = errors.Join(o.Failed[part], err)
		}
	}
	offline := file == nil
	if offline {
		file = h.inPlace(node)
	}
	if file != nil { // else nobody can use the programs, and where there is no network they would have to go again
		fail(PartPrograms, h.install())
		fail(PartSettings, h.set(file))
		fail(PartLinks, h.bringUp(file))
		o.Answers = h.takeAnswers(file)
	}
	var err error
	o.Links, err = h.Links(macs(file))
	fail(PartLinks, err)
	if file != nil {
		h.withStore(ctx, file, !offline, &o, fail)
	}
	o.Facts = h.facts(ctx)
	return o
}

// inPlace is the node file on disk; nil if there is none of this node that can be read. What is wrong with it shows when the next one replaces it.
func (h *Host) inPlace(node string) *nodefile.File {
	file, err := nodefile.Read(h.paths.NodeFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.log.Warn("the node file in place cannot be used", "error", err)
	}
	if err != nil || file.Node.Name != node {
		return nil // none, or of the machine that this one's disk was copied from
	}
	return file
}

// lockTimeout is how long the store may be locked by others, who hold it for milliseconds.
const lockTimeout = time.Minute

// withStore does what needs the allocation store, all of it under one hold of its lock: whoever learns the result knows that no ADD uses an older
// node file any more.
func (h *Host) withStore(ctx context.Context, file *nodefile.File, write bool, o *Observation, fail func(Part, error)) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	store, err := ipam.Open(ctx, h.storeOptions())
	if err != nil {
		fail(PartNodeFile, err)
		return
	}
	defer func() { fail(PartNodeFile, store.Close()) }()
	if write {
		if err := h.write(file); err != nil {
			fail(PartNodeFile, err)
			return
		}
	}
	usage, err := store.Usage(file)
	if err != nil {
		fail(PartNodeFile, err)
		return
	}
	o.File, o.Pools = file, usage.Pools
	o.Default, err = h.setDefault(store, file, o.Failed[PartPrograms] == nil)
	fail(PartDefault, err)
}

// write replaces the node file if it differs. The caller holds the store's lock.
func (h *Host) write(file *nodefile.File) error {
	changed, err := nodefile.Update(h.paths.NodeFile, file)
	if err != nil || !changed {
		return err
	}
	h.log.Info("wrote the node file", "networks", len(file.Networks), "pools", len(file.Pools))
	return nil
}

func (h *Host) storeOptions() ipam.Options {
	return ipam.Options{Folder: h.paths.Store, Found: cni.Found, Now: h.now, Log: func(message string) { h.log.Warn(message) }}
}

// FindObstacles looks into all namespaces for what keeps pods from the node's links. It costs some milliseconds for each pod.
func (h *Host) FindObstacles() error {
	d, err := h.datapath()
	if err != nil {
		return err
	}
	defer d.Close()
	found, err := d.Obstacles()
	if err != nil {
		return fmt.Errorf("look for obstacles on the node's links: %w", err)
	}
	h.obstacles = found
	return nil
}
