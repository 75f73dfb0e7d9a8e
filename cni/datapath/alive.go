// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"net/netip"
	"slices"
)

// Holds says whether the network namespace at path is still that of the inode, and has a link of that name or one of the addresses. After an error
// nobody knows.
func Holds(path string, inode uint64, name string, addresses []netip.Addr) (bool, error) {
	n, err := OpenNamespace(path)
	if wrong, ok := errors.AsType[*NamespaceError](err); ok && wrong.Gone {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer n.Close()
	if n.Inode != inode {
		return false, nil
	}
	holds := false
	err = n.withSocket(func(s *socket) error {
		answers, err := s.ask(getLink(name))
		if err != nil {
			return err
		}
		if holds = answers[0] != nil; holds {
			return nil
		}
		list, err := s.dump(listAddresses())
		if err != nil {
			return err
		}
		for _, data := range list {
			a, err := parseAddress(data)
			if err != nil {
				return err
			}
			holds = holds || slices.Contains(addresses, a.Addr())
		}
		return nil
	})
	return holds, err
}
