// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// registerTimeout is how long kubelets may take to register; they take about ten seconds on idle cores.
const registerTimeout = 3 * time.Minute

// waitForNodes waits until all nodes have registered and said how they are, gives them the inventory's labels, and waits
// until pods can be created.
func (c *Cluster) waitForNodes(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, registerTimeout, fmt.Errorf("not there after %s", registerTimeout))
	defer cancel()
	for _, n := range c.nodes {
		err := poll(ctx, func() (bool, error) {
			node, err := client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
			return err == nil && len(node.Status.Conditions) > 0, err
		})
		if err != nil {
			return fmt.Errorf("wait for node %s to register: %w%s", n.Name, err, tail(filepath.Join(n.logs, "kubelet.log")))
		}
		if err := label(ctx, client, n.Name, n.spec.Labels); err != nil {
			return fmt.Errorf("label node %s: %w", n.Name, err)
		}
	}
	err = poll(ctx, func() (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(corev1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("wait for the default service account: %w%s", err, tail(c.plane.log("kube-controller-manager")))
	}
	return nil
}

// label gives the node labels, as an administrator: a kubelet may not set all of them itself.
func label(ctx context.Context, client kubernetes.Interface, name string, labels map[string]string) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		maps.Copy(node.Labels, labels)
		_, err = client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{})
		return err
	})
}

// poll asks until the answer is yes. An object that is not there is not there yet; other errors end it.
func poll(ctx context.Context, ask func() (bool, error)) error {
	for {
		yes, err := ask()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !apierrors.IsNotFound(err):
			return err
		case yes:
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
