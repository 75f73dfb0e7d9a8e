// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// Call is what a runtime asks for: its environment, and what it writes to the plugin.
type Call struct {
	ContainerID, Netns, IfName, Args string
	// StdinData is the configuration.
	StdinData []byte
}

// verb of the specification, besides VERSION.
type verb struct {
	name string
	run  func(p *Plugin, c *Call) error
	// needs are the variables that must be set.
	needs []string
	// since is the version of the specification from which on configurations may ask for it; empty if all may.
	since string
}

// verbOf finds a verb by its name.
func verbOf(name string) (verb, bool) {
	const container, netns, ifName, path = "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"
	switch name {
	case "ADD":
		return verb{name, (*Plugin).Add, []string{container, netns, ifName, path}, ""}, true
	case "DEL":
		return verb{name, (*Plugin).Del, []string{container, ifName, path}, ""}, true
	case "CHECK":
		return verb{name, (*Plugin).Check, []string{container, netns, ifName, path}, "0.4.0"}, true
	case "GC":
		return verb{name, (*Plugin).GC, []string{path}, "1.1.0"}, true
	case "STATUS":
		return verb{name, (*Plugin).Status, []string{path}, "1.1.0"}, true
	}
	return verb{}, false
}

func versions() version.PluginInfo {
	return version.PluginSupports("0.3.1", "0.4.0", "1.0.0", "1.1.0")
}

// readCall reads which verb the runtime asks for, and with what. It is what the library's package skel does, codes and texts of errors too, without its
// regular expressions and its readings of the configuration: in a process that lives for milliseconds these are a tenth of what it computes. The library's
// look at the namespace behind ADD and DEL is left out: ADD and CHECK look for themselves, before they do anything, and DEL may come again.
func readCall(getenv func(string) string, stdin io.Reader) (verb, *Call, error) {
	name := getenv("CNI_COMMAND")
	v, known := verbOf(name)
	c, err := v.readEnvironment(getenv)
	if err != nil {
		return v, nil, err
	}
	if c.StdinData, err = io.ReadAll(stdin); err != nil {
		return v, nil, types.NewError(types.ErrIOFailure, fmt.Sprintf("error reading from stdin: %v", err), "")
	}
	asked, err := readHead(c.StdinData)
	if err != nil {
		return v, nil, err
	}
	if !known {
		return v, nil, types.NewError(types.ErrInvalidEnvironmentVariables, "unknown CNI_COMMAND: "+name, "")
	}
	return v, c, v.allows(asked)
}

// readEnvironment reads all but the verb.
func (v verb) readEnvironment(getenv func(string) string) (*Call, error) {
	c := &Call{ContainerID: getenv("CNI_CONTAINERID"), Netns: getenv("CNI_NETNS"), IfName: getenv("CNI_IFNAME"), Args: getenv("CNI_ARGS")}
	if c.ContainerID != "" && slices.Contains(v.needs, "CNI_CONTAINERID") && !isName(c.ContainerID) {
		return nil, types.NewError(types.ErrInvalidEnvironmentVariables, "invalid characters in containerID", c.ContainerID)
	}
	if c.IfName != "" && slices.Contains(v.needs, "CNI_IFNAME") {
		if err := checkIfName(c.IfName); err != nil {
			return nil, err
		}
	}
	missing := slices.DeleteFunc(slices.Clone(v.needs), func(variable string) bool { return getenv(variable) != "" })
	if len(missing) > 0 {
		return nil, types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf("required env variables [%s] missing", strings.Join(missing, ",")), "")
	}
	return c, nil
}

// allows says whether a configuration of a version may ask for the verb, and whether we know the version.
func (v verb) allows(asked string) error {
	supported := versions().SupportedVersions()
	if v.since != "" {
		late, err := version.GreaterThanOrEqualTo(asked, v.since)
		switch {
		case err != nil:
			return types.NewError(types.ErrDecodingFailure, err.Error(), "")
		case !late:
			return types.NewError(types.ErrIncompatibleCNIVersion, "config version does not allow "+v.name, "")
		}
	}
	if !slices.Contains(supported, asked) {
		return types.NewError(types.ErrIncompatibleCNIVersion, "incompatible CNI versions", fmt.Sprintf("config is %q, plugin supports %q", asked, supported))
	}
	return nil
}

// readHead reads a configuration's version, and checks its name.
func readHead(data []byte) (asked string, err error) {
	c, plain := decodePlain(data)
	if !plain {
		var head struct {
			CNIVersion string `json:"cniVersion"`
			Name       string `json:"name"`
		}
		if err := json.Unmarshal(data, &head); err != nil {
			return "", types.NewError(types.ErrDecodingFailure, "error unmarshall network config: "+unreadable(err), "")
		}
		c = &config{CNIVersion: head.CNIVersion, Name: head.Name}
	}
	switch {
	case c.Name == "":
		return "", types.NewError(types.ErrInvalidNetworkConfig, "missing network name", "")
	case !isName(c.Name):
		return "", types.NewError(types.ErrInvalidNetworkConfig, "invalid characters found in network name", c.Name)
	case c.CNIVersion == "":
		return "0.1.0", nil // as the specification's first version had none
	}
	return c.CNIVersion, nil
}

// isName says whether s is what the specification has containers and networks called.
func isName(s string) bool {
	strange := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("_.-", r)
	}
	return s != "" && !strings.ContainsRune("_.-", rune(s[0])) && !strings.ContainsFunc(s, strange)
}

// checkIfName checks that a link can have the name.
func checkIfName(s string) error {
	refuse := func(message, details string) error {
		return types.NewError(types.ErrInvalidEnvironmentVariables, message, details)
	}
	switch {
	case len(s) > 15:
		return refuse("interface name is too long", "interface name should be less than 16 characters")
	case s == ".", s == "..":
		return refuse("interface name is . or ..", "")
	case strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == ':' || unicode.IsSpace(r) }):
		return refuse("interface name contains / or : or whitespace characters", "")
	}
	return nil
}
