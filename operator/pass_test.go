// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

// largeWorld is a settled cluster of so many nodes, with four pools and a report each.
func largeWorld(nodes int) (*world, *thought) {
	inventory := plantest.Inventory(plantest.Uniform(nodes, plantest.DualStack()))
	w := &world{networks: map[string]*v1alpha1.UnderlayNetwork{}, pools: map[string]*v1alpha1.UnderlayPool{}, reports: map[string]*v1alpha1.UnderlayNode{}}
	made, _ := plan.For(plan.Inputs{Inventory: inventory, Propose: true})
	for i := range made.Networks {
		w.networks[made.Networks[i].Name] = &made.Networks[i]
	}
	t := &thought{observed: true, pools: map[string]*v1alpha1.UnderlayPool{}, nodes: map[string]nodeFacts{}}
	for i := range inventory.Nodes {
		n := &inventory.Nodes[i]
		t.nodes[n.Name] = nodeFacts{uid: n.UID, seen: true}
		w.reports[n.Name] = &v1alpha1.UnderlayNode{}
	}
	for i := range made.Pools {
		p := &made.Pools[i]
		t.pools[p.Name] = p
		live := p.DeepCopy()
		live.Generation = 1
		w.pools[p.Name] = live
		node := w.reports[p.Spec.NodeName]
		node.Status.Pools = append(node.Status.Pools, v1alpha1.NodePool{Name: p.Name, ObservedGeneration: 1})
	}
	outcomes := decide(w, t, &memory{}, time.Unix(1, 0), time.Minute)
	for i := range outcomes {
		outcomes[i].live.Status = outcomes[i].status(outcomes[i].live)
	}
	return w, t
}

// TestSettledPassWritesNothing: a large cluster in which nothing changes.
func TestSettledPassWritesNothing(t *testing.T) {
	w, planned := largeWorld(50)
	for _, out := range decide(w, planned, &memory{}, time.Unix(100, 0), time.Minute) {
		if (&operator{}).differs(&out) {
			t.Errorf("pool %s would be written: %+v", out.live.Name, out)
		}
	}
}

// TestSameStatus: a change of any field is seen, also of one that is added to the API later; another way to write it is none.
func TestSameStatus(t *testing.T) {
	at := time.Unix(1764100000, 0)
	status := func() v1alpha1.UnderlayPoolStatus {
		return v1alpha1.UnderlayPoolStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionValid, LastTransitionTime: metav1.NewTime(at)}}}
	}
	utc := status()
	utc.Conditions[0].LastTransitionTime = metav1.NewTime(at.UTC().In(time.FixedZone("elsewhere", 3600)))
	if !sameStatus(status(), utc) || !sameStatus(v1alpha1.UnderlayPoolStatus{}, v1alpha1.UnderlayPoolStatus{Conditions: []metav1.Condition{}}) {
		t.Error("the same status differs")
	}
	later := status()
	later.Conditions[0].LastTransitionTime = metav1.NewTime(at.Add(time.Second))
	if sameStatus(status(), later) || sameStatus(status(), v1alpha1.UnderlayPoolStatus{}) {
		t.Error("different conditions are the same")
	}
	changed := status()
	for _, of := range []reflect.Value{reflect.ValueOf(&changed).Elem(), reflect.ValueOf(&changed.Conditions[0]).Elem()} {
		for _, field := range reflect.VisibleFields(of.Type()) {
			value := of.FieldByIndex(field.Index)
			before := reflect.ValueOf(value.Interface())
			switch value.Kind() {
			case reflect.Int64:
				value.SetInt(7)
			case reflect.String:
				value.SetString("another")
			case reflect.Struct, reflect.Slice: // what is in it is looked at by itself
				continue
			default:
				t.Fatalf("say here how to change %s", field.Name)
			}
			if sameStatus(status(), changed) {
				t.Errorf("a change of %s is not seen", field.Name)
			}
			value.Set(before)
		}
	}
}

// BenchmarkPass is what a report of one agent costs on 5,000 nodes, beyond listing the cache.
func BenchmarkPass(b *testing.B) {
	w, planned := largeWorld(5000)
	o, m := &operator{}, &memory{}
	for b.Loop() {
		outcomes := decide(w, planned, m, time.Unix(100, 0), time.Minute)
		for i := range outcomes {
			if o.differs(&outcomes[i]) {
				b.Fatal("it would write")
			}
		}
	}
}
