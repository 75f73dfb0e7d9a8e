// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRelaxMonitor finds the runtime's monitor by what it does, which is to sleep and wake up again and again while another thread computes: it is the
// one that gets the slack, and no other does.
func TestRelaxMonitor(t *testing.T) {
	before := sleeps(t)
	for deadline := time.Now().Add(300 * time.Millisecond); time.Now().Before(deadline); {
	}
	monitor, most := "", 0
	for thread, count := range sleeps(t) {
		if slept := count - before[thread]; slept > most {
			monitor, most = thread, slept
		}
	}
	if most < 10 { // it sleeps 10 ms at most
		t.Fatalf("no thread slept more than %d times: there is no monitor", most)
	}
	relaxMonitor()
	for thread := range sleeps(t) {
		slack, err := os.ReadFile(filepath.Join("/proc", thread, "timerslack_ns"))
		if err != nil {
			t.Fatal(err)
		}
		if relaxed := strings.TrimSpace(string(slack)) == "100000000"; relaxed != (thread == monitor) {
			t.Errorf("thread %s has a slack of %s ns; the monitor is %s, which slept %d times", thread, slack, monitor, most)
		}
	}
}

// sleeps counts how often each thread of this process gave up its processor by itself.
func sleeps(t *testing.T) map[string]int {
	t.Helper()
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
		count, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
		if err != nil {
			t.Fatal(err)
		}
		counts[filepath.Base(filepath.Dir(path))] = count
	}
	return counts
}
