// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// TestDefaults compares what the API server stores with the effective spec, which planner and operator compute of a
// network that may come from a file.
func TestDefaults(t *testing.T) {
	api := newClient(t)
	for name, fields := range map[string]m{
		"nothing set":            {},
		"empty objects":          {"hostAccess": m{}, "metadataService": m{}, "provisioning": m{}},
		"attachment's name":      {"attachment": m{"name": "a"}},
		"host leg off":           {"hostAccess": m{"enabled": false}},
		"host leg to networks":   {"hostAccess": m{"cidrs": []string{"10.0.0.0/8"}}},
		"no cooldown":            {"cooldownSeconds": 0},
		"metadata service":       {"metadataService": m{"mode": "Allow"}},
		"no exceptions":          {"metadataService": m{"exceptNamespaces": []string{}}},
		"managed":                {"provisioning": m{"mode": "Manage"}},
		"managed, other numbers": {"provisioning": m{"mode": "Manage", "minFree": 0, "maxFree": 16}},
		"everything else": {
			"provider": "Manual", "ipFamilies": []string{"IPv6"}, "addressSources": []string{"Prefix"}, "requestedIPs": "Allow",
			"default": true, "mtu": 9001,
		},
	} {
		t.Run(name, func(t *testing.T) {
			written := object(network(), spec(fields))
			stored := written.DeepCopy()
			if err := api.Create(t.Context(), stored, client.DryRunAll); err != nil {
				t.Fatal(err)
			}
			want, got := typed(t, stored.Object), typed(t, written.Object).Effective()
			if want.Spec.Attachment == nil { // follows the name, which no default can
				want.Spec.Attachment = &v1alpha1.AttachmentReference{Namespace: "kube-system", Name: "ipvlan-ens6"}
			}
			if diff := cmp.Diff(want.Spec, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the API server's defaults are not the effective spec (-stored +effective):\n%s", diff)
			}
		})
	}
}

func typed(t *testing.T, fields map[string]any) *v1alpha1.UnderlayNetwork {
	t.Helper()
	var n v1alpha1.UnderlayNetwork
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &n); err != nil {
		t.Fatal(err)
	}
	return &n
}

// TestPoolDefaults: a pool hands out addresses unless it is told not to.
func TestPoolDefaults(t *testing.T) {
	api := newClient(t)
	stored := object(pool())
	if err := api.Create(t.Context(), stored, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	want := object(pool(), spec(m{"allocation": "Enabled"}))
	if diff := cmp.Diff(want.Object["spec"], stored.Object["spec"]); diff != "" {
		t.Errorf("stored spec differs (-want +got):\n%s", diff)
	}
}
