// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// socket is rtnetlink's, of the thread's namespace.
type socket struct{ fd int }

func connect() (socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	return socket{fd}, err
}

// send sends messages together and waits for all results. If one asks for a link, its index is returned.
func (s socket) send(messages ...*nl.NetlinkRequest) (index int, err error) {
	var data []byte
	for i, m := range messages {
		m.Seq = uint32(i)
		data = append(data, m.Serialize()...)
	}
	if err := unix.Sendto(s.fd, data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	buffer := make([]byte, 16<<10)
	for left := len(messages); left > 0; {
		n, err := unix.Read(s.fd, buffer)
		if err != nil {
			return 0, err
		}
		answers, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return 0, err
		}
		for _, a := range answers {
			if a.Header.Type == unix.RTM_NEWLINK {
				index = int(nl.DeserializeIfInfomsg(a.Data).Index)
				continue
			}
			left--
			if errno := unix.Errno(-int32(binary.NativeEndian.Uint32(a.Data))); errno != 0 {
				return 0, fmt.Errorf("message %d of %d, of type %d: %w", a.Header.Seq+1, len(messages), messages[a.Header.Seq].Type, errno)
			}
		}
	}
	return index, nil
}

// set writes a kernel setting below /proc/sys/net.
func set(name, value string) error {
	fd, err := unix.Open("/proc/sys/net/"+name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, err = unix.Write(fd, []byte(value))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return unix.Close(fd)
}
