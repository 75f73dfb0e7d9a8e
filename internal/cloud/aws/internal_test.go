// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

func TestNodeRegion(t *testing.T) {
	label := func(key, value string) v1alpha1.Node { return v1alpha1.Node{Labels: map[string]string{key: value}} }
	byID := func(zone string) v1alpha1.Node { return v1alpha1.Node{ProviderID: "aws:///" + zone + "/i-1"} }
	tests := []struct {
		name  string
		nodes []v1alpha1.Node
		want  string
	}{
		{"none", nil, ""},
		{"region label", []v1alpha1.Node{label(regionLabel, "eu-central-1")}, "eu-central-1"},
		{"another cloud's region label", []v1alpha1.Node{label(regionLabel, "RegionOne")}, ""},
		{"zone label", []v1alpha1.Node{label(zoneLabel, "eu-central-1a")}, "eu-central-1"},
		{"zone of the providerID", []v1alpha1.Node{byID("eu-central-1b")}, "eu-central-1"},
		{"two digits", []v1alpha1.Node{byID("ap-southeast-12c")}, "ap-southeast-12"},
		{"local zone", []v1alpha1.Node{byID("us-west-2-lax-1a")}, "us-west-2"},
		{"wavelength zone", []v1alpha1.Node{byID("us-east-1-wl1-bos-wlz-1")}, "us-east-1"},
		{"government", []v1alpha1.Node{byID("us-gov-west-1a")}, "us-gov-west-1"},
		{"isolated", []v1alpha1.Node{byID("us-isob-east-1a")}, "us-isob-east-1"},
		{"sovereign", []v1alpha1.Node{byID("eusc-de-east-1a")}, "eusc-de-east-1"},
		{"no zone in the providerID", []v1alpha1.Node{{ProviderID: "aws:///i-1"}}, ""},
		{"most nodes", []v1alpha1.Node{byID("eu-central-1a"), byID("us-east-1a"), label(regionLabel, "us-east-1"), {}}, "us-east-1"},
		{"as many here as there", []v1alpha1.Node{byID("us-east-1a"), byID("eu-central-1a")}, "eu-central-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := nodeRegion(tt.nodes); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestChooseVPCs(t *testing.T) {
	tests := []struct {
		name    string
		certain []string
		// at are the VPCs of each address.
		at   [][]string
		want []string
	}{
		{"nothing", nil, nil, nil},
		{"certain ones", []string{"b", "a"}, nil, []string{"a", "b"}},
		{"the only one", nil, [][]string{{"a"}, {"a"}}, []string{"a"}},
		{"two", nil, [][]string{{"a"}, {"b"}}, []string{"a", "b"}},
		{"most addresses", nil, [][]string{{"a", "b"}, {"a"}}, []string{"a"}},
		{"equally many", nil, [][]string{{"a", "b"}, {"a", "b"}}, nil},
		{"equally many, of which one is certain", []string{"b"}, [][]string{{"a", "b"}, {"a", "b"}}, []string{"b"}},
		{"an address of both does not keep out the others", nil, [][]string{{"a", "b"}, {"a"}, {"b"}}, []string{"a", "b"}},
		{"one after the other", nil, [][]string{{"a"}, {"a", "b"}, {"a", "b"}, {"b"}, {"b"}, {"c"}}, []string{"a", "b", "c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			certain := map[string]bool{}
			for _, vpc := range tt.certain {
				certain[vpc] = true
			}
			vpcsOf := map[netip.Addr][]string{}
			for i, vpcs := range tt.at {
				vpcsOf[netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})] = vpcs
			}
			if diff := cmp.Diff(tt.want, chooseVPCs(certain, vpcsOf)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestSamples: every node that can be asked for is asked for once, within the limits of a call.
func TestSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := make([]v1alpha1.Node, rapid.IntRange(1, 600).Draw(t, "nodes"))
		want := map[string]bool{}
		pending := make([]int, len(nodes))
		for i := range nodes {
			pending[i] = i
			four, six := netip.AddrFrom4([4]byte{10, 0, byte(i / 256), byte(i)}), netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1))
			switch rapid.SampledFrom([]string{"id", "both", "six", "fargate", "nothing"}).Draw(t, "kind") {
			case "id":
				nodes[i] = v1alpha1.Node{ProviderID: fmt.Sprintf("aws:///z/i-%d", i), InternalIPs: []netip.Addr{four}}
				want[fmt.Sprintf("i-%d", i)] = true
			case "both":
				nodes[i].InternalIPs = []netip.Addr{six, four}
				want[four.String()] = true
			case "six":
				nodes[i].InternalIPs = []netip.Addr{six}
				want[six.String()] = true
			case "fargate":
				nodes[i] = v1alpha1.Node{ProviderID: "aws:///z/x/fargate-ip", InternalIPs: []netip.Addr{four}}
			}
		}
		got := map[string]bool{}
		for rounds := 0; len(pending) > 0; rounds++ {
			var s sample
			s, pending = takeSample(nodes, pending)
			for _, asked := range [][]string{s.instanceIDs, texts(s.ipv4), texts(s.ipv6)} {
				if len(asked) > probeSize {
					t.Fatalf("%d values in one call", len(asked))
				}
				for _, value := range asked {
					if got[value] {
						t.Fatalf("%s is asked for twice", value)
					}
					got[value] = true
				}
			}
			if rounds > len(nodes) {
				t.Fatal("it does not end")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// TestPagesEnd: an answer that leads to itself is an error, not a loop.
func TestPagesEnd(t *testing.T) {
	calls := 0
	_, err := pages(ec2Reader{}, "ec2:DescribeVpcs", func(*string) ([]int, *string, error) {
		calls++
		return []int{calls}, new("again"), nil
	})
	if err == nil || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// TestParallel waits for all and keeps the first failure that is not a missing permission.
func TestParallel(t *testing.T) {
	refused := func(action string) func() error {
		return func() error { return &cloud.Error{Reason: cloud.Unauthorized, Action: action} }
	}
	good := func() error { return nil }
	failed := func() error { return &cloud.Error{Reason: cloud.Throttled, Action: "t"} }
	tests := []struct {
		name  string
		calls []func() error
		want  string
	}{
		{"all well", []func() error{good, good}, ""},
		{"one failure", []func() error{good, failed}, "t: "},
		{"a failure before missing permissions", []func() error{refused("b"), failed, refused("a")}, "t: "},
		{"missing permissions together, each once", []func() error{refused("b"), good, refused("a"), refused("b")}, "a, b: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := parallel(tt.calls...); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestExplainNetwork has the failures that loopback cannot show.
func TestExplainNetwork(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"no such name", &net.DNSError{Name: "ec2.mars-1.amazonaws.com", IsNotFound: true},
			"a: no answer from EC2 in region mars-1: the name ec2.mars-1.amazonaws.com does not exist; check the network, HTTPS_PROXY, and that mars-1 is an AWS region"},
		{"a strange certificate", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
			"a: no answer from EC2 in region mars-1: x509: certificate signed by unknown authority (AWS_CA_BUNDLE names further authorities); check the network, HTTPS_PROXY, and that mars-1 is an AWS region"},
		{"no route", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")},
			"a: no answer from EC2 in region mars-1: no route to host; check the network, HTTPS_PROXY, and that mars-1 is an AWS region"},
		{"anything else", fmt.Errorf("operation error: %w", errors.New("the moon is full")), "a: the moon is full; try again; if it stays, report it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := explain("a", tt.err, place{region: "mars-1", service: "EC2"}).Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestPermissions: the list is what the interface API calls.
func TestPermissions(t *testing.T) {
	if !slices.IsSorted(Permissions()) || strings.Count(statement("ec2:DescribeVpcs"), "ec2:") != len(Permissions()) {
		t.Error(statement("ec2:DescribeVpcs"))
	}
}
