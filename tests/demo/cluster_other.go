// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"context"
	"errors"
	"io"
)

// onCluster needs network namespaces and taps.
func (s *stage) onCluster(context.Context, io.Writer) error {
	return errors.New("clusters of virtual machines need Linux")
}
