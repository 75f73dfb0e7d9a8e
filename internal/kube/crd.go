// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// crdRevision annotates our CRDs with a number that grows with each change of their schema, so that an older plugin
// does not take fields away from a newer operator.
const crdRevision = "underlay.dev/crd-revision"

// establishTimeout is how long the API server may take to serve a new CRD; it takes about a second.
const establishTimeout = 30 * time.Second

// refuseNewer fails if the cluster serves the kind, but only in versions that this program does not know.
func (c *Cluster) refuseNewer(kind schema.GroupKind) error {
	mapping, err := c.client.RESTMapper().RESTMapping(kind)
	if err != nil {
		return nil //nolint:nilerr // not served at all: nothing is newer
	}
	return newer(kind.Kind, "serves version "+mapping.GroupVersionKind.Version, "knows "+v1alpha1.Version)
}

// refuseDowngrade fails if what the cluster has is of a later version than want: a CRD, or the image of a workload.
func refuseDowngrade(live, want *unstructured.Unstructured) error {
	switch want.GetKind() {
	case crdKind:
		return refuseOlderCRD(live, want)
	case "Deployment", "DaemonSet":
		return refuseOlderImage(live, want)
	}
	return nil
}

// refuseOlderImage compares the versions that the tags of the two images name, if both do. What follows the three
// numbers does not count: of two builds between releases none is newer by its name.
func refuseOlderImage(live, want *unstructured.Unstructured) error {
	has, knows := imageTag(live), imageTag(want)
	liveVersion, err := utilversion.ParseGeneric(has)
	if err != nil {
		return nil //nolint:nilerr // a tag that is no version cannot be compared
	}
	wantVersion, err := utilversion.ParseGeneric(knows)
	if err != nil || !wantVersion.LessThan(liveVersion) {
		return nil //nolint:nilerr // as above
	}
	return fmt.Errorf("%s %s in the cluster is newer: it runs %s, this would install %s; upgrade kubectl underlay, or `kubectl underlay uninstall` first; "+
		"nothing was changed", want.GetKind(), live.GetName(), has, knows)
}

// imageTag is the tag of a workload's first image; empty if it has none.
func imageTag(workload *unstructured.Unstructured) string {
	containers, _, _ := unstructured.NestedSlice(workload.Object, "spec", "template", "spec", "containers")
	if len(containers) == 0 {
		return ""
	}
	first, _ := containers[0].(map[string]any)
	image, _ := first["image"].(string)
	return ImageTag(image)
}

// ImageTag is the tag of an image's name, without a digest; empty if it has none.
func ImageTag(image string) string {
	name, _, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], "@")
	_, tag, _ := strings.Cut(name, ":")
	return tag
}

func refuseOlderCRD(live, want *unstructured.Unstructured) error {
	has, knows := revision(live), revision(want)
	if has > knows {
		return newer(live.GetName(), fmt.Sprintf("has schema revision %d", has), fmt.Sprintf("knows %d", knows))
	}
	versions, _, _ := unstructured.NestedSlice(live.Object, "spec", "versions")
	for _, v := range versions {
		entry, _ := v.(map[string]any)
		name, _ := entry["name"].(string)
		if version.CompareKubeAwareVersionStrings(name, v1alpha1.Version) > 0 {
			return newer(live.GetName(), "has version "+name, "knows "+v1alpha1.Version)
		}
	}
	return nil
}

func newer(object, has, knows string) error {
	return fmt.Errorf("%s in the cluster is newer than this plugin: it %s, the plugin %s; upgrade kubectl underlay, nothing was changed",
		object, has, knows)
}

func revision(crd *unstructured.Unstructured) int {
	n, err := strconv.Atoi(crd.GetAnnotations()[crdRevision])
	if err != nil {
		return 0
	}
	return n
}

// waitEstablished waits until the API server serves the CRD.
func (c *Cluster) waitEstablished(ctx context.Context, crd *unstructured.Unstructured) error {
	gvk := crdGroupKind(crd).WithVersion(v1alpha1.Version)
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(crd.GroupVersionKind())
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, establishTimeout, true, func(ctx context.Context) (bool, error) {
		if err := c.client.Get(ctx, client.ObjectKeyFromObject(crd), live); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		if !established(live) {
			return false, nil
		}
		return c.serves(gvk)
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("%s was applied, but the API server does not serve it after %s; see `kubectl describe crd %s`",
			crd.GetName(), establishTimeout, crd.GetName())
	}
	return explain(c.host, err)
}

// crdGroupKind is what a CRD defines.
func crdGroupKind(crd *unstructured.Unstructured) schema.GroupKind {
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	return schema.GroupKind{Group: group, Kind: kind}
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		if condition["type"] == "Established" && condition["status"] == "True" {
			return true
		}
	}
	return false
}

// get reads the live object of the same kind and name; nil if there is none.
func (c *Cluster) get(ctx context.Context, want *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(want.GroupVersionKind())
	err := c.client.Get(ctx, client.ObjectKeyFromObject(want), live)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", want.GetKind(), want.GetName(), explain(c.host, err))
	}
	return live, nil
}

// getServed is get, and nil where the kind is not served.
func (c *Cluster) getServed(ctx context.Context, want *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	served, err := c.serves(want.GroupVersionKind())
	if err != nil || !served {
		return nil, err
	}
	return c.get(ctx, want)
}
