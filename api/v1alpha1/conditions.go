// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// The types of conditions.
const (
	// ConditionReady of a network or node: it does what it is for.
	ConditionReady = "Ready"
	// ConditionValid of a pool: it may hand out addresses. A pool without the condition may, too.
	ConditionValid = "Valid"
	// ConditionInSync of a pool: the cloud has bound to the interface what the pool lists.
	ConditionInSync = "InSync"
	// ConditionExhausted of a pool: no address is left that a pod could get now.
	ConditionExhausted = "Exhausted"
)
