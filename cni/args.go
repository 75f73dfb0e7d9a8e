// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
)

// environment is what CNI_ARGS says.
type environment struct {
	pod ipam.Pod
	// ips that the pod asks for, unread.
	ips []string
}

// parseArgs reads CNI_ARGS: KEY=VALUE;KEY=VALUE. Keys that we do not know are refused unless IgnoreUnknown is set, as the specification has it.
func parseArgs(text string) (environment, error) {
	var e environment
	var unknown []string
	ignore := false
	for pair := range strings.SplitSeq(text, ";") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return environment{}, refuseArgs("%q is not KEY=VALUE", pair)
		}
		if key == "IgnoreUnknown" {
			ignore = value == "1" || strings.EqualFold(value, "true")
			continue
		}
		known, err := e.set(key, value)
		if err != nil {
			return environment{}, refuseArgs("%s: %v", key, err)
		}
		if !known {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) > 0 && !ignore {
		return environment{}, refuseArgs("%s: unknown, and IgnoreUnknown is not set", strings.Join(unknown, ", "))
	}
	return e, nil
}

func refuseArgs(format string, args ...any) error {
	return types.NewError(types.ErrInvalidEnvironmentVariables, "CNI_ARGS: "+fmt.Sprintf(format, args...), "")
}

// set takes a value; false if the key is none of ours. IP and MAC are what older tools call what `args` of the configuration ask for.
func (e *environment) set(key, value string) (known bool, err error) {
	target := new(string)
	switch key {
	case "K8S_POD_NAMESPACE":
		target = &e.pod.Namespace
	case "K8S_POD_NAME":
		target = &e.pod.Name
	case "K8S_POD_UID":
		target = &e.pod.UID
	case "K8S_POD_INFRA_CONTAINER_ID":
	case "IP":
		if value != "" {
			e.ips = strings.Split(value, ",")
		}
		return true, nil // read with the others that are asked for
	case "MAC":
		if value != "" {
			return true, errors.New(noMAC)
		}
	default:
		return false, nil
	}
	*target = value
	return true, plain(value)
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
