// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// ConfigName is the file of the default CNI configuration: runtimes take the first by name.
const ConfigName = "05-underlay.conflist"

// Default is the state of the machine's default CNI configuration.
type Default struct {
	// Wanted is the node's default network, Installed that of the configuration in place; empty for none.
	Wanted, Installed string
	// Refused says why Wanted is not installed or not used, or why Installed stays; empty if all is as it should be.
	Refused string
	// Foreign is another CNI configuration that runtimes take before ours; empty if there is none.
	Foreign string
}

// action on the configuration file.
type action int

const (
	keep action = iota
	install
	remove
)

// decide says what to do, and in d.Refused why that is not what is wanted. Exists: there is a file, which is of d.Installed; pods counts that network's;
// programs: ours are installed.
//
// A configuration goes only after the last pod of its network: without one, runtimes cannot delete that pod.
func (d *Default) decide(exists bool, pods int, programs bool) action {
	otherwise := keep
	if exists {
		otherwise = remove
	}
	if d.Wanted != "" && d.Foreign != "" {
		d.Refused = fmt.Sprintf("runtimes take the CNI configuration %s before ours: remove it, and the CNI that it belongs to, from the node, or set spec.default of network %s to false", d.Foreign, d.Wanted)
	}
	switch {
	case exists && d.Installed == d.Wanted && d.Wanted != "", exists && d.Installed == "" && d.Wanted != "":
		return install // again: it may have been changed
	case exists && pods > 0:
		d.Refused = fmt.Sprintf("the CNI configuration of network %s stays until its last pod on this node is deleted, of %d: runtimes cannot delete pods without it, and new pods are of that network until then; drain the node to be quick",
			cmp.Or(d.Installed, "(unreadable)"), pods)
		return keep
	case d.Wanted == "", d.Foreign != "":
		return otherwise
	case !programs:
		d.Refused = "the CNI programs are not installed"
		return otherwise
	}
	return install
}

// setDefault installs the default network's configuration, or removes what is no longer wanted. The caller holds the store's lock.
func (h *Host) setDefault(store *ipam.Store, file *nodefile.File, programs bool) (Default, error) {
	d := Default{}
	if n := file.DefaultNetwork(); n != nil {
		d.Wanted = n.Name
	}
	path := filepath.Join(h.paths.CNIConf, ConfigName)
	c, exists, err := readConfig(path)
	if err != nil {
		return d, err
	}
	d.Installed = c.network()
	if d.Foreign, err = h.foreign(); err != nil {
		return d, err
	}
	pods := 0
	if exists && (d.Installed != d.Wanted || d.Wanted == "") {
		if pods, err = podsOf(store, d.Installed); err != nil {
			return d, err
		}
	}
	switch d.decide(exists, pods, programs) {
	case install:
		if err := h.writeConfig(path, file.DefaultNetwork()); err != nil {
			return d, err
		}
		d.Installed = d.Wanted
	case remove:
		if err := os.Remove(path); err != nil {
			return d, err
		}
		h.log.Info("removed the default CNI configuration", "network", d.Installed)
		d.Installed = ""
	case keep:
	}
	return d, nil
}

func (h *Host) writeConfig(path string, n *nodefile.Network) error {
	content, err := configOf(n)
	if err != nil || same(path, content) {
		return err
	}
	if err := replace(path, content, configMode); err != nil {
		return fmt.Errorf("install the default CNI configuration: %w", err)
	}
	h.log.Info("installed the default CNI configuration", "network", n.Name, "path", path)
	return nil
}

// podsOf counts a network's interfaces of pods; all networks' if its name is empty, as that of a configuration that cannot be read.
func podsOf(store *ipam.Store, network string) (int, error) {
	records, err := store.List()
	if err != nil {
		return 0, err
	}
	records = slices.DeleteFunc(records, func(r ipam.Record) bool { return network != "" && r.Network != network })
	return len(records), nil
}

// configuration is what runtimes read: a list of plugins, or one plugin.
type configuration struct {
	CNIVersion  string   `json:"cniVersion,omitempty"`
	CNIVersions []string `json:"cniVersions,omitempty"`
	Name        string   `json:"name,omitempty"`
	// Type of a file that is one plugin.
	Type    string   `json:"type,omitempty"`
	Plugins []plugin `json:"plugins,omitempty"`
}

type plugin struct {
	Type         string          `json:"type"`
	Network      string          `json:"network,omitempty"`
	Capabilities map[string]bool `json:"capabilities,omitempty"`
}

// network of a configuration of ours; empty for others.
func (c *configuration) network() string {
	if len(c.Plugins) > 0 && c.Plugins[0].Type == cni.Type {
		return c.Plugins[0].Network
	}
	return ""
}

// configOf a default network. Older runtimes read cniVersion, newer ones take the highest of cniVersions that they know; with 1.1 they call GC and
// STATUS too.
func configOf(n *nodefile.Network) ([]byte, error) {
	capabilities := map[string]bool{"bandwidth": true}
	if n.RequestedIPs == nodefile.RequestedIPsAllow {
		capabilities["ips"] = true
	}
	content, err := json.MarshalIndent(configuration{
		CNIVersion:  "1.0.0",
		CNIVersions: []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"},
		Name:        n.Name,
		Plugins: []plugin{
			{Type: cni.Type, Network: n.Name, Capabilities: capabilities},
			{Type: "portmap", Capabilities: map[string]bool{"portMappings": true}},
		},
	}, "", "  ")
	return append(content, '\n'), err
}

// readConfig reads the configuration at path. One that cannot be understood is an empty one.
func readConfig(path string) (c configuration, exists bool, err error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return configuration{}, false, nil
	}
	if err != nil {
		return configuration{}, false, err
	}
	if !json.Valid(content) {
		return configuration{}, true, nil
	}
	_ = json.Unmarshal(content, &c) // what has other types than ours stays empty
	return c, true, nil
}

// foreign finds the CNI configuration that runtimes take before ours, Multus's aside: that one calls the next. One that cannot be read counts: runtimes
// fail at it.
func (h *Host) foreign() (string, error) {
	names, err := h.configurations()
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if name >= ConfigName {
			break
		}
		c, exists, err := readConfig(filepath.Join(h.paths.CNIConf, name))
		if err != nil {
			return "", err
		}
		if exists && !c.isMultus() {
			return name, nil
		}
	}
	return "", nil
}

// configurations that runtimes look at, by name.
func (h *Host) configurations() ([]string, error) {
	entries, err := os.ReadDir(h.paths.CNIConf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list CNI configurations: %w", err)
	}
	var names []string
	for _, entry := range entries { // sorted by name
		if !entry.IsDir() && slices.Contains([]string{".conf", ".conflist", ".json"}, filepath.Ext(entry.Name())) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

func (c *configuration) isMultus() bool {
	kind := c.Type
	if len(c.Plugins) > 0 {
		kind = c.Plugins[0].Type
	}
	return kind == "multus" || strings.HasPrefix(kind, "multus-")
}
