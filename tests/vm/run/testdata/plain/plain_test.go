// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package plain has no test that needs the machine.
package plain

import "testing"

func TestPlain(*testing.T) {}
