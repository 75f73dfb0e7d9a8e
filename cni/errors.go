// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// Error codes of our own; the specification leaves 100 and up to plugins.
const (
	// CodeRefused: the network does not take this pod, or does not exist here. Repeating does not help.
	CodeRefused uint = 101
	// CodeInterface: the node's interface cannot carry the pod.
	CodeInterface uint = 102
	// CodeDamaged: CHECK found something that is not as ADD left it.
	CodeDamaged uint = 103
	// CodeNodeFile: the node file is damaged, or of another version.
	CodeNodeFile uint = 104
	// CodeKernel: the node's kernel lacks a module.
	CodeKernel uint = 105
)

// explain gives an error the code that runtimes expect; its text says what to do already.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*types.Error](err); ok && known == err { //nolint:errorlint // a wrapped one would lose what is around it
		return types.NewError(known.Code, printable(known.Msg), printable(known.Details))
	}
	return types.NewError(code(err), printable(err.Error()), "")
}

// printable makes one line of a text, which no terminal takes for commands: what strangers wrote may stand in it, and events show it.
func printable(text string) string {
	var line strings.Builder
	for _, r := range strings.ReplaceAll(text, "\n", "; ") {
		if strconv.IsPrint(r) { // as is the sign for what is no UTF-8
			line.WriteRune(r)
		} else {
			line.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return line.String()
}

func code(err error) uint {
	switch {
	case is[*types.Error](err):
		known, _ := errors.AsType[*types.Error](err)
		return known.Code
	case is[*datapath.NamespaceError](err):
		return types.ErrInvalidNetNS
	case is[*ipam.ExhaustedError](err), is[*ipam.TakenError](err), is[*ipam.BusyError](err), is[*datapath.AddressInUseError](err):
		return types.ErrTryAgainLater
	case is[*ipam.RefusedError](err):
		return CodeRefused
	case is[*ipam.StorageError](err), is[*datapath.FolderError](err):
		return types.ErrIOFailure
	case is[*datapath.MasterError](err), is[*datapath.ForeignLinkError](err):
		return CodeInterface
	case lacksModule(err):
		return CodeKernel
	case is[*nodefile.VersionError](err), is[*nodefile.InvalidError](err):
		return CodeNodeFile
	case is[*noNodeFileError](err):
		return types.ErrTryAgainLater
	}
	return types.ErrInternal
}

func lacksModule(err error) bool {
	refusal, ok := errors.AsType[*datapath.MessageError](err)
	return ok && refusal.Module != ""
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// noNodeFileError says that the agent has not written the node file yet.
type noNodeFileError struct{ err error }

func (e *noNodeFileError) Error() string { return e.err.Error() }
func (e *noNodeFileError) Unwrap() error { return e.err }

// readNodeFile reads the node file. Who takes addresses by it holds the store's lock.
func (p *Plugin) readNodeFile() (*nodefile.File, error) {
	node, err := nodefile.Read(p.NodeFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &noNodeFileError{err: err}
	}
	return node, err
}

// ofPod says for which pod something failed.
func ofPod(pod ipam.Pod, ifName string, err error) error {
	if err == nil || pod.Name == "" {
		return err
	}
	return fmt.Errorf("pod %s/%s, interface %s: %w", pod.Namespace, pod.Name, ifName, err)
}
