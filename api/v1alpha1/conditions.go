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
	// ConditionFollowed of a node: its agent follows all networks and pools as they are written; else the message lists what it leaves out.
	ConditionFollowed = "Followed"
	// ConditionDefaultNetwork of a node: the default network's CNI configuration is in place, and the one that runtimes take.
	ConditionDefaultNetwork = "DefaultNetwork"
	// ConditionHostLegAnswers of a node: what comes to a pod by its host leg, from whatever source, is answered by it.
	ConditionHostLegAnswers = "HostLegAnswers"
)

// ReasonVacant of a node's Ready: there is no network, and nothing of the CNI is on the node.
const ReasonVacant = "Vacant"
