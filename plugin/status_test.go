// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/underlay-dev/kubectl-underlay/plugin"
)

// TestStatusOfTrouble draws what is wrong, at two widths; whatever it shows, the exit code is 0.
func TestStatusOfTrouble(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	s.operatorStatus(t, appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 1, AvailableReplicas: 1})
	s.pod(t, "underlay-operator-b", "operator", "worker1", waiting("ImagePullBackOff", "no such tag"))
	s.networkReady(t, "eni0", metav1.ConditionFalse, "PoolInvalid", "pool eni0.0.v4.master overlaps with pool other")
	for _, columns := range []string{"80", "140"} {
		for _, color := range []string{"never", "always"} {
			r := (shell{columns: columns}).run(t.Context(), "status", "--color="+color)
			if r.code != 0 {
				t.Errorf("exit code %d: %s", r.code, r.stderr)
			}
			golden(t, "online-status-trouble-"+columns+"-"+color, r.stdout)
		}
	}
	golden(t, "online-status-trouble-yaml", must(t, 0, "status -o yaml").stdout)
}

// TestStatusWithoutInstallation: a bare cluster, and pools by init --no-operator.
func TestStatusWithoutInstallation(t *testing.T) {
	newFreshStage(t)
	golden(t, "online-status-bare", must(t, 0, "status").stdout)
	golden(t, "online-status-bare-json", must(t, 0, "status -o json").stdout)
	contains(t, must(t, 3, "status --wait --timeout 300ms").stderr, "nothing is installed")
	must(t, 0, initYes)
	golden(t, "online-status-no-operator", must(t, 0, "status").stdout)
}

// TestStatusWatch shows changes, each once.
func TestStatusWatch(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan result, 1)
	go func() { done <- (shell{}).run(ctx, "status", "-w") }()
	time.Sleep(2500 * time.Millisecond) // some looks without a change
	s.networkReady(t, "eni0", metav1.ConditionFalse, "CloudUnreachable", "no answer")
	time.Sleep(2500 * time.Millisecond)
	cancel()
	r := <-done
	if r.code != 130 || strings.Count(r.stdout, "NETWORK") != 2 || strings.Count(r.stdout, "CloudUnreachable") != 1 {
		t.Errorf("exit code %d:\n%s", r.code, r.stdout)
	}
}

// fullDisk takes a little, and then nothing more.
type fullDisk struct{ taken int }

func (f *fullDisk) Write(b []byte) (int, error) {
	if f.taken += len(b); f.taken > 40 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

// TestFullDisk: data that could not be written is an error in every format, whatever the command found.
func TestFullDisk(t *testing.T) {
	for _, line := range []string{
		"inspect --inventory " + walkthrough, "inspect -o yaml --inventory " + walkthrough, "check --list", "plan --inventory " + walkthrough,
		"check --inventory testdata/troubled.yaml", "init --export --inventory " + walkthrough, "pools -o wide --inventory " + walkthrough,
	} {
		var stderr bytes.Buffer
		code := plugin.Execute(t.Context(), plugin.Environment{
			IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &fullDisk{}, ErrOut: &stderr},
			Getenv:    func(string) string { return "" },
		}, strings.Fields(line))
		if code != 2 || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("%s: exit code %d, %s", line, code, stderr.String())
		}
	}
}
