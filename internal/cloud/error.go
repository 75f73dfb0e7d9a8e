// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud

// Reason tells failures apart by what the user has to do about them.
type Reason string

// The reasons.
const (
	// NoCredentials: none were found.
	NoCredentials Reason = "NoCredentials"
	// ExpiredCredentials: they were good once.
	ExpiredCredentials Reason = "ExpiredCredentials"
	// InvalidCredentials: the cloud does not know them, or they cannot be read.
	InvalidCredentials Reason = "InvalidCredentials"
	// Unauthorized: known, but without the permission.
	Unauthorized Reason = "Unauthorized"
	// NoRegion: nothing says where to ask.
	NoRegion Reason = "NoRegion"
	// WrongRegion: the region does not exist, is not enabled, or is not the nodes'.
	WrongRegion Reason = "WrongRegion"
	// WrongEndpoint: what answers is not the cloud's API.
	WrongEndpoint Reason = "WrongEndpoint"
	// NoInstances: no node is an instance of the account that was asked.
	NoInstances Reason = "NoInstances"
	// Throttled: too many calls, by anyone in the account.
	Throttled Reason = "Throttled"
	// Unreachable: no answer.
	Unreachable Reason = "Unreachable"
	// Other: anything else.
	Other Reason = "Other"
)

// Error is a provider's failure, in words for the user. Message and Remedy hold no secrets and no names of types.
type Error struct {
	// Reason tells failures apart.
	Reason Reason
	// Action that failed, such as ec2:DescribeInstances; empty when no call was made.
	Action string
	// Message says what is wrong, with the object's name.
	Message string
	// Remedy says what to do next.
	Remedy string
	// Cause is for errors.Is and errors.As; its text is not shown.
	Cause error
}

// Error is action, message and remedy in one text.
func (e *Error) Error() string {
	text := e.Message
	if e.Action != "" {
		text = e.Action + ": " + text
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
