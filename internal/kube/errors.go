// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// explained is an error whose text says what to do next; the cause stays reachable for errors.As.
type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }

// explain turns an error of the API server at host, or of reaching it, into one clear message with the next step.
func explain(host string, err error) error {
	if err == nil || errors.As(err, new(*explained)) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var text string
	var unreachable *url.Error
	switch {
	case apierrors.IsUnauthorized(err):
		text = fmt.Sprintf("API server %s does not accept the credentials of this context; log in again, or choose another with --context", host)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		text = message(err) + "; wait until it is gone, then run the same command again"
	case apierrors.IsForbidden(err):
		text = fmt.Sprintf("missing permission: %s; ask for it, and check with `kubectl auth can-i`", message(err))
	case apierrors.IsConflict(err):
		text = conflict(err)
	case apierrors.IsInvalid(err):
		text = fmt.Sprintf("API server refuses the object: %s", message(err))
	case errors.As(err, &unreachable):
		text = fmt.Sprintf("API server %s cannot be reached: %s; check that the cluster runs, and --context and --kubeconfig", host, reason(unreachable.Err))
	default:
		return err
	}
	return &explained{text: text, cause: err}
}

// message is the API server's own, without the prefixes that wrapping adds.
func message(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Message
	}
	return err.Error()
}

// reason is the innermost part of a network error: "connection refused" and not the whole chain.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	text := err.Error()
	if _, last, found := strings.Cut(text, "connect: "); found {
		return last
	}
	return text
}

// conflict names the fields that others own.
func conflict(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return message(err)
	}
	details := status.Status().Details
	managers, fields := sets.New[string](), sets.New[string]()
	for _, cause := range details.Causes {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		managers.Insert(strings.TrimPrefix(cause.Message, "conflict with "))
		fields.Insert(strings.TrimPrefix(cause.Field, "."))
	}
	if fields.Len() == 0 {
		return message(err)
	}
	instead := "undo that"
	if details.Kind == "underlaynetworks" {
		instead = "leave it out of the file"
	}
	object := ""
	if details.Name != "" {
		object = " of " + details.Name
	}
	return fmt.Sprintf("%s%s belongs to %s: %s, or take it over with --force-conflicts",
		strings.Join(sets.List(fields), ", "), object, strings.Join(sets.List(managers), ", "), instead)
}
