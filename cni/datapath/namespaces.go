// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Found is an address that a live network namespace holds on an ipvlan link.
type Found struct {
	Namespace string // path
	Inode     uint64
	Name, MAC string
	Address   netip.Addr
}

// FoundAddresses lists the addresses of all ipvlan links in all namespaces of the machine but the node's own.
func FoundAddresses() ([]Found, error) {
	var found []Found
	err := eachNamespace(func(n *Namespace, s *socket) error {
		children, err := ipvlans(s)
		if err != nil || len(children) == 0 {
			return err
		}
		addresses, err := s.dump(listAddresses())
		if err != nil {
			return err
		}
		for _, data := range addresses {
			a, err := parseAddress(data)
			if err != nil {
				return err
			}
			if l, ok := children[a.index]; ok && !a.Addr().IsLinkLocalUnicast() {
				found = append(found, Found{Namespace: n.Path, Inode: n.Inode, Name: l.Name, MAC: l.MAC.String(), Address: a.Addr()})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for addresses in use: %w", err)
	}
	return found, nil
}

// ipvlans of a namespace, by index.
func ipvlans(s *socket) (map[int]link, error) {
	list, err := s.dump(listLinks())
	if err != nil {
		return nil, err
	}
	children := map[int]link{}
	for _, data := range list {
		l, err := parseLink(data)
		if err != nil {
			return nil, err
		}
		if l.kind == kindIPVlan {
			children[l.index] = l
		}
	}
	return children, nil
}

// eachNamespace calls fn with each network namespace of the machine but the calling thread's. Those that end meanwhile are left out.
func eachNamespace(fn func(n *Namespace, s *socket) error) error {
	paths, err := namespacePaths()
	if err != nil {
		return err
	}
	seen := map[uint64]bool{}
	for _, path := range paths {
		n, err := OpenNamespace(path)
		if err != nil {
			if _, ok := errors.AsType[*NamespaceError](err); ok {
				continue // gone, or our own
			}
			return err
		}
		if !seen[n.Inode] {
			seen[n.Inode] = true
			err = n.withSocket(func(s *socket) error { return fn(n, s) })
		}
		n.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// withSocket calls fn with a socket in the namespace.
func (n *Namespace) withSocket(fn func(s *socket) error) error {
	var s *socket
	err := n.do(func() (err error) {
		s, err = openSocket()
		return err
	})
	if err != nil {
		return err
	}
	defer s.close()
	return fn(s)
}

// namespacePaths lists paths of network namespaces: mounts first, since their names say more, then those of processes.
func namespacePaths() ([]string, error) {
	paths, err := mountedNamespaces()
	if err != nil {
		return nil, err
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	seen := map[string]bool{}
	for _, p := range processes {
		if _, err := strconv.Atoi(p.Name()); err != nil {
			continue
		}
		path := filepath.Join("/proc", p.Name(), "ns/net")
		name, err := os.Readlink(path) // "net:[4026531840]"
		if err != nil || seen[name] {
			continue // gone meanwhile, or a kernel thread
		}
		seen[name] = true
		paths = append(paths, path)
	}
	return paths, nil
}

// mountedNamespaces reads mountinfo: "36 35 0:3 net:[4026532008] /run/netns/x rw … - nsfs nsfs rw".
func mountedNamespaces() ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer func() { _ = file.Close() }()
	var paths []string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20) // overlay mounts have long lines
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 4 && strings.HasPrefix(fields[3], "net:[") {
			paths = append(paths, unescape(fields[4]))
		}
	}
	return paths, lines.Err()
}

// unescape undoes mountinfo's octal escapes of blanks.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}
