// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package wire is what a test and the init process of its virtual machine say to each other over a virtio serial port:
// JSON values one after the other, requests in one direction and events in the other. It imports the standard library
// alone, since it is part of the guest's init.
package wire

// Port is the name of the virtio serial port.
const Port = "underlay.agent"

// Request asks the guest to do one thing. Exactly one of its pointers is set.
type Request struct {
	ID  int  // chosen by the host, above 0; the events that belong to the request carry it
	Run *Run `json:",omitempty"`
	// Kill is the ID of a Run request whose process shall get a SIGKILL, with its whole process group.
	Kill *int `json:",omitempty"`
}

// Run starts a process in a process group of its own.
type Run struct {
	Args []string // the program, looked up in PATH, and its arguments
	Dir  string
	Env  []string // key=value, added to the guest's own
}

// Event is what the guest has to say.
type Event struct {
	ID     int    // of the request; 0 for the guest's own
	Ready  bool   `json:",omitempty"` // the guest waits for requests; its first event
	Output []byte `json:",omitempty"` // what a process wrote to stdout or stderr
	Exit   *int   `json:",omitempty"` // the last event of a Run: exit code, or 128 + signal as shells have it
	Error  string `json:",omitempty"` // the last event of a Run that could not be started, or of a guest that gives up
}
