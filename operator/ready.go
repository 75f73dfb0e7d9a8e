// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The reasons of a network's condition Ready, besides those of findings (NetworkWithoutNodes) and of the cloud
// (Unauthorized).
const (
	reasonPoolsReady  = "PoolsReady"
	reasonNoPools     = "NoPools"
	reasonPoolsFailed = "PoolsFailed"
	reasonDeleting    = "Deleting"
)

// ready says whether pods can use the network, and if not, what to do.
func (f *networkFacts) ready(status v1alpha1.UnderlayNetworkStatus) verdict {
	not := func(reason, message string) verdict { return verdict{metav1.ConditionFalse, reason, message} }
	manual := f.live.Spec.Provider == v1alpha1.ProviderManual
	switch {
	case f.live.DeletionTimestamp != nil:
		return not(reasonDeleting, "the network is being deleted, and goes when no pool is left: "+cmp.Or(f.holders(), f.waitsFor()))
	case !manual && !f.observed && f.failure == nil:
		return f.before()
	}
	bad := slices.IndexFunc(f.findings, func(f plan.Finding) bool { return f.Severity == plan.Error })
	if bad >= 0 {
		return not(plan.Words(f.findings[bad].ID), f.findings[bad].Message+"; "+f.findings[bad].Remedy)
	}
	switch {
	case f.failure != nil && !manual:
		text := asOperators(f.failure)
		if f.observed {
			text += "; pools stay as they are meanwhile"
		}
		return not(string(f.failure.Reason), text)
	case f.failed() != nil:
		return not(reasonPoolsFailed, "not all pools could be written; it is tried again: "+f.failed().Error())
	case f.attachment != attachmentState{}:
		return not(f.attachment.reason, f.attachment.message)
	case status.Pools == 0 && len(f.findings) > 0:
		return not(plan.Words(f.findings[0].ID), f.findings[0].Message+"; "+f.findings[0].Remedy)
	case status.Pools == 0:
		return not(reasonNoPools, noPools(manual))
	}
	return verdict{metav1.ConditionTrue, reasonPoolsReady, f.summary(status)}
}

func noPools(manual bool) string {
	if manual {
		return "the network has no pool, and of provider Manual they are yours to write: `kubectl underlay pools generate` makes them from an inventory file"
	}
	return "the network has no pool: no chosen interface holds an address for pods"
}

// asOperators is a failure of the cloud with what to do about it here: an operator's credentials are not those of whoever
// reads of it.
func asOperators(failure *cloud.Error) string {
	own := *failure
	switch failure.Reason {
	case cloud.NoCredentials, cloud.ExpiredCredentials, cloud.InvalidCredentials:
		own.Remedy = "give the operator others: a role of its node's instance, a role of its service account (IRSA), or the Secret underlay-aws in its " +
			"namespace, which it reads at its start"
	}
	return own.Error()
}

// before is what an earlier operator has said, until the cloud has answered this one.
func (f *networkFacts) before() verdict {
	if c := meta.FindStatusCondition(f.live.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return verdict{c.Status, c.Reason, c.Message}
	}
	return verdict{metav1.ConditionUnknown, reasonNotObserved, "the cloud has not answered yet"}
}

// summary counts what there is, and tells what is amiss without being in the way.
func (f *networkFacts) summary(status v1alpha1.UnderlayNetworkStatus) string {
	says := []string{fmt.Sprintf("%s on %s", plan.Count(int(status.Pools), "pool"), plan.Count(int(status.Nodes), "node"))}
	if n := f.count(v1alpha1.ConditionValid); n > 0 {
		says = append(says, fmt.Sprintf("%d not valid, see their condition Valid", n))
	}
	if n := f.count(v1alpha1.ConditionInSync); n > 0 {
		says = append(says, fmt.Sprintf("%d not as the cloud has it, see their condition InSync", n))
	}
	for _, finding := range f.findings {
		says = append(says, finding.Message)
	}
	return strings.Join(says, "; ")
}

// count gives the pools whose condition is not True.
func (f *networkFacts) count(condition string) int {
	n := 0
	for _, p := range f.pools {
		if p.live == nil {
			continue
		}
		if c := meta.FindStatusCondition(p.live.Status.Conditions, condition); c != nil && c.Status != metav1.ConditionTrue {
			n++
		}
	}
	return n
}
