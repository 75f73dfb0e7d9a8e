// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// TestRoutesWhoseGatewayIsNotReached are told by the network's condition, which stays True: its pods start, and go by their default route. The pools of
// one network are derived, those of the other its user's.
func TestRoutesWhoseGatewayIsNotReached(t *testing.T) {
	s := newStage(t)
	s.bareMetal(t)
	s.network(t, "ens5", 0)
	s.operate(t)
	for _, tt := range []struct {
		network          string
		gateway, another v1alpha1.Address
		says             string
	}{
		{"ens5", "172.31.32.1", "172.31.16.1", "pods of 1 of 2 IPv4 pools have no route to 10.0.0.0/8, since they do not reach 172.31.32.1 from their subnet: ens5.0.v4.master"},
		{"eth1", "172.31.32.1", "10.20.0.9", "pods of 3 IPv4 pools have no route to 10.0.0.0/8"},
	} {
		t.Run(tt.network, func(t *testing.T) {
			network := &v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: tt.network}}
			expect := func(tells bool) {
				t.Helper()
				eventually(t, func() error {
					if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(network), network); err != nil {
						return err
					}
					c := meta.FindStatusCondition(network.Status.Conditions, v1alpha1.ConditionReady)
					if c == nil || c.Status != metav1.ConditionTrue || strings.Contains(c.Message, tt.says) != tells {
						return fmt.Errorf("ready: %+v", c)
					}
					return nil
				})
			}
			expect(false)
			network.Spec.Routes = []v1alpha1.Route{{Destination: "10.0.0.0/8", Gateway: tt.gateway}}
			if err := s.client.Update(t.Context(), network); err != nil {
				t.Fatal(err)
			}
			expect(true)
			network.Spec.Routes = append(network.Spec.Routes, v1alpha1.Route{Destination: "10.0.0.0/8", Gateway: tt.another})
			if err := s.client.Update(t.Context(), network); err != nil {
				t.Fatal(err)
			}
			expect(false)
		})
	}
}
