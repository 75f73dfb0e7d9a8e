// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// networkSchema is the schema by which an API server defaults networks.
func networkSchema(t *testing.T) *schema.Structural {
	t.Helper()
	raw, err := os.ReadFile("../../manifests/crds/underlay.dev_underlaynetworks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		t.Fatal(err)
	}
	var props apiextensions.JSONSchemaProps
	in := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(in, &props, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(&props)
	if err != nil {
		t.Fatal(err)
	}
	return structural
}

// defaulted is the network as the API server would store it.
func defaulted(t rapid.TB, n *UnderlayNetwork, s *schema.Structural) *UnderlayNetwork {
	t.Helper()
	raw, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	defaulting.Default(object, s)
	if raw, err = json.Marshal(object); err != nil {
		t.Fatal(err)
	}
	var out UnderlayNetwork
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

// sparse draws networks in which any optional field may be absent.
func sparse() *rapid.Generator[*UnderlayNetwork] {
	return rapid.Custom(func(t *rapid.T) *UnderlayNetwork {
		n := &UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: "ens6"}}
		n.Spec = UnderlayNetworkSpec{
			Provider:          rapid.SampledFrom([]Provider{"", ProviderAWS, ProviderManual}).Draw(t, "provider"),
			InterfaceSelector: InterfaceSelector{DeviceIndexes: []int32{1}},
			IPFamilies:        rapid.SampledFrom([][]IPFamily{nil, {IPv6}, {IPv6, IPv4}}).Draw(t, "families"),
			AddressSources:    rapid.SampledFrom([][]AddressSource{nil, {SourcePrefix}}).Draw(t, "sources"),
			Attachment:        rapid.SampledFrom([]*AttachmentReference{nil, {Name: "a"}, {Namespace: "b", Name: "a"}}).Draw(t, "attachment"),
			HostAccess:        rapid.SampledFrom([]*HostAccess{nil, {}, {Enabled: new(false)}, {CIDRs: []CIDR{"10.0.0.0/8"}}}).Draw(t, "hostAccess"),
			CooldownSeconds:   rapid.SampledFrom([]*int32{nil, new(int32(0)), new(int32(60))}).Draw(t, "cooldown"),
			RequestedIPs:      rapid.SampledFrom([]RequestedIPs{"", RequestedIPsAllow}).Draw(t, "requestedIPs"),
			MetadataService: rapid.SampledFrom([]*MetadataService{nil, {}, {Mode: MetadataAllow},
				{ExceptNamespaces: []string{"x"}}}).Draw(t, "metadata"),
			Provisioning: rapid.SampledFrom([]*Provisioning{nil, {}, {Mode: Manage}, {MinFree: new(int32(0))},
				{Mode: Manage, MinFree: new(int32(1)), MaxFree: new(int32(99))}}).Draw(t, "provisioning"),
		}
		return n
	})
}

func TestEffectiveEqualsTheDefaultsOfTheCRD(t *testing.T) {
	crd := networkSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		n := sparse().Draw(t, "network")
		before := n.DeepCopy()
		got := n.Effective()
		if d := cmp.Diff(before, n); d != "" {
			t.Fatalf("Effective changed the network: %s", d)
		}
		want := defaulted(t, n, crd).Spec
		if want.Attachment == nil { // the one value which a schema cannot compute
			want.Attachment = &AttachmentReference{Namespace: "kube-system", Name: "ipvlan-ens6"}
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
		n.Spec = got
		if d := cmp.Diff(got, n.Effective(), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("not idempotent: %s", d)
		}
	})
}

func TestHas(t *testing.T) {
	n := UnderlayNetwork{Spec: UnderlayNetworkSpec{IPFamilies: []IPFamily{IPv4}, AddressSources: []AddressSource{SourcePrefix}}}
	spec := n.Effective()
	if !spec.Has(IPv4, SourcePrefix) || spec.Has(IPv6, SourcePrefix) || spec.Has(IPv4, SourceSecondaryIP) {
		t.Errorf("Has disagrees with %+v", spec)
	}
}
