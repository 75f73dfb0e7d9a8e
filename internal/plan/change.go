// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

// Action is what happens to an object.
type Action string

// The actions.
const (
	Create    Action = "create"
	Update    Action = "update"
	Delete    Action = "delete"
	Unchanged Action = "unchanged"
)

// Change is what would happen to one object.
type Change struct {
	Action Action `json:"action"`
	// APIVersion, Kind, Namespace (empty if cluster-scoped) and Name say which object.
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	// Fields that an update changes, by path.
	Fields []FieldChange `json:"fields,omitempty"`
}

// FieldChange is one field of an update.
type FieldChange struct {
	// Path such as spec.ranges.
	Path string `json:"path"`
	// Old and New values as compact JSON; empty when absent.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}
