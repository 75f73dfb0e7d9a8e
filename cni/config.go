// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
)

// Type is the plugin's type in CNI configurations.
const Type = "underlay"

// config is a CNI configuration of type underlay, as the runtime passes it on.
type config struct {
	CNIVersion  string   `json:"cniVersion"`
	CNIVersions []string `json:"cniVersions"`
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	// Network is the UnderlayNetwork.
	Network       string          `json:"network"`
	Capabilities  map[string]bool `json:"capabilities"`
	RuntimeConfig runtimeConfig   `json:"runtimeConfig"`
	Args          arguments       `json:"args"`
	PrevResult    json.RawMessage `json:"prevResult"`
	// ValidAttachments comes with GC.
	ValidAttachments []types.GCAttachment `json:"cni.dev/valid-attachments"`
}

// runtimeConfig is what the runtime adds for the capabilities.
type runtimeConfig struct {
	// IPs that the pod asks for; a mask is allowed, and means nothing.
	IPs       []string  `json:"ips"`
	Bandwidth bandwidth `json:"bandwidth"`
}

// bandwidth limits, in bits per second, and what may go at once, in bits; 0 for none.
type bandwidth struct {
	IngressRate  uint64 `json:"ingressRate"`
	IngressBurst uint64 `json:"ingressBurst"`
	EgressRate   uint64 `json:"egressRate"`
	EgressBurst  uint64 `json:"egressBurst"`
}

// arguments by the older convention: others than ours may be among them.
type arguments struct {
	CNI struct {
		IPs []string `json:"ips"`
	} `json:"cni"`
}

// UnmarshalJSON lets others' keys be, inside of a configuration that is read strictly.
func (a *arguments) UnmarshalJSON(data []byte) error {
	type plain arguments
	return json.Unmarshal(data, (*plain)(a))
}

// invalid is an error in the configuration.
func invalid(format string, args ...any) error {
	return types.NewError(types.ErrInvalidNetworkConfig, fmt.Sprintf(format, args...), "")
}

// parseConfig reads a configuration strictly: a key that we do not know is one whose wish would not be fulfilled.
func parseConfig(data []byte) (*config, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	c := &config{}
	if err := decoder.Decode(c); err != nil {
		if key, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return nil, invalid("CNI configuration: the key %s is unknown: allowed are cniVersion, cniVersions, name, type, network, capabilities, runtimeConfig, args and prevResult; "+
				"all else is set in the UnderlayNetwork", key)
		}
		return nil, types.NewError(types.ErrDecodingFailure, fmt.Sprintf("CNI configuration: %v", err), "")
	}
	switch {
	case c.Type != Type:
		return nil, invalid("CNI configuration %s: its type is %q, and this is the plugin %q", c.Name, c.Type, Type)
	case c.Network == "":
		return nil, invalid("CNI configuration %s: it names no network: set the key network to the name of an UnderlayNetwork", c.Name)
	}
	return c, nil
}

// wanted lists the addresses that the pod asks for, by the capability or by args.
func (c *config) wanted() ([]netip.Addr, error) {
	var list []netip.Addr
	for _, s := range slices.Concat(c.RuntimeConfig.IPs, c.Args.CNI.IPs) {
		bare, _, _ := strings.Cut(s, "/")
		a, err := netip.ParseAddr(bare)
		if err != nil || a.Zone() != "" {
			return nil, invalid("network %s: the pod asks for the address %q, which is none", c.Network, s)
		}
		if a = a.Unmap(); !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list, nil
}

// bandwidth is the limits that the pod asks for.
func (c *config) bandwidth() (datapath.Bandwidth, error) {
	const least = 1000 // as Kubernetes has it
	given := c.RuntimeConfig.Bandwidth
	for _, rate := range []uint64{given.IngressRate, given.EgressRate} {
		if rate != 0 && rate < least {
			return datapath.Bandwidth{}, invalid("network %s: the pod asks for a bandwidth of %d bit/s, and %d are the least: change its annotations "+
				"kubernetes.io/ingress-bandwidth and kubernetes.io/egress-bandwidth", c.Network, rate, least)
		}
	}
	return datapath.Bandwidth{
		Ingress: datapath.Limit{Rate: given.IngressRate, Burst: given.IngressBurst},
		Egress:  datapath.Limit{Rate: given.EgressRate, Burst: given.EgressBurst},
	}, nil
}

// parseArgs reads CNI_ARGS: KEY=VALUE;KEY=VALUE. Keys that we do not know are refused unless IgnoreUnknown is set, as the specification has it.
func parseArgs(text string) (ipam.Pod, error) {
	refuse := func(format string, args ...any) error {
		return types.NewError(types.ErrInvalidEnvironmentVariables, "CNI_ARGS: "+fmt.Sprintf(format, args...), "")
	}
	var pod ipam.Pod
	var unknown []string
	ignore := false
	for pair := range strings.SplitSeq(text, ";") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return ipam.Pod{}, refuse("%q is not KEY=VALUE", pair)
		}
		switch key {
		case "IgnoreUnknown":
			ignore = value == "1" || strings.EqualFold(value, "true")
			continue
		case "K8S_POD_NAMESPACE":
			pod.Namespace = value
		case "K8S_POD_NAME":
			pod.Name = value
		case "K8S_POD_UID":
			pod.UID = value
		case "K8S_POD_INFRA_CONTAINER_ID":
		default:
			unknown = append(unknown, key)
			continue
		}
		if err := plain(value); err != nil {
			return ipam.Pod{}, refuse("%s: %v", key, err)
		}
	}
	if len(unknown) > 0 && !ignore {
		return ipam.Pod{}, refuse("%s: unknown, and IgnoreUnknown is not set", strings.Join(unknown, ", "))
	}
	return pod, nil
}

// plain checks that a value is made of what names and ids in Kubernetes are made of, so that it can stand in messages and in the store.
func plain(value string) error {
	const longest = 253 // a DNS subdomain
	if len(value) > longest {
		return fmt.Errorf("%d characters are too long", len(value))
	}
	strange := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-._:", r)
	}
	if i := strings.IndexFunc(value, strange); i >= 0 {
		return errors.New("no name or id has the characters of " + fmt.Sprintf("%q", value[i:]))
	}
	return nil
}
