// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patience is how long something may take that takes seconds on idle machines.
const patience = 3 * time.Minute

// try runs kubectl as the user, and returns what it printed on stdout. The error has what it said on stderr.
func (s *suite) try(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(s.Bin, "kubectl"), args...)
	cmd.Env = s.env
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	return stdout.String(), err
}

// kubectl runs kubectl, which must succeed.
func (s *suite) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.try(t, "", args...)
	must(t, err)
	return out
}

// code is the exit code behind an error of try.
func code(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return 0
}

func (s *suite) apply(t *testing.T, manifest string) {
	t.Helper()
	_, err := s.try(t, manifest, "apply", "-f", "-")
	must(t, err)
}

// exec runs the test program inside a pod.
func (s *suite) exec(t *testing.T, pod string, args ...string) (string, error) {
	t.Helper()
	return s.try(t, "", append([]string{"exec", pod, "--", "/testapp"}, args...)...)
}

// reach expects that the test program in the pod succeeds, within some tries: neighbours and services take a moment.
func (s *suite) reach(t *testing.T, pod string, args ...string) string {
	t.Helper()
	var out string
	eventually(t, 30*time.Second, func() (err error) {
		out, err = s.exec(t, pod, args...)
		return err
	})
	return out
}

// eventually tries until there is no error, and fails with the last one.
func eventually(t *testing.T, within time.Duration, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(500 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", within, err)
		}
	}
}

// pods lists the pods with a label, which must all be ready and as many as wanted.
func (s *suite) pods(t *testing.T, label string, want int) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	eventually(t, patience, func() error {
		if err := s.api.List(t.Context(), &list, client.InNamespace("default"), client.MatchingLabels{"app": label}); err != nil {
			return err
		}
		var waiting []string
		for _, pod := range list.Items {
			if !ready(&pod) {
				waiting = append(waiting, pod.Name)
			}
		}
		if len(list.Items) != want || len(waiting) > 0 {
			return fmt.Errorf("%d pods with app=%s, want %d; not ready: %v", len(list.Items), label, want, waiting)
		}
		return nil
	})
	return list.Items
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// addresses of a pod, IPv4 and IPv6.
func addresses(t *testing.T, pod *corev1.Pod) (v4, v6 netip.Addr) {
	t.Helper()
	for _, ip := range pod.Status.PodIPs {
		a := netip.MustParseAddr(ip.IP)
		if a.Is4() {
			v4 = a
		} else {
			v6 = a
		}
	}
	if !v4.IsValid() || !v6.IsValid() {
		t.Fatalf("pod %s has the addresses %v, want one of each family", pod.Name, pod.Status.PodIPs)
	}
	return v4, v6
}
