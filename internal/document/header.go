// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/version"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// The kinds that a file can hold, and the flag that each is given to.
const (
	networkKind     = "UnderlayNetwork"
	networkListKind = "UnderlayNetworkList"
)

// checkHeader says whether a document is of our version and of one of the kinds, and reports if it is not. Only then
// do the other fields mean anything.
func checkHeader(rep *report, doc *value, kinds ...string) bool {
	if doc.kind != object {
		rep.here(doc.place, "must be an object with apiVersion and kind, not %s", doc)
		return false
	}
	want := v1alpha1.GroupVersion().String()
	ok := true
	for _, key := range []string{"apiVersion", "kind"} {
		f, present := doc.get(key)
		if !present {
			allowed := want
			if key == "kind" {
				allowed = strings.Join(kinds, " or ")
			}
			rep.below(doc.place, key, "is required: %s", allowed)
			ok = false
		} else if f.value.kind != text {
			rep.below(f.value.place, key, "must be text, not %s", f.value)
			ok = false
		}
	}
	if !ok {
		return false
	}
	apiVersion, _ := doc.get("apiVersion")
	kind, _ := doc.get("kind")
	if problem := wrongVersion(apiVersion.value.text, want); problem != "" {
		rep.below(apiVersion.value.place, "apiVersion", "%s", problem)
		return false
	}
	if slices.Contains(kinds, kind.value.text) {
		return true
	}
	rep.below(kind.value.place, "kind", "%s", wrongKind(kind.value.text, kinds))
	return false
}

// wrongVersion says what is wrong with an apiVersion; empty when it is ours.
func wrongVersion(got, want string) string {
	if got == want {
		return ""
	}
	group, v, _ := strings.Cut(got, "/")
	switch {
	case group != v1alpha1.Group:
		return fmt.Sprintf("%s is not known; must be %s", quote(got), want)
	case version.CompareKubeAwareVersionStrings(v, v1alpha1.Version) > 0:
		return fmt.Sprintf("%s is newer than this plugin knows, which is %s: install a newer kubectl-underlay", quote(got), want)
	default:
		return fmt.Sprintf("%s is a version that never was; must be %s", quote(got), want)
	}
}

// wrongKind says what is wrong with a kind, and where a file of our other kinds belongs.
func wrongKind(got string, kinds []string) string {
	flag := map[string]string{
		v1alpha1.InventoryKind: "--inventory", networkKind: "--network", networkListKind: "--network",
	}[got]
	if flag != "" {
		return fmt.Sprintf("is %s, not %s: such a file is given to %s", got, kinds[0], flag)
	}
	return fmt.Sprintf("%s is not known; must be %s", quote(got), strings.Join(kinds, " or "))
}
