// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"bufio"
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Namespace is where operator and agents run.
const Namespace = "underlay-system"

// Repository is where the image is published, without a tag: releases are tagged by their version.
const Repository = "ghcr.io/underlay-dev/kubectl-underlay"

//go:embed base
var base embed.FS

// Options say how what Install gives differs from base/. The zero value changes nothing.
type Options struct {
	// Image of operator and agent, such as Repository:v1.2.3; it may be one of the cluster's own registry.
	Image string
	// PullPolicy is Always, IfNotPresent or Never; Never for nodes that have the image already.
	PullPolicy string
}

// Install gives all that a cluster needs but networks, in the order in which to apply it: the namespace, the CRDs,
// permissions and the policy that narrows them, the operator, the agents. To uninstall, delete it in reverse. Each call
// gives new objects.
func Install(opts Options) ([]*unstructured.Unstructured, error) {
	raw, err := base.ReadFile("base/kustomization.yaml")
	if err != nil {
		return nil, fmt.Errorf("embedded manifests: %w", err)
	}
	var kustomization struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(raw, &kustomization); err != nil {
		return nil, fmt.Errorf("embedded kustomization.yaml: %w", err)
	}
	var objects []*unstructured.Unstructured
	for _, resource := range kustomization.Resources {
		some, err := readResource(resource)
		if err != nil {
			return nil, err
		}
		objects = append(objects, some...)
	}
	for _, object := range objects {
		if err := opts.apply(object); err != nil {
			return nil, fmt.Errorf("embedded %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return objects, nil
}

// readResource reads what an entry of the kustomization's resources names.
func readResource(name string) ([]*unstructured.Unstructured, error) {
	if name == "../crds" {
		return CRDs()
	}
	raw, err := base.ReadFile("base/" + name)
	if err != nil {
		return nil, fmt.Errorf("embedded manifests: %w", err)
	}
	var objects []*unstructured.Unstructured
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("embedded %s: %w", name, err)
		}
		object := &unstructured.Unstructured{}
		if err := utilyaml.Unmarshal(document, &object.Object); err != nil {
			return nil, fmt.Errorf("embedded %s: %w", name, err)
		}
		objects = append(objects, object)
	}
}

// apply changes the containers of an object that has a pod template.
func (o Options) apply(object *unstructured.Unstructured) error {
	path := []string{"spec", "template", "spec", "containers"}
	containers, found, err := unstructured.NestedSlice(object.Object, path...)
	if err != nil || !found {
		return err
	}
	for _, c := range containers {
		container, ok := c.(map[string]any)
		if !ok {
			return errors.New("a container is no object")
		}
		if o.Image != "" {
			container["image"] = o.Image
		}
		if o.PullPolicy != "" {
			container["imagePullPolicy"] = o.PullPolicy
		}
	}
	return unstructured.SetNestedSlice(object.Object, containers, path...)
}
