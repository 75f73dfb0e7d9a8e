// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/plainjson"
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
	// ValidAttachments comes with GC, by this name in the specification, and by the other in libcni 1.2.0. Later ones send both.
	ValidAttachments      []types.GCAttachment `json:"cni.dev/valid-attachments"`
	ValidAttachmentsOfOld []types.GCAttachment `json:"cni.dev/attachments"`
}

// runtimeConfig is what the runtime adds for the capabilities.
type runtimeConfig struct {
	// IPs that the pod asks for; a mask is allowed, and means nothing.
	IPs       []string  `json:"ips"`
	Bandwidth bandwidth `json:"bandwidth"`
	// MAC that the pod asks for: none can be had.
	MAC string `json:"mac"`
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
		// Routes of the pod by this interface, besides the network's, whose place they take where the destination is the same.
		Routes []podRoute `json:"routes"`
		MAC    string     `json:"mac"`
	} `json:"cni"`
}

// podRoute is a route as results have it.
type podRoute struct {
	Destination string `json:"dst"`
	// Gateway is the pool's if empty.
	Gateway string `json:"gw"`
}

// noMAC is why no pod gets the MAC that it asks for.
const noMAC = "a pod on ipvlan has the MAC of the node's interface, the only one that the cloud delivers to: do not ask for another"

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
	c, plain := decodePlain(data)
	if !plain {
		var err error
		if c, err = decodeStrictly(data); err != nil {
			return nil, err
		}
	}
	switch {
	case c.Type != Type:
		return nil, invalid("CNI configuration %s: its type is %q, and this is the plugin %q", c.Name, c.Type, Type)
	case c.Network == "":
		return nil, invalid("CNI configuration %s: it names no network: set the key network to the name of an UnderlayNetwork", c.Name)
	}
	if c.RuntimeConfig.MAC != "" || c.Args.CNI.MAC != "" {
		return nil, types.NewError(types.ErrUnsupportedField, fmt.Sprintf("network %s: %s", c.Network, noMAC), "")
	}
	return c, nil
}

// decodePlain reads what runtimes pass on for most pods; false for all that is not plain, see plainjson.
func decodePlain(data []byte) (*config, bool) {
	c := &config{}
	r := plainjson.NewReader(data)
	r.Object(func(key []byte) {
		switch string(key) {
		case "cniVersion":
			c.CNIVersion = r.String()
		case "cniVersions":
			c.CNIVersions = plainjson.List(r, r.String)
		case "name":
			c.Name = r.String()
		case "type":
			c.Type = r.String()
		case "network":
			c.Network = r.String()
		case "capabilities":
			c.Capabilities = map[string]bool{}
			r.Object(func(key []byte) { c.Capabilities[string(key)] = r.Bool() })
		default:
			r.Decline()
		}
	})
	return c, r.Done()
}

func decodeStrictly(data []byte) (*config, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	c := &config{}
	if err := decoder.Decode(c); err != nil {
		if key, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return nil, invalid("CNI configuration: the key %s is unknown: allowed are cniVersion, cniVersions, name, type, network, capabilities, runtimeConfig, args and prevResult; "+
				"all else is set in the UnderlayNetwork", key)
		}
		return nil, types.NewError(types.ErrDecodingFailure, "CNI configuration: "+unreadable(err), "")
	}
	return c, nil
}

// unreadable says what is wrong with JSON, without the names of our types.
func unreadable(err error) string {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case errors.Is(err, io.EOF):
		return "it is empty"
	case !ok:
		return err.Error()
	case wrong.Field == "":
		return "it must be an object, and is of the kind " + wrong.Value
	}
	return fmt.Sprintf("the key %s has a value of the kind %s, and must have another", wrong.Field, wrong.Value)
}

// mostRoutes of a pod, as many as a network has at most: the kernel takes all in one go.
const mostRoutes = 64

// routes that the pod asks for.
func (c *config) routes() ([]datapath.Route, error) {
	var list []datapath.Route
	if n := len(c.Args.CNI.Routes); n > mostRoutes {
		return nil, invalid("network %s: the pod asks for %d routes, and %d are the most: name larger networks", c.Network, n, mostRoutes)
	}
	for _, r := range c.Args.CNI.Routes {
		destination, err := netip.ParsePrefix(r.Destination)
		if err != nil || destination != destination.Masked() || destination.Addr().Is4In6() {
			return nil, invalid("network %s: the pod asks for a route to %q, which must be a CIDR without host bits", c.Network, r.Destination)
		}
		if destination.Bits() == 0 {
			return nil, invalid("network %s: the pod asks for the default route %s: its first interface has one, and others have theirs for what comes from their own addresses", c.Network, destination)
		}
		if slices.ContainsFunc(list, func(other datapath.Route) bool { return other.Destination == destination }) {
			return nil, invalid("network %s: the pod asks for two routes to %s: leave one out", c.Network, destination)
		}
		route := datapath.Route{Destination: destination}
		if r.Gateway != "" {
			route.Gateway, err = netip.ParseAddr(r.Gateway)
			if err != nil || route.Gateway.Zone() != "" || route.Gateway.BitLen() != destination.Addr().BitLen() {
				return nil, invalid("network %s: the pod asks for a route to %s by %q, which must be an address of the same family", c.Network, destination, r.Gateway)
			}
		}
		list = append(list, route)
	}
	return list, nil
}

// wanted lists the addresses that the pod asks for, by the capability or by args; more come from the environment.
func (c *config) wanted(more []string) ([]netip.Addr, error) {
	var list []netip.Addr
	for _, s := range slices.Concat(c.RuntimeConfig.IPs, c.Args.CNI.IPs, more) {
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
