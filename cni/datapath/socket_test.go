// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// reply is a message of the kernel: kind, flags and data. Its sequence number is that of the question, plus shift.
type reply struct {
	kind, flags uint16
	data        []byte
	shift       uint32
}

// kernel answers each datagram on the other end of a socket by the next list of replies, each in a datagram of its own.
func kernel(t *testing.T, answers ...[]reply) *socket {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{fd: pair[0], buffer: make([]byte, bufferSize)}
	t.Cleanup(s.close)
	go func() {
		defer func() { _ = unix.Close(pair[1]) }()
		question := make([]byte, bufferSize)
		for _, list := range answers {
			if n, err := unix.Read(pair[1], question); err != nil || n < unix.SizeofNlMsghdr {
				return
			}
			sequence := binary.NativeEndian.Uint32(question[8:])
			for _, r := range list {
				if _, err := unix.Write(pair[1], r.encode(sequence)); err != nil {
					return
				}
			}
		}
	}()
	return s
}

func (r reply) encode(sequence uint32) []byte {
	b := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(r.data))
	b = append(b, r.data...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], r.kind)
	binary.NativeEndian.PutUint16(b[6:], r.flags)
	binary.NativeEndian.PutUint32(b[8:], sequence+r.shift)
	return b
}

func part(text string) reply {
	return reply{kind: unix.RTM_NEWLINK, flags: unix.NLM_F_MULTI, data: []byte(text)}
}

func interrupted(r reply) reply {
	r.flags |= unix.NLM_F_DUMP_INTR
	return r
}

func done(errno unix.Errno) reply {
	return reply{kind: unix.NLMSG_DONE, flags: unix.NLM_F_MULTI, data: binary.NativeEndian.AppendUint32(nil, -uint32(errno))}
}

// acknowledge gives the result of the nth message of a datagram.
func acknowledge(n uint32, errno unix.Errno) reply {
	data := binary.NativeEndian.AppendUint32(nil, -uint32(errno))
	return reply{kind: unix.NLMSG_ERROR, flags: 0x100, data: append(data, make([]byte, unix.SizeofNlMsghdr)...), shift: n}
}

// TestInterruptedDump changes the list while it is read, in each place where the kernel says so.
func TestInterruptedDump(t *testing.T) {
	whole := []reply{part("one!"), part("two!"), done(0)}
	for name, broken := range map[string][]reply{
		"at the start":      {interrupted(part("one!")), done(0)},
		"at the end":        {part("one!"), interrupted(done(0))},
		"as an error":       {part("one!"), interrupted(done(unix.EINTR))},
		"of something else": {part("one!"), {kind: unix.NLMSG_DONE, data: make([]byte, 4), shift: 7}, interrupted(part("past")), done(0)},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := kernel(t, broken, broken, whole).dump(listLinks())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"one!", "two!"}, texts(list)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("always", func(t *testing.T) {
		_, err := kernel(t, slices.Repeat([][]reply{{interrupted(done(0))}}, 200)...).dump(listLinks())
		if err == nil {
			t.Error("a list that is never whole was believed")
		}
	})
	t.Run("refused", func(t *testing.T) {
		_, err := kernel(t, []reply{acknowledge(0, unix.EPERM)}).dump(listLinks())
		if !errors.Is(err, unix.EPERM) {
			t.Errorf("error %v, want EPERM", err)
		}
	})
}

func texts(list [][]byte) []string {
	var s []string
	for _, b := range list {
		s = append(s, string(b))
	}
	return s
}

// TestSeveralMessages sends three at once: the first error counts, and those that are fine do not.
func TestSeveralMessages(t *testing.T) {
	three := func() []*message { return []*message{getLink("a"), getLink("b"), getLink("c")} }
	answer := part("link")
	answer.shift = 2
	got, err := kernel(t, []reply{acknowledge(0, unix.ENODEV), acknowledge(1, 0), answer, acknowledge(2, 0)}).ask(three()...)
	if err != nil || got[0] != nil || got[1] != nil || string(got[2]) != "link" {
		t.Errorf("answers %q, error %v", got, err)
	}
	err = kernel(t, []reply{acknowledge(0, 0), acknowledge(2, unix.EBUSY), acknowledge(1, unix.EPERM)}).do(three()...)
	refusal, ok := errors.AsType[*MessageError](err)
	if !ok || refusal.Errno != unix.EPERM || refusal.index != 1 || refusal.What != "read link b" {
		t.Errorf("error %v, want that of b", err)
	}
}

// TestRefusalWithoutText has the kernel tell at which byte of a message it is about, and nothing in words.
func TestRefusalWithoutText(t *testing.T) {
	refusal := acknowledge(0, unix.EINVAL)
	const capped, attributes, offset = 0x100, 0x200, 2
	refusal.flags = capped | attributes
	refusal.data = append(refusal.data, 8, 0, offset, 0, 20, 0, 0, 0)
	err := kernel(t, []reply{refusal}).do(getLink("a"))
	if want := "read link a: invalid argument"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestTransaction is sent in five parts: its beginning, two of which the kernel says nothing as long as they are fine, the last one, and its end.
func TestTransaction(t *testing.T) {
	for name, test := range map[string]struct {
		replies []reply
		errno   unix.Errno
		what    string
	}{
		"done":                {replies: []reply{acknowledge(3, 0)}},
		"the first refused":   {[]reply{acknowledge(1, unix.EPERM), acknowledge(3, 0)}, unix.EPERM, "read link a"},
		"the second refused":  {[]reply{acknowledge(2, unix.EBUSY)}, unix.EBUSY, "read link b"},
		"the last refused":    {[]reply{acknowledge(3, unix.EEXIST)}, unix.EEXIST, "read link c"},
		"all refused":         {[]reply{acknowledge(0, unix.EOPNOTSUPP)}, unix.EOPNOTSUPP, "change nftables"},
		"acknowledged anyway": {[]reply{acknowledge(0, 0), acknowledge(1, 0), acknowledge(2, 0), acknowledge(3, unix.EEXIST)}, unix.EEXIST, "read link c"},
	} {
		t.Run(name, func(t *testing.T) {
			err := kernel(t, test.replies).transact(getLink("a"), getLink("b"), getLink("c"))
			if test.errno == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refusal, ok := errors.AsType[*MessageError](err)
			if !ok || refusal.Errno != test.errno || refusal.What != test.what {
				t.Errorf("error %v, want %s: %v", err, test.what, test.errno)
			}
		})
	}
}
