// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/containernetworking/cni/pkg/types"
)

// FuzzParseConfig reads configurations: each is refused with a code, or what it asks for is well-formed.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"cniVersion":"1.0.0","name":"ens6","type":"underlay","network":"ens6"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if quick, plain := decodePlain(data); plain {
			if c, err := decodeStrictly(data); err != nil || !reflect.DeepEqual(quick, c) {
				t.Errorf("read as %+v, and by encoding/json as %+v, error %v", quick, c, err)
			}
		}
		c, err := parseConfig(data)
		if err != nil {
			wantCodeOf(t, err)
			return
		}
		if c.Network == "" || c.Type != Type {
			t.Errorf("network %q, type %q", c.Network, c.Type)
		}
		wanted, err := c.wanted(nil)
		wantCodeOf(t, err)
		for _, a := range wanted {
			if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
				t.Errorf("address %q", a)
			}
		}
		w, err := c.wishes()
		wantCodeOf(t, err)
		for _, r := range w.routes {
			if r.Destination.Bits() <= 0 || r.Destination != r.Destination.Masked() || r.Gateway.IsValid() && r.Gateway.Is4() != r.Destination.Addr().Is4() {
				t.Errorf("route %v", r)
			}
		}
		_, err = c.previous()
		wantCodeOf(t, err)
	})
}

// FuzzParseArgs reads CNI_ARGS: each is refused with a code, or names can stand in messages and in the store.
func FuzzParseArgs(f *testing.F) {
	f.Add("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=6f1c;IP=10.0.0.5")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseArgs(text)
		wantCodeOf(t, err)
		for _, s := range []string{e.pod.Namespace, e.pod.Name, e.pod.UID} {
			if len(s) > 253 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
				t.Errorf("%q passed", s)
			}
		}
	})
}

// wantCodeOf expects nil, or an error with a code and a text that can be shown.
func wantCodeOf(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := errors.AsType[*types.Error](explain(err))
	if !ok || e.Code == 0 || e.Code == types.ErrInternal || e.Msg == "" {
		t.Errorf("error %v has no code or text", err)
	}
	strange := func(r rune) bool { return !strconv.IsPrint(r) }
	if !utf8.ValidString(e.Msg) || strings.ContainsFunc(e.Msg, strange) || strings.Contains(e.Msg, "Go value") || strings.Contains(e.Msg, "Go struct") {
		t.Errorf("an event with %q cannot be read", e.Msg)
	}
}
