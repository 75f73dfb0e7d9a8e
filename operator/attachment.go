// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// adoptAnnotation on an attachment that somebody else has made, with the value "true", lets the operator take it over.
const adoptAnnotation = "underlay.dev/adopt"

func attachmentKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "k8s.cni.cncf.io", Version: "v1", Kind: "NetworkAttachmentDefinition"}
}

// attachmentState is what one network's attachment came to; the zero value: as it should be, or not to be made.
type attachmentState struct{ reason, message string }

// The reasons for which a network is not ready on account of its attachment.
const (
	reasonAttachmentForeign = "AttachmentForeign"
	reasonAttachmentFailed  = "AttachmentFailed"
)

// writeAttachments brings attachments up to date where their kind is served, and tells by network what is amiss. Our own
// are in the cache, told by their label; what else has the name is asked for.
func (o *operator) writeAttachments(ctx context.Context, w *world, t *thought) (map[string]attachmentState, error) {
	if !o.multus.served() {
		return nil, nil
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(attachmentKind())
	if err := o.attachments.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list attachments from the cache: %w", err)
	}
	ours := map[v1alpha1.AttachmentReference]*unstructured.Unstructured{}
	for i := range list.Items {
		ours[reference(&list.Items[i])] = &list.Items[i]
	}
	states := map[string]attachmentState{}
	for _, wanted := range t.attachments {
		ref := v1alpha1.AttachmentReference{Namespace: wanted.Namespace, Name: wanted.Name}
		if live := ours[ref]; live != nil && config(live) == wanted.Config {
			continue
		}
		if state, tried := t.amiss[ref]; tried {
			states[wanted.Network] = state
			continue
		}
		foreign, err := o.writeAttachment(ctx, w.networks[wanted.Network], wanted, ours[ref] != nil)
		switch {
		case err != nil:
			t.amiss[ref] = attachmentState{reasonAttachmentFailed, err.Error()}
		case foreign:
			t.amiss[ref] = attachmentState{reasonAttachmentForeign, fmt.Sprintf(
				"attachment %s exists, made by somebody else, and is left alone: delete it, annotate it %s=true to hand it over, or give spec.attachment.name another value",
				ref, adoptAnnotation)}
		}
		if state, amiss := t.amiss[ref]; amiss {
			states[wanted.Network] = state
		}
	}
	return states, o.removeAttachments(ctx, w, ours)
}

// writeAttachment applies an attachment, unless somebody else has made one of its name that says something else.
func (o *operator) writeAttachment(ctx context.Context, network *v1alpha1.UnderlayNetwork, wanted plan.Attachment, ours bool) (foreign bool, err error) {
	object := wanted.Object()
	if !ours {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(attachmentKind())
		err := o.direct.Get(ctx, client.ObjectKeyFromObject(object), live)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return false, fmt.Errorf("read attachment %s/%s: %w", wanted.Namespace, wanted.Name, err)
		case live.GetLabels()[plan.LabelManagedBy] == plan.ManagedBy, live.GetAnnotations()[adoptAnnotation] == "true":
		default:
			return config(live) != wanted.Config, nil
		}
	}
	if err := o.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(kube.FieldManager), client.ForceOwnership); err != nil {
		return false, fmt.Errorf("apply attachment %s/%s: %w", wanted.Namespace, wanted.Name, err)
	}
	if network != nil {
		o.event(network, true, "AttachmentWritten", "attachment %s/%s is as planned", wanted.Namespace, wanted.Name)
	}
	return false, nil
}

// removeAttachments deletes those of ours that no network wants any more. Networks that are being deleted keep theirs
// until their pools are gone; see network.go.
func (o *operator) removeAttachments(ctx context.Context, w *world, ours map[v1alpha1.AttachmentReference]*unstructured.Unstructured) error {
	wanted := map[v1alpha1.AttachmentReference]bool{}
	for _, n := range w.networks {
		spec := n.Effective()
		wanted[*spec.Attachment] = true
	}
	var failed []error
	for _, ref := range slices.SortedFunc(maps.Keys(ours), func(a, b v1alpha1.AttachmentReference) int {
		return cmp.Compare(a.String(), b.String())
	}) {
		if wanted[ref] || ours[ref].GetDeletionTimestamp() != nil {
			continue
		}
		if err := client.IgnoreNotFound(o.client.Delete(ctx, ours[ref])); err != nil {
			failed = append(failed, fmt.Errorf("delete attachment %s: %w", ref, err))
		}
	}
	return errors.Join(failed...)
}

func reference(object *unstructured.Unstructured) v1alpha1.AttachmentReference {
	return v1alpha1.AttachmentReference{Namespace: object.GetNamespace(), Name: object.GetName()}
}

// config of an attachment.
func config(object *unstructured.Unstructured) string {
	text, _, _ := unstructured.NestedString(object.Object, "spec", "config")
	return text
}
