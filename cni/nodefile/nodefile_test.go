// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package nodefile

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

var update = flag.Bool("update", false, "write the golden files")

// master is the node file of the walkthrough's first node: one interface with a delegated prefix of each family.
func master() *File {
	eni := Interface{ID: "eni-0c4e1f5a7b9d20001", MAC: "02:00:00:00:10:01", DeviceIndex: 0, NetworkCardIndex: 0}
	return &File{
		Version: Version,
		Writer:  "underlay-agent v0.1.0",
		Node: Node{
			Name:       "master",
			UID:        "6f1c2e34-5a7b-4d10-9c55-2b7f00000001",
			ProviderID: "aws:///ap-southeast-1a/i-0c4e1f5a7b9d20001",
			Addresses:  []netip.Addr{netip.MustParseAddr("172.31.18.11")},
		},
		Networks: []Network{{
			Name:              "ens5",
			Default:           true,
			HostLeg:           HostLeg{Enabled: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("fd00:10:96::/108")}},
			Routes:            []Route{{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("172.31.16.1")}},
			CooldownSeconds:   30,
			AllowedNamespaces: []string{},
			RequestedIPs:      RequestedIPsDeny,
			MetadataService:   MetadataService{Mode: MetadataBlock, ExceptNamespaces: []string{"kube-system"}},
		}},
		Pools: []Pool{{
			Name:       "ens5.0.v4.master",
			Generation: 1,
			Network:    "ens5",
			Interface:  eni,
			Family:     IPv4,
			Subnet:     netip.MustParsePrefix("172.31.16.0/20"),
			Gateway:    netip.MustParseAddr("172.31.16.1"),
			Ranges:     mustRanges("172.31.28.16/28"),
			Exclude:    Ranges{},
			Draining:   Ranges{},
			Allocation: AllocationEnabled,
		}, {
			Name:       "ens5.0.v6.master",
			Generation: 1,
			Network:    "ens5",
			Interface:  eni,
			Family:     IPv6,
			Subnet:     netip.MustParsePrefix("2406:da1e:c4:ed01::/64"),
			Gateway:    netip.MustParseAddr("fe80:ec2::1"),
			Ranges:     mustRanges("2406:da1e:c4:ed01:c57d::/80"),
			Exclude:    Ranges{},
			Draining:   Ranges{},
			Allocation: AllocationEnabled,
		}},
	}
}

func mustRanges(list ...string) Ranges {
	r, err := ParseRanges(list)
	if err != nil {
		panic(err)
	}
	return r
}

func TestEncodeIsGolden(t *testing.T) {
	got, err := Encode(master())
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "master.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("node file differs from %s; run with -update if this is meant (-want +got):\n%s", golden, diff)
	}
	f, err := Read(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(master(), f, compareFiles()...); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func compareFiles() []cmp.Option {
	return []cmp.Option{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, iprange.Range{})}
}

func TestReadRefuses(t *testing.T) {
	whole, err := Encode(master())
	if err != nil {
		t.Fatal(err)
	}
	replace := func(text, by string) []byte {
		if !bytes.Contains(whole, []byte(text)) {
			t.Fatalf("the example does not contain %q", text)
		}
		return bytes.Replace(whole, []byte(text), []byte(by), 1)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":            {nil, "is not valid: it is empty; restart"},
		"blank":            {[]byte(" \n"), "is not valid: it is empty; restart"},
		"half":             {whole[:len(whole)/2], "it ends in the middle, after"},
		"zeros":            {make([]byte, 100), "byte 1: invalid character"},
		"something behind": {append(bytes.Clone(whole), "{}"...), "something stands behind the object"},
		"a list":           {[]byte(`[]`), "cannot unmarshal array"},
		"no version":       {[]byte(`{}`), "has no version"},
		"newer":            {replace(`"version": 1`, `"version": 2`), "is of version 2, written by underlay-agent v0.1.0, and this program reads version 1: the CNI binary is older than the node's underlay agent"},
		"unknown field":    {replace(`"writer"`, `"wroter": "x", "writer"`), `unknown field "wroter"`},
		"bad address":      {replace(`"172.31.18.11"`, `"172.31.18"`), "172.31.18"},
		"bad range":        {replace(`172.31.28.16/28`, `172.31.28.17/28`), "bits beyond the mask are set"},
		"invalid content":  {replace(`"gateway": "172.31.16.1",`, `"gateway": "10.1.1.1",`), "pool ens5.0.v4.master: gateway 10.1.1.1 must lie inside the subnet 172.31.16.0/20 or be link-local"},
		"too large":        {make([]byte, MaxSize+1), "more than 4194304"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "node.json")
			if err := os.WriteFile(path, c.data, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error with %q and the path", err, c.want)
			}
		})
	}
}

func TestReadTellsErrorsApart(t *testing.T) {
	folder := t.TempDir()
	_, err := Read(filepath.Join(folder, "none.json"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "has not written one yet") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Read(folder); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: %v", err)
	}
	_, err = Decode([]byte(`{"version": 7}`))
	var version *VersionError
	if !errors.As(err, &version) || version.Found != 7 || version.Known != Version {
		t.Errorf("newer version: %v", err)
	}
	var invalid *InvalidError
	if _, err = Decode([]byte(`{"version": 1}`)); !errors.As(err, &invalid) {
		t.Errorf("invalid: %v", err)
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "node.json")
	f := master()
	f.Version = 0 // Write sets it
	if err := Write(path, f); err != nil {
		t.Fatal(err)
	}
	if f.Version != 0 {
		t.Error("Write changed its argument")
	}
	f.Networks[0].CooldownSeconds = 31
	if err := Write(path, f); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Networks[0].CooldownSeconds != 31 {
		t.Errorf("cooldown %d, want 31", got.Networks[0].CooldownSeconds)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o644 {
		t.Errorf("mode %v, want 0644", info.Mode())
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("the folder holds %v, want the node file alone", entries)
	}
}

// TestUpdate: a file that says the same is left alone, whatever else is replaced.
func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.json")
	update := func(f *File, want bool) os.FileInfo {
		t.Helper()
		changed, err := Update(path, f)
		if err != nil {
			t.Fatal(err)
		}
		if changed != want {
			t.Errorf("changed is %v, want %v", changed, want)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := update(master(), true)
	if second := update(master(), false); !os.SameFile(first, second) {
		t.Error("a file that says the same was replaced")
	}
	f := master()
	f.Networks[0].CooldownSeconds = 31
	if third := update(f, true); os.SameFile(first, third) {
		t.Error("the file was written in place")
	}
	if got, err := Read(path); err != nil || got.Networks[0].CooldownSeconds != 31 {
		t.Errorf("the new file is not there: %v", err)
	}
	f.Pools[0].Network = "none"
	if changed, err := Update(path, f); err == nil || changed {
		t.Errorf("an invalid file: changed is %v, error %v", changed, err)
	}
}

func TestWriteKeepsTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.json")
	if err := Write(path, master()); err != nil {
		t.Fatal(err)
	}
	invalid := master()
	invalid.Pools[0].Network = "none"
	if err := Write(path, invalid); err == nil {
		t.Error("an invalid file was written")
	}
	// What a writer that was killed in the middle leaves: Write replaces it, even a link that points elsewhere.
	temporary := filepath.Join(filepath.Dir(path), ".node.json.tmp")
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Symlink(elsewhere, temporary); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, master()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Write followed a link: %v", err)
	}
	// A folder in the way of the temporary file makes writing fail.
	if err := os.MkdirAll(filepath.Join(temporary, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	changed := master()
	changed.Networks[0].CooldownSeconds = 5
	if err := Write(path, changed); err == nil || !strings.Contains(err.Error(), "write node file") {
		t.Errorf("got %v, want an error", err)
	}
	got, err := Read(path)
	if err != nil || got.Networks[0].CooldownSeconds != 30 {
		t.Errorf("the old file is lost: %v", err)
	}
}

// A half-written file is never taken for a whole one, wherever it ends.
func TestHalvesAreRefused(t *testing.T) {
	whole, err := Encode(master())
	if err != nil {
		t.Fatal(err)
	}
	trimmed := bytes.TrimSpace(whole)
	for n := range len(trimmed) {
		if _, err := Decode(trimmed[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a file", n, len(trimmed))
		}
	}
}

// TestPlain: what Encode writes is read without encoding/json, and as that reads it.
func TestPlain(t *testing.T) {
	whole, err := Encode(master())
	if err != nil {
		t.Fatal(err)
	}
	if !readsAlike(t, whole) {
		t.Error("the example is not plain")
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		damaged := bytes.Clone(whole)
		damaged[random.IntN(len(damaged))] ^= byte(1 + random.IntN(255))
		readsAlike(t, damaged)
	}
}

// readsAlike says whether data is plain; if so, it must be the same to encoding/json.
func readsAlike(t *testing.T, data []byte) bool {
	t.Helper()
	quick, plain := decodePlain(data)
	if !plain {
		return false
	}
	file, err := decodeStrictly(data)
	if err != nil {
		t.Fatalf("plain, and wrong: %v\n%s", err, data)
	}
	if !reflect.DeepEqual(quick, file) {
		t.Fatalf("read as %+v, and by encoding/json as %+v:\n%s", quick, file, data)
	}
	return true
}

// FuzzDecode: whatever Decode accepts is valid, and comes back from Encode as it was.
func FuzzDecode(f *testing.F) {
	whole, err := Encode(master())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"version": 2}`))
	random := rand.New(rand.NewPCG(1, 2))
	for range 16 {
		damaged := bytes.Clone(whole)
		damaged[random.IntN(len(damaged))] ^= byte(1 + random.IntN(255))
		f.Add(damaged)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		readsAlike(t, data)
		file, err := Decode(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error says nothing")
			}
			return
		}
		if err := file.Validate(); err != nil {
			t.Fatalf("accepted an invalid file: %v", err)
		}
		for i := range file.Pools {
			for _, r := range file.Open(&file.Pools[i]) {
				if !iprange.FromPrefix(file.Pools[i].Subnet).Covers(r) {
					t.Fatalf("hands out %s outside of %s", r, file.Pools[i].Subnet)
				}
			}
		}
		again, err := Encode(file)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatalf("does not read what it wrote: %v", err)
		}
		if diff := cmp.Diff(file, back, append(compareFiles(), cmpopts.EquateEmpty())...); diff != "" {
			t.Errorf("changed on its way (-before +after):\n%s", diff)
		}
	})
}

// BenchmarkRead is on the path of each ADD.
func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "node.json")
	if err := Write(path, master()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Read(path); err != nil {
			b.Fatal(err)
		}
	}
}
