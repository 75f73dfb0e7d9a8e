// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

func TestPoolName(t *testing.T) {
	long := strings.Repeat("a", 200) + "." + strings.Repeat("-b", 20) + ".example"
	tests := []struct {
		network      string
		card, device int32
		family       v1alpha1.IPFamily
		node, want   string
	}{
		{"ens6", 0, 1, v1alpha1.IPv4, "worker1", "ens6.1.v4.worker1"},
		{"ens6", 0, 0, v1alpha1.IPv6, "ip-10-0-0-1.ec2.internal", "ens6.0.v6.ip-10-0-0-1.ec2.internal"},
		{"ens6", 3, 1, v1alpha1.IPv4, "worker1", "ens6.3-1.v4.worker1"},
		{"n", 0, 0, v1alpha1.IPv4, strings.Repeat("x", 246), "n.0.v4." + strings.Repeat("x", 246)},
		{"n", 0, 0, v1alpha1.IPv4, strings.Repeat("x", 247), "n.0.v4." + strings.Repeat("x", 225) + "-86203856f6227b188a8b"},
		{"n", 0, 0, v1alpha1.IPv4, long, "n.0.v4." + strings.Repeat("a", 200) + "." + strings.Repeat("-b", 12) + "-068d5269a5170b73f1e0"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.network, tt.card, tt.device, len(tt.node)), func(t *testing.T) {
			got := PoolName(tt.network, tt.card, tt.device, tt.family, tt.node)
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestPoolNamesAreValidAndUnique(t *testing.T) {
	type id struct {
		network, node string
		card, device  int32
		family        v1alpha1.IPFamily
	}
	drawn := rapid.Custom(func(t *rapid.T) id {
		return id{
			network: rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?`).Draw(t, "network"),
			node: rapid.SampledFrom([]string{"", strings.Repeat("n", 190), strings.Repeat("n.", 95)}).Draw(t, "head") +
				rapid.StringMatching(`[a-z0-9](\.?-?[a-z0-9]){0,20}`).Draw(t, "node"),
			card:   rapid.Int32Range(0, 2).Draw(t, "card"),
			device: rapid.Int32Range(0, 12).Draw(t, "device"),
			family: rapid.SampledFrom([]v1alpha1.IPFamily{v1alpha1.IPv4, v1alpha1.IPv6}).Draw(t, "family"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string]id{}
		for _, i := range rapid.SliceOfNDistinct(drawn, 1, 20, rapid.ID).Draw(t, "pools") {
			name := PoolName(i.network, i.card, i.device, i.family, i.node)
			if len(validation.IsDNS1123Subdomain(i.node)) == 0 {
				if errs := validation.IsDNS1123Subdomain(name); len(errs) > 0 {
					t.Errorf("%s: %v", name, errs)
				}
			}
			if other, taken := seen[name]; taken {
				t.Errorf("%+v and %+v are both %s", i, other, name)
			}
			seen[name] = i
		}
	})
}

func TestObjects(t *testing.T) {
	inv := one()
	inv.Nodes[0].Interfaces[0].MACAddress = "02:AB:CD:00:00:01"
	given := network4("given", 0)
	given.Labels = map[string]string{"team": "net"}
	given.Annotations = map[string]string{"note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
	given.UID, given.ResourceVersion, given.Generation = "u", "7", 3
	given.CreationTimestamp = metav1.NewTime(time.Unix(1, 0))
	given.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	given.Finalizers = []string{"f"}
	given.Spec.RequestedIPs = v1alpha1.RequestedIPsAllow
	given.Status.Pools = 4
	p, _ := For(Inputs{Inventory: inv, Networks: []v1alpha1.UnderlayNetwork{given}})
	golden(t, "objects.yaml", asYAML(t, p.Objects()))
}

// TestObjectsAreWhatJSONSays: no field is lost or added on the way from types to objects.
func TestObjectsAreWhatJSONSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, _ := For(inputs().Draw(t, "inputs"))
		objects := p.Objects()
		first, err := json.Marshal(objects)
		if err != nil {
			t.Fatal(err)
		}
		second, err := json.Marshal(p.Objects())
		if err != nil || string(first) != string(second) {
			t.Errorf("two exports differ (%v)", err)
		}
		for i := range p.Pools {
			o := objects[len(p.Networks)+i]
			var back v1alpha1.UnderlayPool
			if err := json.Unmarshal([]byte(key(t, o)), &back); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(p.Pools[i], back); d != "" {
				t.Error(d)
			}
			for _, absent := range [][]string{{"status"}, {"metadata", "creationTimestamp"}} {
				if _, found, _ := unstructured.NestedFieldNoCopy(o.Object, absent...); found {
					t.Errorf("pool %s has %v", back.Name, absent)
				}
			}
		}
	})
}
