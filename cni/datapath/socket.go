// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// message is a request to the kernel.
type message struct {
	*nl.NetlinkRequest
	// what it does, for errors, which alone ask for it: "add route …".
	what func() string
	// fine lists results that are as good as success.
	fine []unix.Errno
	// module of the kernel that it needs, if that may be missing.
	module string
	// silent messages are parts of a transaction: the kernel says nothing of one unless it fails, and all with it.
	silent bool
}

func newMessage(kind, flags int, what func() string, fine ...unix.Errno) *message {
	return &message{NetlinkRequest: nl.NewNetlinkRequest(kind, flags), what: what, fine: fine}
}

// MessageError is the kernel's refusal of a message.
type MessageError struct {
	What  string
	Errno unix.Errno
	// Module of the kernel that is missing; empty if that is not why.
	Module string
	// Text that the kernel adds; may be empty.
	Text string
	// index of the message among those sent together.
	index int
}

func (e *MessageError) Error() string {
	if e.Module != "" {
		return fmt.Sprintf("%s: this kernel lacks the module %s: install the kernel's package of additional modules on the node, and load it by `modprobe %s`", e.What, e.Module, e.Module)
	}
	if e.Text != "" {
		return fmt.Sprintf("%s: %v (%s)", e.What, e.Errno, e.Text)
	}
	return fmt.Sprintf("%s: %v", e.What, e.Errno)
}

func (e *MessageError) Unwrap() error { return e.Errno }

// socket talks rtnetlink with one network namespace: that of the thread which opened it. It is for one user at a time.
type socket struct {
	fd       int
	sequence uint32
	buffer   []byte
}

// bufferSize is what the kernel at most puts into one part of a dump.
const bufferSize = 32 << 10

func openSocket() (*socket, error) { return openSocketOf(unix.NETLINK_ROUTE) }

// openSocketOf opens a socket of another protocol than rtnetlink's.
func openSocketOf(protocol int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	s := &socket{fd: fd, buffer: make([]byte, bufferSize)}
	// Both make answers better, and a kernel without them answers too.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	// Connected to the kernel, the socket takes messages from nobody else.
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		s.close()
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return s, nil
}

func (s *socket) close() { _ = unix.Close(s.fd) }

// do sends messages together and waits for their results. The kernel goes on behind one that fails; the first error is returned.
func (s *socket) do(messages ...*message) error {
	_, err := s.exchange(messages)
	return err
}

// ask sends messages together, each of which has one answer; the answer of one that failed is nil.
func (s *socket) ask(messages ...*message) ([][]byte, error) {
	return s.exchange(messages)
}

// transact sends messages to nftables that are done all together or not at all.
func (s *socket) transact(messages ...*message) error {
	for _, m := range messages[:len(messages)-1] {
		m.silent = true
	}
	return s.do(slices.Concat([]*message{mark(unix.NFNL_MSG_BATCH_BEGIN)}, messages, []*message{mark(unix.NFNL_MSG_BATCH_END)})...)
}

func (s *socket) exchange(messages []*message) ([][]byte, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	first := s.sequence + 1
	left, err := s.post(messages)
	if err != nil {
		return nil, err
	}
	answers := make([][]byte, len(messages))
	var failed *MessageError
	for left > 0 {
		parts, err := s.receive()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", messages[0].what(), err)
		}
		for _, part := range parts {
			i := int(part.Header.Seq - first)
			if i < 0 || i >= len(messages) {
				continue // of an earlier exchange that was given up
			}
			if part.Header.Type != unix.NLMSG_ERROR {
				answers[i] = slices.Clone(part.Data)
				continue
			}
			refusal := result(part, messages[i])
			switch {
			case !messages[i].silent:
				left--
			case refusal != nil:
				left = 0
			}
			if refusal != nil && (failed == nil || i < failed.index) {
				refusal.index = i
				failed = refusal
			}
		}
	}
	if failed != nil {
		return answers, failed
	}
	return answers, nil
}

// post sends messages together, and returns how many results there will be.
func (s *socket) post(messages []*message) (results int, err error) {
	var out []byte
	for _, m := range messages {
		s.sequence++
		m.Seq = s.sequence
		if !m.silent {
			m.Flags |= unix.NLM_F_ACK
			results++
		}
		out = append(out, m.Serialize()...)
	}
	if err := s.send(out); err != nil {
		return 0, fmt.Errorf("%s: %w", messages[0].what(), err)
	}
	return results, nil
}

// result reads an acknowledgement; nil if the message did what it should.
func result(part syscall.NetlinkMessage, m *message) *MessageError {
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(part.Data)))
	if errno == 0 || slices.Contains(m.fine, errno) {
		return nil
	}
	refusal := &MessageError{What: m.what(), Errno: errno, Text: text(part)}
	if errno == unix.ENOENT || errno == unix.EOPNOTSUPP {
		refusal.Module = m.module
	}
	return refusal
}

// text is what the kernel says about an error: attributes behind the header of the message that it is about.
func text(part syscall.NetlinkMessage) string {
	const flagCapped, flagAttributes, attributeText = 0x100, 0x200, 1
	rest := part.Data[4:]
	if part.Header.Flags&flagAttributes == 0 || len(rest) < unix.NLMSG_HDRLEN {
		return ""
	}
	skip := unix.NLMSG_HDRLEN
	if part.Header.Flags&flagCapped == 0 {
		skip = int(binary.NativeEndian.Uint32(rest)+3) &^ 3
	}
	if skip > len(rest) {
		return ""
	}
	attributes, err := nl.ParseRouteAttrAsMap(rest[skip:])
	if err != nil {
		return ""
	}
	return untilZero(attributes[attributeText].Value)
}

// untilZero is the text in an attribute, which the kernel ends by a zero byte as a rule.
func untilZero(data []byte) string {
	text, _, _ := bytes.Cut(data, []byte{0})
	return string(text)
}

// dump sends a message whose answer is a list. A list that changed while the kernel wrote it is asked for again.
func (s *socket) dump(m *message) ([][]byte, error) {
	// Interruptions come in bursts, while many pods start; a try takes less than a millisecond.
	const tries = 100
	for range tries {
		list, whole, err := s.dumpOnce(m)
		if err != nil || whole {
			return list, err
		}
	}
	return nil, fmt.Errorf("%s: the list changed during each of %d readings", m.what(), tries)
}

func (s *socket) dumpOnce(m *message) (list [][]byte, whole bool, err error) {
	s.sequence++
	m.Seq = s.sequence
	m.Flags |= unix.NLM_F_DUMP
	if err := s.send(m.Serialize()); err != nil {
		return nil, false, fmt.Errorf("%s: %w", m.what(), err)
	}
	whole = true
	for {
		parts, err := s.receive()
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", m.what(), err)
		}
		for _, part := range parts {
			if part.Header.Seq != m.Seq {
				continue
			}
			whole = whole && part.Header.Flags&unix.NLM_F_DUMP_INTR == 0
			switch part.Header.Type {
			case unix.NLMSG_DONE, unix.NLMSG_ERROR:
				if len(part.Data) < 4 {
					return list, whole, nil
				}
				if refusal := result(part, m); refusal != nil && !errors.Is(refusal.Errno, unix.EINTR) {
					return nil, false, refusal
				}
				return list, whole, nil
			}
			list = append(list, slices.Clone(part.Data))
		}
	}
}

func (s *socket) send(data []byte) error {
	for {
		_, err := unix.Write(s.fd, data)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (s *socket) receive() ([]syscall.NetlinkMessage, error) {
	for {
		n, err := unix.Read(s.fd, s.buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return syscall.ParseNetlinkMessage(s.buffer[:n])
	}
}
