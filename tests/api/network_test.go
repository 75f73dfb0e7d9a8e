// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"
	"testing"
)

type m = map[string]any

func network() m {
	return m{
		"apiVersion": "underlay.dev/v1alpha1", "kind": "UnderlayNetwork", "metadata": m{"name": "ens6"},
		"spec": m{"interfaceSelector": m{"deviceIndexes": []int{1}}},
	}
}

func TestNetworkRules(t *testing.T) {
	var cases []ruleCase
	cases = append(cases, networkObjectCases()...)
	cases = append(cases, networkSelectionCases()...)
	cases = append(cases, networkAddressCases()...)
	cases = append(cases, networkPodCases()...)
	cases = append(cases, networkProvisioningCases()...)
	testRules(t, "testdata/networks.golden", network(), cases, true)
}

func networkObjectCases() []ruleCase {
	return []ruleCase{
		ok("nothing but what is required", nil),
		ok("every list at its longest", everything()),
		ok("name of 40 characters", m{"metadata": m{"name": strings.Repeat("a", 40)}}),
		no("name of 41 characters", m{"metadata": m{"name": strings.Repeat("a", 41)}}),
		no("name with a dot", m{"metadata": m{"name": "ens6.100"}}),
		no("name in upper case", m{"metadata": m{"name": "Ens6"}}),
		no("label that is none", m{"metadata": m{"labels": m{"a b": "c"}}}),
		ok("namespace, which means nothing", m{"metadata": m{"namespace": "default"}}),
		no("owner without a UID", m{"metadata": m{"ownerReferences": []m{{"apiVersion": "v1", "kind": "Node", "name": "a"}}}}),
		ok("owner", m{"metadata": m{"ownerReferences": []m{{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "b"}}}}),
		no("unknown field of an owner", m{"metadata": m{"ownerReferences": []m{{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "b", "x": 1}}}}),
		no("finalizer that is none", m{"metadata": m{"finalizers": []string{"a b"}}}),
		no("annotation that is none", m{"metadata": m{"annotations": m{"a b": "c"}}}),
		no("no spec", m{"spec": nil}),
		no("unknown field of the spec", spec(m{"interfaceSelektor": m{}})),
		no("unknown field of the metadata", m{"metadata": m{"label": m{}}}),
		no("unknown field beside the spec", m{"Spec": m{}}),
		no("spec is a list", m{"spec": []int{}}),
	}
}

func networkSelectionCases() []ruleCase {
	selector := func(fields m) m {
		fields = merge(m{"deviceIndexes": nil}, fields)
		return spec(m{"interfaceSelector": fields})
	}
	nodes := func(fields m) m { return spec(m{"nodeSelector": fields}) }
	match := func(fields m) m { return nodes(m{"matchExpressions": []m{merge(m{"key": "a"}, fields)}}) }
	return []ruleCase{
		no("no interfaceSelector", spec(m{"interfaceSelector": nil})),
		no("no way of choosing", selector(nil)),
		no("two ways of choosing", selector(m{"deviceIndexes": []int{1}, "names": []string{"ens6"}})),
		no("three ways of choosing", selector(m{"deviceIndexes": []int{1}, "names": []string{"ens6"}, "tags": m{"a": "b"}})),
		ok("device indexes at both ends", selector(m{"deviceIndexes": []int{0, 63}})),
		ok("all device indexes", selector(m{"deviceIndexes": count(64)})),
		no("no device index", selector(m{"deviceIndexes": []int{}})),
		no("too many device indexes", selector(m{"deviceIndexes": append(count(64), 0)})),
		no("device index below 0", selector(m{"deviceIndexes": []int{-1}})),
		no("device index too large", selector(m{"deviceIndexes": []int{64}})),
		no("device index as text", selector(m{"deviceIndexes": []string{"1"}})),
		no("device index with a fraction", selector(m{"deviceIndexes": []float64{1.5}})),
		no("device index twice", selector(m{"deviceIndexes": []int{1, 1}})),
		ok("name of a link", selector(m{"names": []string{"ens6"}})),
		ok("long name of a link", selector(m{"names": []string{"enx0123456789ab"}})),
		ok("64 names of links", selector(m{"names": words("ens", 64)})),
		no("65 names of links", selector(m{"names": words("ens", 65)})),
		no("no name of a link", selector(m{"names": []string{}})),
		no("empty name of a link", selector(m{"names": []string{""}})),
		no("too long name of a link", selector(m{"names": []string{"enx0123456789abc"}})),
		no("name of a link with a slash", selector(m{"names": []string{"en/6"}})),
		no("name of a link that is a dot", selector(m{"names": []string{"."}})),
		no("name of a link that is two dots", selector(m{"names": []string{".."}})),
		no("name of a link twice", selector(m{"names": []string{"ens6", "ens6"}})),
		ok("tag", selector(m{"tags": m{"underlay.dev/network": "ens6"}})),
		no("no tag", selector(m{"tags": m{}})),
		ok("50 tags", selector(m{"tags": tags(50)})),
		no("51 tags", selector(m{"tags": tags(51)})),
		no("number as a tag", selector(m{"tags": m{"a": 1}})),
		ok("node labels", nodes(m{"matchLabels": m{"a": "b"}})),
		no("number as a node label", nodes(m{"matchLabels": m{"a": 1}})),
		no("unknown field of nodeSelector", nodes(m{"a": "b"})),
		ok("In with values", match(m{"operator": "In", "values": []string{"b"}})),
		ok("Exists without values", match(m{"operator": "Exists"})),
		no("In without values", match(m{"operator": "In"})),
		no("NotIn with no values", match(m{"operator": "NotIn", "values": []string{}})),
		no("Exists with values", match(m{"operator": "Exists", "values": []string{"b"}})),
		no("unknown operator", match(m{"operator": "Equals", "values": []string{"b"}})),
		no("no operator", match(m{})),
		no("no key", nodes(m{"matchExpressions": []m{{"operator": "Exists"}}})),
	}
}

func networkAddressCases() []ruleCase {
	exclude := func(ranges ...string) m { return spec(m{"exclude": ranges}) }
	route := func(destination, gateway any) m {
		return spec(m{"routes": []m{{"destination": destination, "gateway": gateway}}})
	}
	return []ruleCase{
		ok("IPv6 alone", spec(m{"ipFamilies": []string{"IPv6"}})),
		no("no family", spec(m{"ipFamilies": []string{}})),
		no("unknown family", spec(m{"ipFamilies": []string{"ipv4"}})),
		no("family twice", spec(m{"ipFamilies": []string{"IPv4", "IPv4"}})),
		no("three families", spec(m{"ipFamilies": []string{"IPv4", "IPv6", "IPv4"}})),
		ok("prefixes alone", spec(m{"addressSources": []string{"Prefix"}})),
		no("no source", spec(m{"addressSources": []string{}})),
		no("unknown source", spec(m{"addressSources": []string{"Primary"}})),
		no("source twice", spec(m{"addressSources": []string{"Prefix", "Prefix"}})),
		no("three sources", spec(m{"addressSources": []string{"Prefix", "SecondaryIP", "Prefix"}})),
		ok("excluded: a network, a range, an address", exclude("10.0.0.0/28", "10.0.0.4-10.0.0.9", "10.0.0.4", "fd00::/64", "fd00::1-fd00::9", "fd00::1")),
		ok("128 excluded", exclude(addresses(128)...)),
		no("129 excluded", exclude(addresses(129)...)),
		no("excluded network with host bits", exclude("10.0.0.4/28")),
		no("excluded range of two families", exclude("10.0.0.4-fd00::9")),
		no("excluded range of three", exclude("10.0.0.4-10.0.0.5-10.0.0.9")),
		no("excluded range with an end only", exclude("-10.0.0.9")),
		no("excluded word", exclude("gateway")),
		no("excluded nothing", exclude("")),
		no("excluded text too long", exclude(strings.Repeat("1", 92))),
		ok("route", route("10.0.0.0/8", "172.31.32.1")),
		ok("default route, IPv6", route("::/0", "fe80:ec2::1")),
		ok("64 routes", spec(m{"routes": routes(64)})),
		no("65 routes", spec(m{"routes": routes(65)})),
		no("route of two families", route("10.0.0.0/8", "fd00::1")),
		no("route with host bits", route("10.0.0.1/8", "172.31.32.1")),
		no("route to an address", route("10.0.0.1", "172.31.32.1")),
		no("destination too long", route(strings.Repeat("1", 50), "172.31.32.1")),
		ok("route by a link-local gateway", route("10.0.0.0/8", "169.254.1.1")),
		no("gateway that is everywhere", route("10.0.0.0/8", "0.0.0.0")),
		no("gateway of many", route("fd00::/8", "ff02::2")),
		no("gateway inside the pod", route("10.0.0.0/8", "127.0.0.1")),
		no("gateway that all hosts are", route("10.0.0.0/8", "255.255.255.255")),
		ok("route of the only family", spec(m{"ipFamilies": []string{"IPv6"}, "routes": []m{{"destination": "fd00::/8", "gateway": "fe80::1"}}})),
		no("route of another family", spec(m{"ipFamilies": []string{"IPv6"}, "routes": []m{{"destination": "fd00::/8", "gateway": "fe80::1"}, {"destination": "10.0.0.0/8", "gateway": "10.0.0.1"}}})),
		no("gateway that is none", route("10.0.0.0/8", "172.31.32.256")),
		no("gateway too long", route("10.0.0.0/8", strings.Repeat("1", 46))),
		no("route without a gateway", route("10.0.0.0/8", nil)),
		no("route without a destination", spec(m{"routes": []m{{"gateway": "172.31.32.1"}}})),
		no("unknown field of a route", spec(m{"routes": []m{{"destination": "10.0.0.0/8", "gateway": "10.0.0.1", "via": "x"}}})),
	}
}

func networkPodCases() []ruleCase {
	attachment := func(fields m) m { return spec(m{"attachment": fields}) }
	host := func(fields m) m { return spec(m{"hostAccess": fields}) }
	metadata := func(fields m) m { return spec(m{"metadataService": fields}) }
	name := "must be the name of a namespace"
	return []ruleCase{
		ok("attachment", attachment(m{"namespace": "kube-system", "name": "ipvlan-ens6.a"})),
		no("attachment without a name", attachment(m{"namespace": "kube-system"})),
		no("attachment's name in upper case", attachment(m{"name": "Ens6"})),
		no("attachment's name ends in a dot", attachment(m{"name": "ens6."})),
		no("attachment's name empty", attachment(m{"name": ""})),
		no("attachment's name too long", attachment(m{"name": strings.Repeat("a", 254)})),
		no("attachment's namespace with a dot", attachment(m{"namespace": "kube.system", "name": "a"})),
		no("attachment's namespace too long", attachment(m{"namespace": strings.Repeat("a", 64), "name": "a"})),
		ok("default network", spec(m{"default": true})),
		no("default as text", spec(m{"default": "yes"})),
		ok("MTU of the interface", spec(m{"mtu": 0})),
		ok("smallest MTU", spec(m{"mtu": 1280})),
		ok("largest MTU", spec(m{"mtu": 9216})),
		no("MTU too small for IPv6", spec(m{"mtu": 1279})),
		no("MTU too large", spec(m{"mtu": 9217})),
		no("MTU beyond 32 bits", spec(m{"mtu": 1 << 40})),
		ok("host leg off", host(m{"enabled": false})),
		no("host leg: yes", host(m{"enabled": "yes"})),
		ok("host leg to 32 networks", host(m{"cidrs": networks(32)})),
		no("host leg to 33 networks", host(m{"cidrs": networks(33)})),
		no("host leg to a network with host bits", host(m{"cidrs": []string{"10.0.0.1/8"}})),
		no("host leg to text too long", host(m{"cidrs": []string{strings.Repeat("1", 50)}})),
		ok("no cooldown", spec(m{"cooldownSeconds": 0})),
		ok("cooldown of an hour", spec(m{"cooldownSeconds": 3600})),
		no("cooldown below 0", spec(m{"cooldownSeconds": -1})),
		no("cooldown above an hour", spec(m{"cooldownSeconds": 3601})),
		ok("allowed namespace", spec(m{"allowedNamespaces": []string{"default", "a-1"}})),
		ok("256 allowed namespaces", spec(m{"allowedNamespaces": words("a", 256)})),
		no("257 allowed namespaces", spec(m{"allowedNamespaces": words("a", 257)})),
		no("allowed namespace twice", spec(m{"allowedNamespaces": []string{"a", "a"}})),
		no("allowed namespace: "+name, spec(m{"allowedNamespaces": []string{"kube*"}})),
		no("allowed namespace too long", spec(m{"allowedNamespaces": []string{strings.Repeat("a", 64)}})),
		ok("requested addresses", spec(m{"requestedIPs": "Allow"})),
		no("unknown answer to requested addresses", spec(m{"requestedIPs": "Yes"})),
		ok("metadata service", metadata(m{"mode": "Allow", "exceptNamespaces": []string{}})),
		no("unknown mode of the metadata service", metadata(m{"mode": "Deny"})),
		ok("64 namespaces excepted", metadata(m{"exceptNamespaces": words("a", 64)})),
		no("65 namespaces excepted", metadata(m{"exceptNamespaces": words("a", 65)})),
		no("namespace excepted twice", metadata(m{"exceptNamespaces": []string{"a", "a"}})),
		no("namespace excepted: "+name, metadata(m{"exceptNamespaces": []string{"a_b"}})),
		no("namespace excepted too long", metadata(m{"exceptNamespaces": []string{strings.Repeat("a", 64)}})),
	}
}

func networkProvisioningCases() []ruleCase {
	provisioning := func(fields m) m { return spec(m{"provisioning": fields}) }
	return []ruleCase{
		ok("Manual", spec(m{"provider": "Manual"})),
		no("unknown provider", spec(m{"provider": "aws"})),
		ok("Manage", provisioning(m{"mode": "Manage"})),
		no("unknown mode of provisioning", provisioning(m{"mode": "On"})),
		no("Manage without a cloud", spec(m{"provider": "Manual", "provisioning": m{"mode": "Manage"}})),
		ok("least room between minFree and maxFree", provisioning(m{"minFree": 0, "maxFree": 16})),
		ok("most of both", provisioning(m{"minFree": 1024, "maxFree": 2048})),
		no("minFree below 0", provisioning(m{"minFree": -1})),
		no("minFree too large", provisioning(m{"minFree": 1025, "maxFree": 2048})),
		no("maxFree too small", provisioning(m{"minFree": 0, "maxFree": 15})),
		no("maxFree too large", provisioning(m{"maxFree": 2049})),
		no("maxFree too near to minFree", provisioning(m{"minFree": 1, "maxFree": 16})),
		no("minFree too near to the default maxFree", provisioning(m{"minFree": 17})),
	}
}

// count gives 0 to n-1.
func count(n int) []int {
	var numbers []int
	for i := range n {
		numbers = append(numbers, i)
	}
	return numbers
}

func words(prefix string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%s%d", prefix, i))
	}
	return list
}

func tags(n int) m {
	all := m{}
	for _, key := range words("tag", n) {
		all[key] = ""
	}
	return all
}

func addresses(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("10.0.%d.%d", i/256, i%256))
	}
	return list
}

func networks(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("10.%d.0.0/16", i))
	}
	return list
}

func routes(n int) []m {
	var list []m
	for _, destination := range networks(n) {
		list = append(list, m{"destination": destination, "gateway": "172.31.32.1"})
	}
	return list
}

// everything fills each list of a network to its limit, with values as long as they can be: what CEL costs most.
func everything() m {
	namespaces := words(strings.Repeat("n", 60), 256)
	longRoutes := make([]m, 0, 64)
	for i := range 64 {
		longRoutes = append(longRoutes, m{
			"destination": fmt.Sprintf("2406:da1e:00c4:ed02:7a2e:0000:0000:%04x/128", i), "gateway": "2406:da1e:00c4:ed02:7a2e:0000:0000:0001",
		})
	}
	return spec(m{
		"interfaceSelector": m{"deviceIndexes": nil, "names": words("enx0123456789", 64)},
		"nodeSelector":      m{"matchExpressions": []m{{"key": "a", "operator": "In", "values": words("value", 1000)}}},
		"exclude":           longRanges(128), "routes": longRoutes, "allowedNamespaces": namespaces,
		"hostAccess":      m{"cidrs": networks(32)},
		"metadataService": m{"exceptNamespaces": namespaces[:64]},
		"attachment":      m{"namespace": strings.Repeat("a", 63), "name": strings.Repeat("a", 253)},
	})
}
