// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package mixed

import "testing"

func TestNeedsNoMachine(t *testing.T) { t.Error("this test was not to run in the machine") }
