// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// spiderPool is a SpiderIPPool, read.
type spiderPool struct {
	name string
	spec spiderPoolSpec
	fam  family
	// ips without excluded ones are what it hands out; held are those that pods hold.
	subnet             iprange.Range
	ips, exclude, held []iprange.Range
	gateway            netip.Addr
}

func (p *spiderPool) object() string { return "SpiderIPPool/" + p.name }

type spiderPoolSpec struct {
	IPVersion         *int64                `json:"ipVersion"`
	Subnet            string                `json:"subnet"`
	IPs               []string              `json:"ips"`
	ExcludeIPs        []string              `json:"excludeIPs"`
	Gateway           string                `json:"gateway"`
	VLAN              int64                 `json:"vlan"`
	Routes            []spiderRoute         `json:"routes"`
	PodAffinity       *metav1.LabelSelector `json:"podAffinity"`
	NamespaceAffinity *metav1.LabelSelector `json:"namespaceAffinity"`
	NamespaceName     []string              `json:"namespaceName"`
	NodeAffinity      *metav1.LabelSelector `json:"nodeAffinity"`
	NodeName          []string              `json:"nodeName"`
	MultusName        []string              `json:"multusName"`
	Default           bool                  `json:"default"`
	Disable           bool                  `json:"disable"`
}

type spiderRoute struct {
	Dst string `json:"dst"`
	Gw  string `json:"gw"`
}

// spiderConfig is a SpiderMultusConfig, read.
type spiderConfig struct {
	ref  v1alpha1.AttachmentReference
	spec spiderConfigSpec
	// links that carry pods, and pools that the configuration names.
	links, pools []string
}

func (c *spiderConfig) object() string { return "SpiderMultusConfig/" + c.ref.String() }

type spiderConfigSpec struct {
	CNIType           string             `json:"cniType"`
	IPvlan            *spiderLink        `json:"ipvlan"`
	Macvlan           *spiderLink        `json:"macvlan"`
	SRIOV             any                `json:"sriov"`
	OVS               any                `json:"ovs"`
	IBSRIOV           any                `json:"ibsriov"`
	IPoIB             any                `json:"ipoib"`
	CustomCNI         any                `json:"customCNI"`
	EnableCoordinator *bool              `json:"enableCoordinator"`
	DisableIPAM       bool               `json:"disableIPAM"`
	Coordinator       *spiderCoordinator `json:"coordinator"`
}

type spiderLink struct {
	Master []string `json:"master"`
	VLANID int32    `json:"vlanID"`
	Bond   *struct {
		Name    string `json:"name"`
		Mode    int32  `json:"mode"`
		Options string `json:"options"`
	} `json:"bond"`
	IPPools struct {
		IPv4 []string `json:"ipv4"`
		IPv6 []string `json:"ipv6"`
	} `json:"ippools"`
}

type spiderCoordinator struct {
	Mode               string   `json:"mode"`
	PodCIDRType        string   `json:"podCIDRType"`
	HijackCIDR         []string `json:"hijackCIDR"`
	PodMACPrefix       string   `json:"podMACPrefix"`
	TunePodRoutes      *bool    `json:"tunePodRoutes"`
	PodDefaultRouteNIC string   `json:"podDefaultRouteNIC"`
	HostRuleTable      *int     `json:"hostRuleTable"`
	HostRPFilter       *int     `json:"hostRPFilter"`
	PodRPFilter        *int     `json:"podRPFilter"`
	TxQueueLen         int      `json:"txQueueLen"`
	DetectIPConflict   bool     `json:"detectIPConflict"`
	DetectGateway      bool     `json:"detectGateway"`
}

// read takes in all objects, in one order.
func (m *migration) read(objects []*unstructured.Unstructured) error {
	objects = slices.Clone(objects)
	sortObjects(objects)
	for _, o := range objects {
		var err error
		switch o.GroupVersionKind().GroupKind() {
		case schema.GroupKind{Group: spiderpoolGroup, Kind: "SpiderIPPool"}:
			err = m.readPool(o)
		case schema.GroupKind{Group: spiderpoolGroup, Kind: "SpiderMultusConfig"}:
			err = m.readConfig(o)
		case schema.GroupKind{Group: spiderpoolGroup, Kind: "SpiderCoordinator"}:
			if err = m.spec(o, &m.coordinator); err == nil {
				m.coordinate("SpiderCoordinator/"+o.GetName(), "spec", &m.coordinator)
			}
		default:
			m.tell(strings.TrimPrefix(o.GetKind()+"/"+o.GetName(), "/"), "", Dropped, "this kind of object is not read")
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", o.GetKind(), strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/"), err)
		}
	}
	return nil
}

const spiderpoolGroup = "spiderpool.spidernet.io"

// spec decodes an object's, and tells fields that nobody here knows.
func (m *migration) spec(o *unstructured.Unstructured, into any) error {
	spec, found := o.Object["spec"]
	if !found {
		return nil
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("spec: a value is of the wrong kind: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	m.unknown(o.GetKind()+"/"+strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/"), "spec", spec, reflect.TypeOf(into).Elem())
	return nil
}

// unknown tells the fields of a value that its type does not have.
func (m *migration) unknown(object, at string, value any, is reflect.Type) {
	for is.Kind() == reflect.Pointer {
		is = is.Elem()
	}
	fields, isMap := value.(map[string]any)
	if !isMap || is.Kind() != reflect.Struct || is == reflect.TypeFor[metav1.LabelSelector]() {
		return
	}
	known := map[string]reflect.Type{}
	for field := range is.Fields() {
		known[field.Tag.Get("json")] = field.Type
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if of := known[name]; of != nil {
			m.unknown(object, at+"."+name, fields[name], of)
			continue
		}
		m.tell(object, at+"."+name, Dropped, "this field is not known: see whether pods need what it does")
	}
}

func (m *migration) readPool(o *unstructured.Unstructured) error {
	p := &spiderPool{name: o.GetName()}
	if err := m.spec(o, &p.spec); err != nil {
		return err
	}
	subnet, err := iprange.Parse(p.spec.Subnet)
	if err != nil || !strings.Contains(p.spec.Subnet, "/") {
		return fmt.Errorf("spec.subnet: %q is not a CIDR without host bits", p.spec.Subnet)
	}
	p.subnet = subnet
	if !subnet.Is4() {
		p.fam = v6
	}
	if v := p.spec.IPVersion; v != nil && *v != [...]int64{4, 6}[p.fam] {
		return fmt.Errorf("spec.ipVersion: is %d, and spec.subnet %s is %s", *v, p.spec.Subnet, p.fam.api())
	}
	if p.ips, err = inside(subnet, "spec.ips", p.spec.IPs); err != nil {
		return err
	}
	if p.exclude, err = inside(subnet, "spec.excludeIPs", p.spec.ExcludeIPs); err != nil {
		return err
	}
	if p.spec.Gateway != "" {
		if p.gateway, err = netip.ParseAddr(p.spec.Gateway); err != nil || !subnet.Reaches(p.gateway) {
			return fmt.Errorf("spec.gateway: %q is not an address in %s", p.spec.Gateway, p.spec.Subnet)
		}
	}
	text, _, _ := unstructured.NestedString(o.Object, "status", "allocatedIPs")
	held := map[string]any{}
	if err := json.Unmarshal([]byte(cmp.Or(text, "{}")), &held); err != nil {
		return fmt.Errorf("status.allocatedIPs: not a JSON object of addresses: %w", err)
	}
	if p.held, err = inside(subnet, "status.allocatedIPs", slices.Sorted(maps.Keys(held))); err != nil {
		return err
	}
	m.pools = append(m.pools, p)
	m.affinities(p)
	return nil
}

// inside reads ranges, merged, which all lie in the subnet.
func inside(subnet iprange.Range, field string, texts []string) ([]iprange.Range, error) {
	var out []iprange.Range
	for i, text := range texts {
		r, err := iprange.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		if !subnet.Covers(r) {
			return nil, fmt.Errorf("%s[%d]: %s is outside the subnet %s", field, i, text, subnet)
		}
		out = append(out, r)
	}
	return iprange.Merge(out), nil
}

func (m *migration) readConfig(o *unstructured.Unstructured) error {
	c := &spiderConfig{ref: v1alpha1.AttachmentReference{Namespace: cmp.Or(o.GetNamespace(), "kube-system"), Name: o.GetName()}}
	if err := m.spec(o, &c.spec); err != nil {
		return err
	}
	link, kind := c.spec.IPvlan, cmp.Or(c.spec.CNIType, "custom")
	switch {
	case kind == "ipvlan":
	case kind == "macvlan":
		link = c.spec.Macvlan
		m.tell(c.object(), "spec.macvlan", Changed, "becomes ipvlan: pods share their interface's MAC address, so DHCP and filters by MAC address no longer tell them apart")
	default:
		m.tell(c.object(), "spec.cniType", Dropped, "%s has no counterpart: leave this one with Spiderpool, or give its pods a network on another interface", kind)
		return nil
	}
	if link == nil || len(link.Master) == 0 {
		return fmt.Errorf("spec.%s.master: names no link", kind)
	}
	c.links = m.linksOf(c, kind, link)
	c.pools = slices.Concat(link.IPPools.IPv4, link.IPPools.IPv6)
	if c.spec.DisableIPAM {
		m.tell(c.object(), "spec.disableIPAM", Changed, "pods get an address of the network's pools all the same")
	}
	if c.spec.Coordinator != nil {
		m.coordinate(c.object(), "spec.coordinator", c.spec.Coordinator)
	}
	m.configs = append(m.configs, c)
	return nil
}

// linksOf are the links that carry pods, behind bond and VLAN, which Spiderpool makes on the nodes and we do not.
func (m *migration) linksOf(c *spiderConfig, kind string, link *spiderLink) []string {
	links := slices.Clone(link.Master)
	switch {
	case link.Bond != nil && link.Bond.Name != "":
		links = []string{link.Bond.Name}
		m.tell(c.object(), "spec."+kind+".bond", ToDo, "bonds such as %s of %s cannot carry pods yet: let one of the links do it",
			link.Bond.Name, strings.Join(link.Master, " and "))
	case len(links) > 1:
		links = links[:1]
		m.tell(c.object(), "spec."+kind+".master", Changed, "only the first of %s carries pods: without a bond there is one link", strings.Join(link.Master, ", "))
	}
	if link.VLANID > 0 {
		links[0] = fmt.Sprintf("%s.%d", links[0], link.VLANID)
		m.tell(c.object(), "spec."+kind+".vlanID", ToDo, "VLAN links such as %s cannot carry pods yet: give them a network card that is in that VLAN", links[0])
	}
	return links
}

// matches says whether a name is in the list, in which * stands for a part of it.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return err == nil && ok
	})
}
