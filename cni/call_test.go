// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
)

// outcome is what a runtime's call comes to: a verb with what it is called with, or an error.
type outcome struct {
	Verb  string
	Call  Call
	Error *types.Error
}

// ourOutcome is that of readCall.
func ourOutcome(config string) outcome {
	v, c, err := readCall(os.Getenv, strings.NewReader(config))
	if err != nil {
		e, _ := errors.AsType[*types.Error](err)
		return outcome{Error: e}
	}
	return outcome{Verb: v.name, Call: *c}
}

// skelOutcome is that of the library, which reads the process's own standard input.
func skelOutcome(t *testing.T, config string) outcome {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stdin := os.Stdin
	os.Stdin = file
	defer func() { os.Stdin = stdin }()
	var o outcome
	by := func(verb string) func(*skel.CmdArgs) error {
		return func(a *skel.CmdArgs) error {
			o = outcome{Verb: verb, Call: Call{ContainerID: a.ContainerID, Netns: a.Netns, IfName: a.IfName, Args: a.Args, StdinData: a.StdinData}}
			return nil
		}
	}
	o.Error = skel.PluginMainFuncsWithError(skel.CNIFuncs{Add: by("ADD"), Del: by("DEL"), Check: by("CHECK"), GC: by("GC"), Status: by("STATUS")}, versions(), "")
	return o
}

// TestCallsAlike: what runtimes pass on is taken and refused as the library does it, with its codes and texts.
func TestCallsAlike(t *testing.T) {
	t.Setenv("CNI_NETNS_OVERRIDE", "1") // see readCall
	values := map[string][]string{
		"CNI_COMMAND":     {"ADD", "DEL", "CHECK", "GC", "STATUS", "add", "FORMAT"},
		"CNI_CONTAINERID": {"c1", "0a_.-", "", "-c", "../c", "~netns-1", "c d", "c\n", "ü"},
		"CNI_NETNS":       {"/run/netns/x", ""},
		"CNI_IFNAME":      {"eth0", "abcdefghijklmno", "abcdefghijklmnop", "", ".", "..", "a/b", "a:b", "a b", "a\u00a0b", "\xff"},
		"CNI_ARGS":        {"", "A=b"},
		"CNI_PATH":        {"/bin", ""},
	}
	versions := []string{"1.1.0", "1.0.0", "0.4.0", "0.3.1", "", "0.2.0", "0.3.0", "1.2.0", "2", "x", "1.0.0.0", "0.4"}
	names := []string{"ens6", "", "../x", "a b", "_a", "a_b.c-d"}
	random := rand.New(rand.NewPCG(9, 10))
	pick := func(list []string) string { return list[random.IntN(len(list))*(random.IntN(5)/4)] } // the first one, mostly
	taken := 0
	for range 500 {
		var environment []string
		for _, variable := range slices.Sorted(maps.Keys(values)) {
			value := pick(values[variable])
			if variable == "CNI_COMMAND" {
				value = values[variable][random.IntN(len(values[variable]))]
			}
			t.Setenv(variable, value)
			environment = append(environment, variable+"="+value)
		}
		config := `{"cniVersion":"` + pick(versions) + `","name":"` + pick(names) + `","type":"underlay","x":1}`
		switch random.IntN(20) {
		case 0:
			config = config[:random.IntN(len(config))]
		case 1:
			config = strings.Replace(config, "name", "Name", 1)
		case 2:
			config += "x"
		case 3:
			config = strings.Replace(config, `,"x":1`, "", 1)
		}
		want, got := skelOutcome(t, config), ourOutcome(config)
		if want.Error != nil && got.Error != nil && strings.HasPrefix(want.Error.Msg, "plugin version does not allow") {
			want.Error.Msg, want.Error.Details = got.Error.Msg, got.Error.Details // ours says which versions it knows
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q\n%s\n-library +ours:\n%s", environment, config, diff)
		}
		if got.Error == nil {
			taken++
		}
	}
	if taken < 50 {
		t.Errorf("%d calls alone were taken", taken)
	}
}
