// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import "golang.org/x/sys/unix"

// relaxMonitor lets the thread by which Go's runtime watches the others oversleep. It wakes up every 20 µs at first, to take work from threads that hang in the
// kernel and give it to idle ones; a verb has one piece of work, and waits in the kernel most of the time. When a hundred pods start at once, monitors
// took a quarter of the processors (docs/benchmarks.md). Where it does not work, nothing is lost but that.
func relaxMonitor() {
	const slack = "100000000" // ns
	monitor, ok := secondThread()
	if !ok {
		return
	}
	fd, err := unix.Open("/proc/"+monitor+"/timerslack_ns", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, []byte(slack))
	_ = unix.Close(fd)
}

// secondThread is the number of the process's second thread: the kernel lists them by age, and the runtime starts its monitor first.
func secondThread() (string, bool) {
	fd, err := unix.Open("/proc/self/task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer func() { _ = unix.Close(fd) }()
	var entries [256]byte // one is of 24 bytes
	n, err := unix.ReadDirent(fd, entries[:])
	if err != nil {
		return "", false
	}
	_, _, threads := unix.ParseDirent(entries[:n], -1, nil)
	if len(threads) < 2 {
		return "", false
	}
	return threads[1], true
}

// growStack makes the stack as large as verbs need it, once. It would grow in four steps, and be copied in each with what is on it.
//
//go:noinline
func growStack() {
	var room [17 << 10]byte // makes 32 KiB of it
	touch(&room)
}

//go:noinline
func touch(*[17 << 10]byte) {}
