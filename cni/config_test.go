// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

func TestParseConfig(t *testing.T) {
	const head = `"cniVersion":"1.0.0","cniVersions":["0.4.0","1.0.0"],"name":"n","type":"underlay"`
	for _, c := range []struct {
		name, text string
		code       uint // 0: it is fine
		word       string
	}{
		{"all keys", `{` + head + `,"network":"ens6","capabilities":{"ips":true},"runtimeConfig":{"ips":["10.0.0.5"]},"args":{"cni":{"ips":["fd00::1"],"labels":[]},"other":1},"prevResult":{"cniVersion":"1.0.0"}}`, 0, ""},
		{"GC's attachments", `{` + head + `,"network":"ens6","cni.dev/valid-attachments":[{"containerID":"c","ifname":"eth0"}],"cni.dev/attachments":[{"containerID":"c","ifname":"eth0"}]}`, 0, ""},
		{"unknown key", `{` + head + `,"network":"ens6","ipam":{}}`, types.ErrInvalidNetworkConfig, `"ipam" is unknown`},
		{"unknown bandwidth", `{` + head + `,"network":"ens6","runtimeConfig":{"bandwidth":{"ingresRate":1}}}`, types.ErrInvalidNetworkConfig, `"ingresRate" is unknown`},
		{"negative bandwidth", `{` + head + `,"network":"ens6","runtimeConfig":{"bandwidth":{"ingressRate":-1}}}`, types.ErrDecodingFailure, "the key runtimeConfig.bandwidth.ingressRate has a value of the kind number -1, and must have another"},
		{"capability mac", `{` + head + `,"network":"ens6","runtimeConfig":{"mac":"02:00:00:00:00:01"}}`, types.ErrUnsupportedField, "do not ask for another"},
		{"MAC by args", `{` + head + `,"network":"ens6","args":{"cni":{"mac":"02:00:00:00:00:01"}}}`, types.ErrUnsupportedField, "do not ask for another"},
		{"other capability data", `{` + head + `,"network":"ens6","runtimeConfig":{"portMappings":[]}}`, types.ErrInvalidNetworkConfig, `"portMappings" is unknown`},
		{"no network", `{` + head + `}`, types.ErrInvalidNetworkConfig, "names no network"},
		{"other type", `{"cniVersion":"1.0.0","name":"n","type":"ipvlan","network":"ens6"}`, types.ErrInvalidNetworkConfig, `"ipvlan"`},
		{"wrong kind of value", `{` + head + `,"network":5}`, types.ErrDecodingFailure, "the key network has a value of the kind number, and must have another"},
		{"wrong kind of value inside args", `{` + head + `,"network":"ens6","args":{"cni":[]}}`, types.ErrDecodingFailure, "cni has a value of the kind array"},
		{"no object", `[]`, types.ErrDecodingFailure, "it must be an object, and is of the kind array"},
		{"empty", ``, types.ErrDecodingFailure, "it is empty"},
		{"half", `{` + head, types.ErrDecodingFailure, "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseConfig([]byte(c.text))
			wantError(t, err, c.code, c.word)
		})
	}
}

func wantError(t *testing.T, err error, code uint, word string) {
	t.Helper()
	if code == 0 {
		if err != nil {
			t.Errorf("error %v, want none", err)
		}
		return
	}
	e, ok := errors.AsType[*types.Error](err)
	if !ok || e.Code != code || !strings.Contains(e.Msg, word) {
		t.Errorf("error %v (%+v), want code %d and %q", err, e, code, word)
	}
}

func TestWanted(t *testing.T) {
	for _, c := range []struct {
		name, text string
		more       []string
		want       []string
		code       uint
	}{
		{"nothing", ``, nil, nil, 0},
		{"environment", ``, []string{"10.0.0.5", "fd00::5/64"}, []string{"10.0.0.5", "fd00::5"}, 0},
		{"environment, none", ``, []string{"ten"}, nil, types.ErrInvalidNetworkConfig},
		{"capability", `,"runtimeConfig":{"ips":["10.0.0.5/24","fd00::5"]}`, nil, []string{"10.0.0.5", "fd00::5"}, 0},
		{"args", `,"args":{"cni":{"ips":["10.0.0.5"]}}`, nil, []string{"10.0.0.5"}, 0},
		{"both, the same", `,"runtimeConfig":{"ips":["10.0.0.5"]},"args":{"cni":{"ips":["::ffff:10.0.0.5"]}}`, nil, []string{"10.0.0.5"}, 0},
		{"none", `,"runtimeConfig":{"ips":["ten"]}`, nil, nil, types.ErrInvalidNetworkConfig},
		{"with zone", `,"runtimeConfig":{"ips":["fe80::1%eth0"]}`, nil, nil, types.ErrInvalidNetworkConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			parsed, err := parseConfig(fmt.Appendf(nil, `{"cniVersion":"1.0.0","name":"n","type":"underlay","network":"ens6"%s}`, c.text))
			if err != nil {
				t.Fatal(err)
			}
			got, err := parsed.wanted(c.more)
			wantError(t, err, c.code, "")
			var want []netip.Addr
			for _, s := range c.want {
				want = append(want, netip.MustParseAddr(s))
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBandwidthWanted(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       datapath.Bandwidth
		code       uint
	}{
		{"none", ``, datapath.Bandwidth{}, 0},
		{"null", `,"runtimeConfig":{"bandwidth":null}`, datapath.Bandwidth{}, 0},
		{"one direction", `,"runtimeConfig":{"bandwidth":{"ingressRate":1000}}`, datapath.Bandwidth{Ingress: datapath.Limit{Rate: 1000}}, 0},
		{"as containerd writes it", `,"runtimeConfig":{"bandwidth":{"IngressRate":1000000,"IngressBurst":4294967295,"EgressRate":2000000,"EgressBurst":4294967295}}`,
			datapath.Bandwidth{Ingress: datapath.Limit{Rate: 1e6, Burst: 1<<32 - 1}, Egress: datapath.Limit{Rate: 2e6, Burst: 1<<32 - 1}}, 0},
		{"too little", `,"runtimeConfig":{"bandwidth":{"egressRate":999}}`, datapath.Bandwidth{}, types.ErrInvalidNetworkConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			parsed, err := parseConfig(fmt.Appendf(nil, `{"cniVersion":"1.0.0","name":"n","type":"underlay","network":"ens6"%s}`, c.text))
			if err != nil {
				t.Fatal(err)
			}
			got, err := parsed.bandwidth()
			wantError(t, err, c.code, "")
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseArgs(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       ipam.Pod
		ips        []string
		word       string // of the error
	}{
		{"none", "", ipam.Pod{}, nil, ""},
		{"Kubernetes", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=ab12;K8S_POD_UID=6f1c", ipam.Pod{Namespace: "default", Name: "web-0", UID: "6f1c"}, nil, ""},
		{"unknown, ignored behind it", "FOO=bar;IgnoreUnknown=true", ipam.Pod{}, nil, ""},
		{"addresses", "IP=10.0.0.5,fd00::5", ipam.Pod{}, []string{"10.0.0.5", "fd00::5"}, ""},
		{"no addresses", "IP=", ipam.Pod{}, nil, ""},
		{"MAC", "IgnoreUnknown=1;MAC=02:00:00:00:00:01", ipam.Pod{}, nil, "do not ask for another"},
		{"unknown", "FOO=bar;K8S_POD_NAME=x", ipam.Pod{}, nil, "FOO"},
		{"no value", "K8S_POD_NAME", ipam.Pod{}, nil, "KEY=VALUE"},
		{"separator", "K8S_POD_NAME=a=b", ipam.Pod{}, nil, "K8S_POD_NAME"},
		{"zero byte", "K8S_POD_UID=a\x00b", ipam.Pod{}, nil, "K8S_POD_UID"},
		{"too long", "K8S_POD_NAMESPACE=" + strings.Repeat("a", 254), ipam.Pod{}, nil, "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseArgs(c.text)
			if c.word != "" {
				wantError(t, err, types.ErrInvalidEnvironmentVariables, c.word)
				return
			}
			wantError(t, err, 0, "")
			if diff := cmp.Diff(c.want, got.pod) + cmp.Diff(c.ips, got.ips); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code uint
	}{
		{&ipam.ExhaustedError{}, types.ErrTryAgainLater},
		{&ipam.TakenError{}, types.ErrTryAgainLater},
		{&ipam.BusyError{Err: errors.New("x")}, types.ErrTryAgainLater},
		{&ipam.RefusedError{}, CodeRefused},
		{&ipam.StorageError{Err: errors.New("x")}, types.ErrIOFailure},
		{&datapath.FolderError{Err: errors.New("x")}, types.ErrIOFailure},
		{&datapath.NamespaceError{}, types.ErrInvalidNetNS},
		{&datapath.MasterError{}, CodeInterface},
		{&datapath.ForeignLinkError{}, CodeInterface},
		{&datapath.MessageError{Module: "sch_tbf"}, CodeKernel},
		{&datapath.MessageError{Errno: 2}, types.ErrInternal},
		{&datapath.AddressInUseError{}, types.ErrTryAgainLater},
		{&nodefile.VersionError{}, CodeNodeFile},
		{&nodefile.InvalidError{}, CodeNodeFile},
		{&noNodeFileError{err: fs.ErrNotExist}, types.ErrTryAgainLater},
		{invalid("x"), types.ErrInvalidNetworkConfig},
		{errors.New("x"), types.ErrInternal},
	} {
		t.Run(fmt.Sprintf("%T", c.err), func(t *testing.T) {
			for _, err := range []error{c.err, ofPod(ipam.Pod{Namespace: "a", Name: "b"}, "eth0", c.err)} {
				e, ok := errors.AsType[*types.Error](explain(err))
				if !ok || e.Code != c.code {
					t.Errorf("code %+v, want %d", e, c.code)
				}
			}
		})
	}
	if explain(nil) != nil {
		t.Error("no error became one")
	}
}
