// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// startAndHang tells a copy of the test binary to start a control plane and wait to be killed.
const startAndHang = "CONTROLPLANE_TEST_START_AND_HANG"

// hang starts a control plane, prints its folder and waits for the end of its input, which comes should the test that
// started this process die before it.
func hang() error {
	plane, err := Start(context.Background(), Options{})
	if err != nil {
		return err
	}
	fmt.Println(plane.files.Path())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// processes returns the command lines of all processes which mention dir.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no processes in /proc: %v", err)
	}
	var found []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(dir)) { // an error: it has just ended
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
	return found
}

func TestStopLeavesNothing(t *testing.T) {
	plane, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := plane.files.Path()
	if running := processes(t, dir); len(running) != 2 {
		t.Errorf("%d processes run, want etcd and kube-apiserver:\n%s", len(running), strings.Join(running, "\n"))
	}
	start := time.Now()
	if err := plane.Stop(); err != nil {
		t.Error(err)
	}
	t.Logf("stopped in %s", time.Since(start))
	if left := processes(t, dir); len(left) > 0 {
		t.Errorf("still running:\n%s", strings.Join(left, "\n"))
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder %s is still there: %v", dir, err)
	}
	if err := plane.Stop(); err != nil {
		t.Errorf("the second Stop: %v", err)
	}
}

func TestKilledProcessLeavesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ties a process to the one that started it")
	}
	t.Setenv("TMPDIR", t.TempDir())
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), startAndHang+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("read the folder's name: %v", err)
	}
	dir := strings.TrimSpace(line)
	if running := processes(t, dir); len(running) != 2 {
		t.Errorf("%d processes run, want etcd and kube-apiserver:\n%s", len(running), strings.Join(running, "\n"))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed

	for deadline := time.Now().Add(30 * time.Second); len(processes(t, dir)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still running:\n%s", strings.Join(processes(t, dir), "\n"))
		}
	}
}

func TestLastWords(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	mine, err := newFiles()
	if err != nil {
		t.Fatal(err)
	}
	for line := range 2 * tailLines {
		fmt.Fprintf(mine.etcd, "etcd %d\n", line)
	}
	fmt.Fprintln(mine.apiserver, "unknown flag: --no-such-flag")
	words := mine.lastWords()
	if strings.Contains(words, "etcd 9\n") || !strings.HasSuffix(words, "etcd 19\n--- end of apiserver.log\nunknown flag: --no-such-flag") {
		t.Errorf("the last words are%s", words)
	}
	if err := mine.remove(); err != nil {
		t.Error(err)
	}
}
