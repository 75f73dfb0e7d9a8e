// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
)

// update is set by the command line.
var update = flag.Bool("update", false, "write the golden files")

// TestResult shows the result in each version of the specification.
func TestResult(t *testing.T) {
	e := datapath.Endpoint{
		Identity: datapath.Identity{Container: "c1", Name: "eth0"}, Primary: true,
		Addresses: []datapath.Address{
			{Prefix: netip.MustParsePrefix("172.31.28.17/20"), Gateway: netip.MustParseAddr("172.31.16.1")},
			{Prefix: netip.MustParsePrefix("2406:da1e:c4:ed01:c57d::1/64"), Gateway: netip.MustParseAddr("fe80:ec2::1")},
		},
		Routes: []datapath.Route{{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("172.31.16.1")}},
	}
	made := datapath.Links{
		Pod:  datapath.Link{Name: "eth0", MAC: "02:00:00:00:10:01", MTU: 9001},
		Peer: datapath.Link{Name: "host0", MAC: "7e:00:00:00:00:01", MTU: 9001},
		Host: datapath.Link{Name: "ulayabcdefghijk", MAC: "5e:00:00:00:00:01", MTU: 9001},
	}
	for _, version := range versions().SupportedVersions() {
		t.Run(version, func(t *testing.T) {
			var out, indented bytes.Buffer
			p := Plugin{Out: &out}
			if err := p.print(result(e, made, "/run/netns/cni-1"), version); err != nil {
				t.Fatal(err)
			}
			if err := json.Indent(&indented, out.Bytes(), "", "  "); err != nil {
				t.Fatal(err)
			}
			indented.WriteByte('\n')
			golden := filepath.Join("testdata", "result-"+version+".json")
			if *update {
				if err := os.WriteFile(golden, indented.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), indented.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
