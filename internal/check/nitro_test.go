// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestXenFamilies holds the list against what EC2 says of every type.
func TestXenFamilies(t *testing.T) {
	raw, err := os.ReadFile("../../tests/ec2sim/instance-network-limits.json")
	if err != nil {
		t.Fatal(err)
	}
	var types map[string]struct {
		Hypervisor string `json:"hypervisor"`
		BareMetal  bool   `json:"bareMetal"`
	}
	if err := json.Unmarshal(raw, &types); err != nil {
		t.Fatal(err)
	}
	var wrong []string
	families := map[string]bool{}
	for name, of := range types {
		if xen := of.Hypervisor != "nitro" && !of.BareMetal; xen != onXen(name, nil) {
			wrong = append(wrong, name)
		}
		family, _, _ := strings.Cut(name, ".")
		families[family] = true
	}
	if len(wrong) > 0 || len(types) < 1000 {
		t.Errorf("of %d types the list is wrong about %v", len(types), wrong)
	}
	for _, family := range xenFamilies() {
		if !families[family] {
			t.Errorf("EC2 has no family %s", family)
		}
	}
}
