// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
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
			wantPrintedAlike(t, result(e, made, "/run/netns/cni-1"), version, out.Bytes())
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

// wantPrintedAlike compares what is printed with what the library prints, but for spaces.
func wantPrintedAlike(t *testing.T, result *types100.Result, version string, printed []byte) {
	t.Helper()
	converted, err := result.GetAsVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	var out, want, got bytes.Buffer
	if err := errors.Join(converted.PrintTo(&out), json.Compact(&want, out.Bytes()), json.Compact(&got, printed)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), got.String()); diff != "" {
		t.Errorf("-library +ours:\n%s", diff)
	}
}

// TestPlainResult: any result is printed as the library prints it, those of our own without encoding/json.
func TestPlainResult(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	text := func(more ...string) string {
		return append(more, "eth0", "7e:00:00:00:00:01")[random.IntN(len(more)+2)]
	}
	sometimes := func(n int) int { return n * (random.IntN(20) / 19) }
	address := func() net.IP {
		return []net.IP{nil, {10, 0, 0, 1}, net.ParseIP("fd00::1"), net.ParseIP("10.0.0.1")}[random.IntN(4)]
	}
	prefix := func() net.IPNet {
		return network(netip.MustParsePrefix([]string{"10.0.0.0/8", "::/0"}[random.IntN(2)]))
	}
	plain := 0
	for range 5_000 {
		r := &types100.Result{CNIVersion: types100.ImplementedSpecVersion, DNS: types.DNS{Domain: []string{"", "x"}[sometimes(1)]}}
		for range random.IntN(4) {
			r.Interfaces = append(r.Interfaces, &types100.Interface{Name: text("", "<"), Mac: text(""), Mtu: random.IntN(2), Sandbox: text("", "ü"), PciID: []string{"", "0"}[sometimes(1)]})
		}
		for range random.IntN(3) {
			ip := &types100.IPConfig{Address: prefix(), Gateway: address()}
			if random.IntN(2) == 0 {
				ip.Interface = new(random.IntN(2))
			}
			r.IPs = append(r.IPs, ip)
			r.Routes = append(r.Routes, &types.Route{Dst: prefix(), GW: address(), MTU: sometimes(1), Priority: sometimes(1)})
		}
		version := []string{"1.0.0", "1.1.0"}[random.IntN(2)]
		converted, err := r.GetAsVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		if printed, ok := encodePlain(converted); ok {
			plain++
			wantPrintedAlike(t, r, version, printed)
		}
	}
	if plain < 500 {
		t.Errorf("%d results alone were plain", plain)
	}
}

// TestPlainConfig: what runtimes pass on for most pods is read without encoding/json.
func TestPlainConfig(t *testing.T) {
	config := `{"capabilities":{"bandwidth":true},"cniVersion":"1.0.0","cniVersions":["0.3.1","1.0.0"],"name":"ens5","network":"ens5","type":"underlay"}`
	if _, plain := decodePlain([]byte(config)); !plain {
		t.Errorf("%s is declined", config)
	}
}
