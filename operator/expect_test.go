// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// pools by name.
func (s *stage) pools(t *testing.T) map[string]v1alpha1.UnderlayPool {
	t.Helper()
	var list v1alpha1.UnderlayPoolList
	if err := s.client.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]v1alpha1.UnderlayPool{}
	for _, p := range list.Items {
		out[p.Name] = p
	}
	return out
}

// refreshes waits until the operator has asked the cloud n more times, with an answer each time.
func (s *stage) refreshes(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		c := 0
		for _, call := range s.cloud.Calls() {
			if call.Action == "DescribeVpcs" && call.Error == "" {
				c++
			}
		}
		return c
	}
	// One may be under way, begun before what the test has just done.
	want := count() + n + 1
	eventually(t, func() error {
		if got := count(); got < want {
			return fmt.Errorf("%d snapshots, want %d", got, want)
		}
		return nil
	})
}

// expect waits until the pool has these ranges and draining ones; none means that the pool is not there.
func (s *stage) expect(t *testing.T, pool string, ranges, draining string) v1alpha1.UnderlayPool {
	t.Helper()
	var found v1alpha1.UnderlayPool
	eventually(t, func() error {
		p, exists := s.pools(t)[pool]
		if !exists && ranges == "" {
			return nil
		}
		found = p
		if got := joined(p.Spec.Ranges); !exists || got != ranges || joined(p.Spec.Draining) != draining {
			return fmt.Errorf("pool %s (there: %v) has %s, draining %s; want %s, draining %s\n%s", pool, exists, got, joined(p.Spec.Draining), ranges, draining, s.describe(t))
		}
		return nil
	})
	return found
}

func joined[S ~string](list []S) string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return strings.Join(out, " ")
}

// expectCondition waits until a condition has a reason, and returns its message.
func (s *stage) expectCondition(t *testing.T, object client.Object, kind, reason string) metav1.Condition {
	t.Helper()
	var found metav1.Condition
	eventually(t, func() error {
		if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		var conditions []metav1.Condition
		switch o := object.(type) {
		case *v1alpha1.UnderlayNetwork:
			conditions = o.Status.Conditions
		case *v1alpha1.UnderlayPool:
			conditions = o.Status.Conditions
		}
		c := meta.FindStatusCondition(conditions, kind)
		if c == nil || c.Reason != reason {
			return fmt.Errorf("%s has %+v, want %s with reason %s", object.GetName(), conditions, kind, reason)
		}
		found = *c
		return nil
	})
	return found
}

func pool(name string) *v1alpha1.UnderlayPool {
	return &v1alpha1.UnderlayPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// attachment reads an attachment; nil if there is none.
func (s *stage) attachment(t *testing.T, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(attachmentKind())
	err := s.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// report writes what a node's agent would.
func (s *stage) report(t *testing.T, node string, pools ...v1alpha1.NodePool) {
	t.Helper()
	r := &v1alpha1.UnderlayNode{ObjectMeta: metav1.ObjectMeta{Name: node}}
	if err := s.client.Create(t.Context(), r); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(r), r); err != nil {
		t.Fatal(err)
	}
	r.Status.Pools = pools
	if err := s.client.Status().Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// prefixes sets the IPv4 prefixes of worker1's interface in the cloud.
func (s *stage) prefixes(t *testing.T, prefixes ...string) {
	t.Helper()
	err := s.cloud.Update(func(w *ec2sim.World) error {
		w.Interfaces[worker1ENI].IPv4Prefixes = prefixList(prefixes...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// describe lists everything, for messages of failed tests.
func (s *stage) describe(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	pools := s.pools(t)
	var names []string
	for name := range pools {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := pools[name]
		fmt.Fprintf(&out, "%s generation %d ranges %s exclude %s draining %s\n", name, p.Generation, joined(p.Spec.Ranges), joined(p.Spec.Exclude), joined(p.Spec.Draining))
		for _, c := range p.Status.Conditions {
			fmt.Fprintf(&out, "    %s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	var networks v1alpha1.UnderlayNetworkList
	if err := s.client.List(t.Context(), &networks); err != nil {
		t.Fatal(err)
	}
	for _, n := range networks.Items {
		fmt.Fprintf(&out, "network %s %+v\n", n.Name, n.Status)
	}
	return out.String()
}

func prefixList(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}

// expectEvent waits for an event about the object.
func (s *stage) expectEvent(t *testing.T, object, reason string, says ...string) {
	t.Helper()
	eventually(t, func() error {
		var list eventsv1.EventList
		if err := s.client.List(t.Context(), &list); err != nil {
			return err
		}
		var seen []string
		for _, e := range list.Items {
			if e.Regarding.Name != object {
				continue
			}
			if e.Reason == reason && !slices.ContainsFunc(says, func(part string) bool { return !strings.Contains(e.Note, part) }) {
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Note)
		}
		return fmt.Errorf("no event %s %v about %s among %q", reason, says, object, seen)
	})
}
