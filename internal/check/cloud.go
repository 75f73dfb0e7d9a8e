// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// IDPermissionMissing is of lists that checks read and plans do not.
const IDPermissionMissing = "permission-missing"

func cloudChecks() []Check {
	return []Check{
		{IDPermissionMissing, "what surrounds the nodes may be read in the cloud", plan.Warning, func(in Inputs) []plan.Finding { return Unread(in.Unread) }},
	}
}

// Unread speaks of lists of the inventory that may not be read. What plans need is no finding: without it there is no
// inventory.
func Unread(missing []*cloud.Error) []plan.Finding {
	var out []plan.Finding
	for _, e := range missing {
		out = append(out, plan.Finding{ID: IDPermissionMissing, Severity: plan.Warning, Object: "permission/" + e.Action,
			Message: fmt.Sprintf("%s; checks that need what it lists say nothing", e.Message), Remedy: e.Remedy})
	}
	return out
}
