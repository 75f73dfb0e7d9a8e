// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

// TestPoliciesCoverCalls: the API that is used, and the policy that allows it, name the same actions.
func TestPoliciesCoverCalls(t *testing.T) {
	var allowed, used []string
	for _, statement := range aws.ObservePolicy().Statement {
		allowed = append(allowed, statement.Action...)
	}
	slices.Sort(allowed)
	for method := range reflect.TypeFor[aws.API]().Methods() {
		used = append(used, "ec2:"+method.Name)
	}
	slices.Sort(used)
	if diff := cmp.Diff(used, allowed); diff != "" {
		t.Errorf("(-used +allowed):\n%s", diff)
	}
}

// TestPermissionsPage keeps the policies of docs/how-to/permissions.md equal to the code's: each stands below a comment
// that names it.
func TestPermissionsPage(t *testing.T) {
	const path = "../../../docs/how-to/permissions.md"
	policies := map[string]aws.Policy{
		"observe": aws.ObservePolicy(), "manage": aws.ManagePolicy("CLUSTER-ID"), "lb": aws.LoadBalancerPolicy(),
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)<!-- policy: ([a-z]+) -->\n```json\n.*?```\n")
	var named []string
	current := block.ReplaceAllFunc(page, func(old []byte) []byte {
		name := string(block.FindSubmatch(old)[1])
		named = append(named, name)
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(policies[name]); err != nil {
			t.Fatal(err)
		}
		return []byte("<!-- policy: " + name + " -->\n```json\n" + text.String() + "```\n")
	})
	if !slices.Equal(named, []string{"observe", "manage", "lb"}) {
		t.Errorf("the page has policies %v", named)
	}
	goldenfile.Compare(t, path, string(current), *update)
}
