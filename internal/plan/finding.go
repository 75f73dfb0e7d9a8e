// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

// Severity says how bad a finding is.
type Severity string

// The severities, worst first.
const (
	// Error: pods will fail, or addresses would be wrong.
	Error Severity = "error"
	// Warning: it works now, but something is amiss.
	Warning Severity = "warning"
	// Info: good to know.
	Info Severity = "info"
)

// Finding is one thing a check has to say. Its ID is stable and has a section in docs/checks.md.
type Finding struct {
	// ID reads, and is stable: kernel-too-old.
	ID string `json:"id"`
	// Severity of the finding.
	Severity Severity `json:"severity"`
	// Object that the finding is about, as kind/name: node/worker1, interface/eni-0a (worker1), subnet/subnet-a.
	Object string `json:"object"`
	// Message says what is wrong, with the numbers.
	Message string `json:"message"`
	// Remedy says what to do next.
	Remedy string `json:"remedy"`
}
