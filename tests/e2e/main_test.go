// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/tests/cluster"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

// suite is the cluster, and how a user reaches it.
type suite struct {
	*cluster.Cluster
	api client.Client
	env []string // of the user's shell
}

// start builds plugin and image as users would get them, and brings up the cluster with the walkthrough's nodes.
func start(t *testing.T) *suite {
	t.Helper()
	log.SetLogger(logr.Discard())
	root, err := pinned.Root()
	must(t, err)
	must(t, pinned.Make(t.Context(), os.Stderr, "build", "image"))
	running, err := cluster.Start(t.Context(), cluster.Options{Inventory: inventory(t, root), Disks: true, Progress: os.Stderr})
	must(t, err)
	s := &suite{Cluster: running}
	t.Cleanup(func() { s.end(t, root) })
	must(t, s.LoadImage(t.Context(), filepath.Join(root, "build", "image", "underlay.tar")))
	s.connect(t, root)
	s.apply(t, string(controlplane.MultusCRD()))
	return s
}

// inventory is the walkthrough's, in which the nodes have IPv6 addresses too: without one of its own, a node cannot stand
// between its pods and an IPv6 service.
func inventory(t *testing.T, root string) v1alpha1.Inventory {
	t.Helper()
	out, err := document.OpenInventory(filepath.Join(root, "docs", "examples", "walkthrough.yaml"))
	must(t, err)
	for i, own := range []string{"2406:da1e:c4:ed01::11", "2406:da1e:c4:ed02::18"} {
		address := netip.MustParseAddr(own)
		node := &out.Nodes[i]
		node.InternalIPs = append(node.InternalIPs, address)
		node.Interfaces[0].PrimaryIPv6 = address
	}
	return out
}

// connect prepares what a user has: a kubeconfig, the plugin, AWS credentials.
func (s *suite) connect(t *testing.T, root string) {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, clientgoscheme.AddToScheme(scheme))
	must(t, v1alpha1.AddToScheme(scheme))
	var err error
	s.api, err = client.New(s.Config, client.Options{Scheme: scheme})
	must(t, err)
	s.env = []string{
		"PATH=" + filepath.Join(root, "build") + ":" + os.Getenv("PATH"),
		"HOME=" + t.TempDir(),
		"KUBECONFIG=" + s.KubeconfigPath(),
		"AWS_ENDPOINT_URL=" + s.EC2.URL(),
		"AWS_ACCESS_KEY_ID=e2e", "AWS_SECRET_ACCESS_KEY=e2e", "AWS_EC2_METADATA_DISABLED=true",
	}
}

// end keeps what was said if a test failed, prints what the VPC dropped, and takes everything down.
func (s *suite) end(t *testing.T, root string) {
	ctx := context.WithoutCancel(t.Context())
	logs := filepath.Join(root, "build", "e2e", "logs")
	if err := os.RemoveAll(logs); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		if err := s.CollectLogs(ctx, logs); err != nil {
			t.Error(err)
		}
		fmt.Println("what nodes and pods said is in", logs)
	}
	drops, err := s.Drops()
	if err != nil {
		t.Error(err)
	}
	fmt.Printf("dropped by the VPC, in frames:\n%s", drops)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
