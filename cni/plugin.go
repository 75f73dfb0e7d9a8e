// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
)

// The paths of a node. They are nobody's to configure: a pod's user may write CNI configurations, and must not choose files.
const (
	NodeFile = "/var/lib/underlay/node.json"
	Folder   = "/run/underlay"
)

// primaryName is the name of a pod's first interface, which has its default routes and its host leg. (Kubernetes' runtimes know no other.)
const primaryName = "eth0"

// lockTimeout is how long a verb waits for the store, which is held for milliseconds. Runtimes give a verb some minutes.
const lockTimeout = 60 * time.Second

// Plugin is the verbs.
type Plugin struct {
	// NodeFile and Folder are the constants of the same names, except in tests.
	NodeFile, Folder string
	// Out is where results go, Log where remarks go that are no results.
	Out, Log io.Writer
	// After is called when a step of ADD or DEL is done, with its name; an error makes the step fail. Tests set it; nil does nothing.
	After func(step string) error
	// Now is the time since boot. Tests set it; nil is the kernel's.
	Now func() time.Duration
}

// New is the plugin as it runs on nodes.
func New() *Plugin {
	return &Plugin{NodeFile: NodeFile, Folder: Folder, Out: os.Stdout, Log: os.Stderr}
}

// The steps of the verbs besides those of the datapath, as Plugin.After hears of them.
const (
	StepAllocate = "take addresses"
	StepAnswer   = "answer"
	StepRemove   = "remove links"
	StepRelease  = "release addresses"
)

// Main runs the verb that the environment names, and returns the process's exit code.
func (p *Plugin) Main(about string) int {
	if os.Getenv("CNI_COMMAND") == "" {
		fmt.Fprintf(p.Log, "%s\nCNI protocol versions supported: %s\n", about, strings.Join(versions().SupportedVersions(), ", "))
		return 0
	}
	err := p.dispatch()
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[*types.Error](err)
	if !ok {
		e = types.NewError(types.ErrIOFailure, err.Error(), "") // of VERSION
	}
	if err := e.Print(); err != nil {
		fmt.Fprintln(p.Log, "underlay:", err)
	}
	return 1
}

func (p *Plugin) dispatch() error {
	if os.Getenv("CNI_COMMAND") == "VERSION" {
		return versions().Encode(p.Out)
	}
	v, c, err := readCall(os.Getenv, os.Stdin)
	if err != nil {
		return err
	}
	return explain(v.run(p, c))
}

func (p *Plugin) after(step string) error {
	if p.After == nil {
		return nil
	}
	return p.After(step)
}

// withStore calls fn while the store is locked.
func (p *Plugin) withStore(fn func(s *ipam.Store) error) error {
	store, err := ipam.Open(context.Background(), p.storeOptions())
	if err != nil {
		return err
	}
	err = fn(store)
	if closeErr := store.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (p *Plugin) storeOptions() ipam.Options {
	return ipam.Options{Folder: p.Folder, Found: Found, Log: p.log, Now: p.Now, Patience: lockTimeout}
}

func (p *Plugin) log(message string) { fmt.Fprintln(p.Log, "underlay:", message) }

// Found tells a new store which addresses live namespaces hold.
func Found() ([]ipam.Found, error) {
	list, err := datapath.FoundAddresses()
	if err != nil {
		return nil, err
	}
	addresses := make([]ipam.Found, len(list))
	for i, f := range list {
		addresses[i] = ipam.Found{
			Address: f.Address,
			IfName:  f.Name,
			Netns:   ipam.Netns{Path: f.Namespace, Inode: f.Inode},
			MAC:     f.MAC,
		}
	}
	return addresses, nil
}

func (p *Plugin) openDatapath() (*datapath.Datapath, error) {
	return datapath.Open(datapath.Options{Folder: p.Folder, After: p.After})
}

func owner(a *Call) ipam.Owner {
	return ipam.Owner{ContainerID: a.ContainerID, IfName: a.IfName}
}

func identity(a *Call) datapath.Identity {
	return datapath.Identity{Container: a.ContainerID, Name: a.IfName}
}

// print writes the result in the version that the configuration asks for.
func (p *Plugin) print(result types.Result, version string) error {
	converted, err := result.GetAsVersion(version)
	if err != nil {
		return err
	}
	if text, plain := encodePlain(converted); plain {
		_, err := p.Out.Write(text)
		return err
	}
	return converted.PrintTo(p.Out)
}
