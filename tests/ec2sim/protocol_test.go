// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// TestDescribeErrors asks for what EC2 refuses.
func TestDescribeErrors(t *testing.T) {
	filters := func(name string, n int) []types.Filter {
		return []types.Filter{{Name: &name, Values: slices.Repeat([]string{"x"}, n)}}
	}
	tests := []struct {
		name          string
		call          func(context.Context, *ec2.Client) error
		code, message string
	}{
		{"an unknown filter", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: filters("colour", 1)})
			return err
		}, "InvalidParameterValue", "The filter 'colour' is invalid"},
		{"too many values", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: append(filters("vpc-id", 200), filters("state", 1)...)})
			return err
		}, "FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200"},
		{"a page too small", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{MaxResults: aws.Int32(4)})
			return err
		}, "InvalidParameterValue", "Value ( 4 ) for parameter MaxResults is invalid. Expecting a value greater than or equal to 5."},
		{"a page too large", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(1001)})
			return err
		}, "InvalidParameterValue", "Value ( 1001 ) for parameter MaxResults is invalid. Expecting a value smaller than or equal to 1000."},
		{"a page of instances too small", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(2)})
			return err
		}, "InvalidParameterValue", "Value ( 2 ) for parameter maxResults is invalid. Expecting a value greater than 5."},
		{"a page of types too large", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{MaxResults: aws.Int32(101)})
			return err
		}, "InvalidMaxResults", "Value ( 101 ) for parameter maxResults is invalid. Expecting a value from ( 5 ) to  ( 100 )."},
		{"pages of named interfaces", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(5), NetworkInterfaceIds: []string{"eni-1"}})
			return err
		}, "InvalidParameterCombination", "The parameter NetworkInterfaceIds cannot be used with the parameter MaxResults"},
		{"pages of named instances", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5), InstanceIds: []string{"i-1"}})
			return err
		}, "InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults"},
		{"a token of nobody", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{NextToken: aws.String("garbage")})
			return err
		}, "InvalidParameterValue", "Value ( garbage ) for parameter NextToken is invalid. The token is invalid."},
		{"one missing id", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{"i-1", "i-99"}})
			return err
		}, "InvalidInstanceID.NotFound", "The instance ID 'i-99' does not exist"},
		{"a dry run", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{DryRun: aws.Bool(true), MaxResults: aws.Int32(1)})
			return err
		}, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."},
	}
	_, client := start(t, small())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if gotCode, gotMessage := code(t, tt.call(context.Background(), client)); gotCode != tt.code || gotMessage != tt.message {
				t.Errorf("got %q %q, want %q %q", gotCode, gotMessage, tt.code, tt.message)
			}
		})
	}
}

// TestRawRequests sends what the SDK does not.
func TestRawRequests(t *testing.T) {
	const signed = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-central-1/ec2/aws4_request, SignedHeaders=host, Signature=0"
	tests := []struct {
		name, authorization, form string
		status                    int
		code                      string
	}{
		{"no credentials", "", "Action=DescribeVpcs&Version=2016-11-15", 400, "MissingParameter"},
		{"another way of signing", "Basic eA==", "Action=DescribeVpcs&Version=2016-11-15", 401, "AuthFailure"},
		{"signed for another service", strings.Replace(signed, "/ec2/", "/s3/", 1), "Action=DescribeVpcs&Version=2016-11-15", 401, "AuthFailure"},
		{"no action", signed, "Version=2016-11-15", 400, "MissingAction"},
		{"an unknown action", signed, "Action=MakeTea&Version=2016-11-15", 400, "InvalidAction"},
		{"an unknown version", signed, "Action=DescribeVpcs&Version=1999-01-01", 400, "NoSuchVersion"},
		{"an unknown parameter", signed, "Action=DescribeVpcs&Version=2016-11-15&Colour=red", 400, "UnknownParameter"},
		{"a dry run of what the SDK knows none of", signed, "Action=AssignPrivateIpAddresses&Version=2016-11-15&NetworkInterfaceId=eni-1&Ipv4PrefixCount=1&DryRun=true", 412, "DryRunOperation"},
		{"not a number", signed, "Action=DescribeVpcs&Version=2016-11-15&MaxResults=many", 400, "InvalidParameterValue"},
		{"not a form", signed, "Action=%zz", 400, "MalformedQueryString"},
		{"all well", signed, "Action=DescribeVpcs&Version=2016-11-15", 200, ""},
	}
	server, _ := start(t, small())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := post(t, server.URL(), tt.authorization, tt.form)
			if status != tt.status || !strings.Contains(body, "<Code>"+tt.code+"</Code>") && tt.code != "" {
				t.Errorf("got %d, want %d %s:\n%s", status, tt.status, tt.code, body)
			}
		})
	}
}

func post(t testing.TB, to, authorization, form string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestPages walks through all subnets in pages of five, while one is added and one goes.
func TestPages(t *testing.T) {
	inv := small()
	for i := range 20 {
		inv.Subnets = append(inv.Subnets, v1alpha1.Subnet{ID: fmt.Sprintf("subnet-1%02d", 2*i), VPCID: "vpc-1"})
	}
	server, client := start(t, inv)
	var got []string
	pages := 0
	walk := ec2.NewDescribeSubnetsPaginator(client, &ec2.DescribeSubnetsInput{
		MaxResults: aws.Int32(5), Filters: []types.Filter{{Name: aws.String("subnet-id"), Values: []string{"subnet-1*"}}}})
	for walk.HasMorePages() {
		page, err := walk.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if pages++; pages == 2 {
			err := server.Update(func(w *ec2sim.World) error {
				delete(w.Subnets, "subnet-118")
				return w.AddSubnet(v1alpha1.Subnet{ID: "subnet-121", VPCID: "vpc-1"})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, subnet := range page.Subnets {
			got = append(got, *subnet.SubnetId)
		}
	}
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprintf("subnet-1%02d", 2*i))
	}
	want = slices.Insert(want, 11, "subnet-121")
	if diff := cmp.Diff(want, got); diff != "" || pages != 5 {
		t.Errorf("%d pages (-want +got):\n%s", pages, diff)
	}
}

// TestTokenBelongsToRequest uses a page's token for another request.
func TestTokenBelongsToRequest(t *testing.T) {
	inv := small()
	for i := range 9 {
		inv.Subnets = append(inv.Subnets, v1alpha1.Subnet{ID: fmt.Sprintf("subnet-%d", i), VPCID: "vpc-1"})
	}
	_, client := start(t, inv)
	page, err := client.DescribeSubnets(context.Background(), &ec2.DescribeSubnetsInput{MaxResults: aws.Int32(5)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.DescribeSubnets(context.Background(), &ec2.DescribeSubnetsInput{MaxResults: aws.Int32(5), NextToken: page.NextToken,
		Filters: []types.Filter{{Name: aws.String("vpc-id"), Values: []string{"vpc-1"}}}})
	if got, message := code(t, err); got != "InvalidParameterValue" {
		t.Errorf("got %s: %s", got, message)
	}
}

func TestFilters(t *testing.T) {
	inv := small()
	inv.Nodes[0].Interfaces[0].Tags = map[string]string{"team": "red", "note": "50% *done*"}
	inv.Nodes[0].Interfaces[0].SecurityGroups = []string{"sg-1", "sg-2"}
	tests := []struct {
		name    string
		filters map[string][]string
		want    []string
	}{
		{"none", nil, []string{"eni-1", "eni-2", "eni-3", "eni-4"}},
		{"any of the values", map[string][]string{"network-interface-id": {"eni-1", "eni-3", "eni-7"}}, []string{"eni-1", "eni-3"}},
		{"all of the filters", map[string][]string{"subnet-id": {"subnet-tiny"}, "attachment.instance-id": {"i-4", "i-2"}}, []string{"eni-2"}},
		{"a pattern", map[string][]string{"addresses.private-ip-address": {"10.0.0.1?"}}, []string{"eni-1", "eni-2", "eni-3"}},
		{"secondary addresses too", map[string][]string{"addresses.private-ip-address": {"10.0.1.100"}}, []string{"eni-4"}},
		{"IPv6", map[string][]string{"ipv6-addresses.ipv6-address": {"2001:db8:0:1::13"}}, []string{"eni-4"}},
		{"a tag's value", map[string][]string{"tag:team": {"re*"}}, []string{"eni-1"}},
		{"a star as it is", map[string][]string{"tag:note": {`*\*done\*`}}, []string{"eni-1"}},
		{"a tag's key", map[string][]string{"tag-key": {"team"}}, []string{"eni-1"}},
		{"one group of several", map[string][]string{"group-id": {"sg-2"}}, []string{"eni-1"}},
		{"status of the attachment", map[string][]string{"attachment.status": {"detaching"}}, nil},
		{"case counts", map[string][]string{"tag:team": {"RED"}}, nil},
	}
	_, client := start(t, inv)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := &ec2.DescribeNetworkInterfacesInput{}
			for name, values := range tt.filters {
				in.Filters = append(in.Filters, types.Filter{Name: aws.String(name), Values: values})
			}
			out, err := client.DescribeNetworkInterfaces(context.Background(), in)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, nic := range out.NetworkInterfaces {
				got = append(got, *nic.NetworkInterfaceId)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRecordAndGates looks at what the server records and at permissions, credentials and faults.
func TestRecordAndGates(t *testing.T) {
	server, client := start(t, small())
	call := func() error {
		_, err := client.DescribeVpcs(context.Background(), &ec2.DescribeVpcsInput{})
		return err
	}
	want := []string{"", "UnauthorizedOperation", "RequestExpired", "AuthFailure", "RequestLimitExceeded", ""}
	steps := []func(){
		func() {},
		func() { server.Deny("DescribeVpcs") },
		func() { server.Allow("DescribeVpcs"); server.SetCredentials(ec2sim.Expired) },
		func() { server.SetCredentials(ec2sim.Unknown) },
		func() {
			server.SetCredentials(ec2sim.Accepted)
			server.Inject(ec2sim.Fault{Action: "DescribeSubnets", Error: ec2sim.InternalError()})
			server.Inject(ec2sim.Fault{Action: "DescribeVpcs", Times: 1, Error: ec2sim.RequestLimitExceeded()})
		},
		func() {},
	}
	var got []string
	for _, step := range steps {
		step()
		gotCode, _ := code(t, call())
		got = append(got, gotCode)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	var recorded []string
	for _, c := range server.Calls() {
		if c.Action != "DescribeVpcs" || c.AccessKeyID != "AKIDEXAMPLE" || c.Region != "eu-central-1" {
			t.Errorf("recorded %+v", c)
		}
		recorded = append(recorded, c.Error)
	}
	if diff := cmp.Diff(want, recorded); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	if n := server.Counts()["DescribeVpcs"]; n != len(want) {
		t.Errorf("counted %d calls", n)
	}
	server.ForgetCalls()
	if n := len(server.Calls()); n != 0 {
		t.Errorf("%d calls are still recorded", n)
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	server, err := ec2sim.New(small(), ec2sim.Address("0.0.0.0:0"))
	if err == nil {
		server.Close()
		t.Fatal("listens for everyone")
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name, want string
		change     func(*v1alpha1.Inventory)
	}{
		{"an interface in no subnet", "node node1: interface eni-1 is in subnet subnet-x, which the inventory does not have",
			func(inv *v1alpha1.Inventory) { inv.Nodes[0].Interfaces[0].SubnetID = "subnet-x" }},
		{"a subnet in no VPC", "subnet subnet-tiny is in VPC vpc-x, which the inventory does not have",
			func(inv *v1alpha1.Inventory) { inv.Subnets[0].VPCID = "vpc-x" }},
		{"an instance twice", "i-1 is in the inventory twice",
			func(inv *v1alpha1.Inventory) { inv.Nodes[1].InstanceID = "i-1" }},
		{"an unknown type", "node node1: instance type m9.tiny is not known; add it to the inventory's instanceTypes",
			func(inv *v1alpha1.Inventory) { inv.Nodes[0].InstanceType = "m9.tiny" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := small()
			tt.change(&inv)
			if _, err := ec2sim.Load(inv); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// FuzzRequest looks that no form makes the server fail by itself.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"Action=DescribeNetworkInterfaces&Filter.1.Name=tag:a&Filter.1.Value.1=*&MaxResults=5",
		"Action=AssignPrivateIpAddresses&NetworkInterfaceId=eni-1&PrivateIpAddress.1=10.0.0.7",
		"Action=AssignIpv6Addresses&NetworkInterfaceId=eni-4&Ipv6Prefix.1=2001:db8:0:1:7::/80",
		"Action=UnassignIpv6Addresses&NetworkInterfaceId=eni-4&Ipv6Addresses.1=2001:db8:0:1::13",
		"Action=DescribeInstanceTypes&NextToken=e30",
	} {
		f.Add(seed)
	}
	server, err := ec2sim.New(small())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, form string) {
		values, err := url.ParseQuery(form)
		if err != nil {
			return
		}
		values.Set("Version", "2016-11-15")
		status, body := post(t, server.URL(), "AWS4-HMAC-SHA256 Credential=A/20260102/x/ec2/aws4_request", values.Encode())
		if status >= 500 {
			t.Errorf("%d: %s", status, body)
		}
	})
}
