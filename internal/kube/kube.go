// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package kube talks to a cluster's API server: what is there (Observe), what applying would change (Preview), and
// applying it (Apply), always by server-side apply as one field manager. Its errors say what to do next.
//
// Plugin and operator use it; it imports neither.
package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// FieldManager owns every field that plugin and operator write.
const FieldManager = "underlay"

// parallel requests of one kind; the API server's own priority and fairness does the rest.
const parallel = 8

// Cluster is a connection to an API server.
type Cluster struct {
	client client.WithWatch
	config *rest.Config
	host   string
}

// Connect prepares a connection; nothing is sent yet.
func Connect(config *rest.Config) (*Cluster, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("kubernetes types: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("underlay.dev types: %w", err)
	}
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server limits fairly by itself
	// Deprecations and the like are for whoever writes the objects, and kubectl shows them there.
	config.WarningHandler = rest.NoWarnings{}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, explain(config.Host, err)
	}
	return &Cluster{client: c, config: config, host: config.Host}, nil
}

// Version is the API server's own.
func (c *Cluster) Version() (string, error) {
	d, err := discovery.NewDiscoveryClientForConfig(c.config)
	if err != nil {
		return "", explain(c.host, err)
	}
	info, err := d.ServerVersion()
	if err != nil {
		return "", explain(c.host, err)
	}
	return info.GitVersion, nil
}

// serves says whether the cluster serves the kind in that version.
func (c *Cluster) serves(gvk schema.GroupVersionKind) (bool, error) {
	_, err := c.client.RESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version)
	switch {
	case err == nil:
		return true, nil
	case meta.IsNoMatchError(err):
		return false, nil
	default:
		return false, explain(c.host, err)
	}
}
