// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// besidePods gives each node what a cluster with another IPAM has: a primary interface with that one's tag, and beside it
// an interface of the user's, with a prefix, tagged from the first call so that the other leaves it alone.
func (s *stage) besidePods(t *testing.T, otherTag string) {
	t.Helper()
	api := s.ec2(t)
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	for _, node := range readWalkthrough(t).Nodes {
		primary := node.Interfaces[0]
		value := "true"
		if otherTag == v1alpha1.AWSVPCCNITag {
			value = node.InstanceID
		}
		if _, err := api.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{primary.ID}, Tags: []types.Tag{tag(otherTag, value)}}); err != nil {
			t.Fatal(err)
		}
		made, err := api.CreateNetworkInterface(t.Context(), &ec2.CreateNetworkInterfaceInput{
			SubnetId: &primary.SubnetID, Ipv4PrefixCount: aws.Int32(1), TagSpecifications: []types.TagSpecification{
				{ResourceType: types.ResourceTypeNetworkInterface, Tags: []types.Tag{tag(v1alpha1.NoManageTag, "true")}}}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = api.AttachNetworkInterface(t.Context(), &ec2.AttachNetworkInterfaceInput{NetworkInterfaceId: made.NetworkInterface.NetworkInterfaceId,
			InstanceId: &node.InstanceID, DeviceIndex: aws.Int32(1), NetworkCardIndex: aws.Int32(0)})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// runs creates an object of another IPAM for the test.
func (s *stage) runs(t *testing.T, object client.Object) {
	t.Helper()
	if err := s.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.client.Delete(context.WithoutCancel(t.Context()), object); err != nil { // the test's context has ended
			t.Error(err)
		}
	})
}

// TestBesideAnotherIPAM is the walkthrough as a second network: pools come from tagged interfaces alone, whether the
// other IPAM is seen in the cluster or by its tags.
func TestBesideAnotherIPAM(t *testing.T) {
	labels := map[string]string{"k8s-app": "aws-node"}
	tests := []struct {
		name  string
		tag   string
		other client.Object
		says  string
	}{
		{"aws-node", v1alpha1.AWSVPCCNITag, &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "aws-node"}, Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "aws-node", Image: "x"}}}}}}, "the AWS VPC CNI (aws-node)"},
		{"Cilium in ENI mode", v1alpha1.CiliumENITag, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "cilium-config"},
			Data: map[string]string{"ipam": "eni"}}, "Cilium in ENI mode"},
		{"tags alone", v1alpha1.AWSVPCCNITag, nil, "the AWS VPC CNI (aws-node)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.besidePods(t, tt.tag)
			if tt.other != nil {
				s.runs(t, tt.other)
			}
			contains(t, must(t, 0, "check").stdout, "interface-owned-by-other-ipam", tt.says)
			must(t, 0, initYes)
			want := []string{"eni1.1.v4.master", "eni1.1.v4.worker1"}
			if got := s.names(t, underlayKind("UnderlayPool")); !slices.Equal(got, want) {
				t.Errorf("pools %v, want %v", got, want)
			}
			if got := s.names(t, attachmentKind()); !slices.Equal(got, []string{"ipvlan-eni1"}) {
				t.Errorf("attachments %v", got)
			}
			if pools := must(t, 0, "pools").stdout; strings.Contains(pools, "eni0") {
				t.Errorf("pools of the other IPAM's interfaces:\n%s", pools)
			}
			must(t, 0, "plan --no-operator")
		})
	}
}
