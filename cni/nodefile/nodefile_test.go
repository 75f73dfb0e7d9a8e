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

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *File)
		want   string // empty: valid
	}{
		"the example":                   {func(*File) {}, ""},
		"no pools":                      {func(f *File) { f.Pools = nil }, ""},
		"no networks":                   {func(f *File) { f.Networks, f.Pools = nil, nil }, ""},
		"long label in the node's name": {func(f *File) { f.Node.Name = strings.Repeat("a", 100) + ".b" }, ""},
		"exclusion of the other family": {func(f *File) { f.Pools[0].Exclude = mustRanges("fd00::/64") }, ""},
		"two overlapping pools, one disabled": {func(f *File) {
			p := f.Pools[0]
			p.Name, p.Interface.MAC, p.Allocation = "other", "02:00:00:00:10:02", AllocationDisabled
			f.Pools = append(f.Pools, p)
		}, ""},
		"no node name":           {func(f *File) { f.Node.Name = "" }, `node.name ""`},
		"node address with zone": {func(f *File) { f.Node.Addresses = []netip.Addr{netip.MustParseAddr("fe80::1%eth0")} }, "without zone"},
		"network twice":          {func(f *File) { f.Networks = append(f.Networks, f.Networks[0]); f.Networks[1].Default = false }, "network ens5 appears twice"},
		"two default networks": {func(f *File) {
			n := f.Networks[0]
			n.Name = "ens6"
			f.Networks = append(f.Networks, n)
		}, "networks ens5, ens6 are all default"},
		"network name":          {func(f *File) { f.Networks[0].Name = "Ens5" }, "DNS label of at most 40"},
		"mtu":                   {func(f *File) { f.Networks[0].MTU = 1000 }, "mtu 1000"},
		"cooldown":              {func(f *File) { f.Networks[0].CooldownSeconds = -1 }, "cooldownSeconds -1"},
		"host leg CIDR":         {func(f *File) { f.Networks[0].HostLeg.CIDRs[0] = netip.MustParsePrefix("10.96.0.1/12") }, "10.96.0.1/12 must be a CIDR without host bits"},
		"route's destination":   {func(f *File) { f.Networks[0].Routes[0].Destination = netip.Prefix{} }, "must be a CIDR without host bits"},
		"route's families":      {func(f *File) { f.Networks[0].Routes[0].Gateway = netip.MustParseAddr("fe80::1") }, "an address of the same family"},
		"requestedIPs":          {func(f *File) { f.Networks[0].RequestedIPs = "" }, `requestedIPs "" must be Deny or Allow`},
		"metadata mode":         {func(f *File) { f.Networks[0].MetadataService.Mode = "block" }, `metadataService.mode "block"`},
		"namespace":             {func(f *File) { f.Networks[0].AllowedNamespaces = []string{"a.b"} }, `"a.b" must be the name of a namespace`},
		"pool name":             {func(f *File) { f.Pools[0].Name = "a_b" }, `pool "a_b"`},
		"pool twice":            {func(f *File) { f.Pools[1].Name = f.Pools[0].Name }, "pool ens5.0.v4.master appears twice"},
		"pool's network":        {func(f *File) { f.Pools[0].Network = "ens6" }, `network "ens6" is not in this file`},
		"generation":            {func(f *File) { f.Pools[0].Generation = -1 }, "generation -1"},
		"allocation":            {func(f *File) { f.Pools[0].Allocation = "" }, `allocation ""`},
		"upper-case MAC":        {func(f *File) { f.Pools[0].Interface.MAC = "02:00:00:00:10:0A" }, "unicast MAC in lower case"},
		"group MAC":             {func(f *File) { f.Pools[0].Interface.MAC = "03:00:00:00:10:01" }, "unicast MAC"},
		"no MAC":                {func(f *File) { f.Pools[0].Interface.MAC = "00:00:00:00:00:00" }, "unicast MAC"},
		"device index":          {func(f *File) { f.Pools[0].Interface.DeviceIndex = -1 }, "must not be negative"},
		"two identities":        {func(f *File) { f.Pools[1].Interface.ID = "eni-other" }, "differ about the interface with MAC 02:00:00:00:10:01"},
		"family":                {func(f *File) { f.Pools[0].Family = "ipv4" }, `ipFamily "ipv4"`},
		"subnet's family":       {func(f *File) { f.Pools[0].Subnet = f.Pools[1].Subnet }, "must be an IPv4 CIDR"},
		"gateway outside":       {func(f *File) { f.Pools[1].Gateway = netip.MustParseAddr("2406:da1e:c4:ed02::1") }, "must lie inside the subnet"},
		"gateway's family":      {func(f *File) { f.Pools[0].Gateway = netip.MustParseAddr("fe80:ec2::1") }, "must lie inside the subnet"},
		"range outside":         {func(f *File) { f.Pools[0].Ranges = mustRanges("172.31.32.0/28") }, "ranges: 172.31.32.0/28 must lie inside the subnet"},
		"range across the edge": {func(f *File) { f.Pools[0].Ranges = mustRanges("172.31.31.250-172.31.32.5") }, "must lie inside the subnet"},
		"empty range":           {func(f *File) { f.Pools[0].Draining = Ranges{{}} }, "holds no address"},
		"too many ranges": {func(f *File) {
			for i := range 129 {
				f.Pools[0].Exclude = append(f.Pools[0].Exclude, iprange.Single(netip.AddrFrom4([4]byte{172, 31, 17, byte(i)})))
			}
		}, "exclude has 129 entries"},
		"same place twice": {func(f *File) {
			p := f.Pools[0]
			p.Name, p.Ranges = "other", mustRanges("172.31.29.0/28")
			f.Pools = append(f.Pools, p)
		}, "are both of network ens5, eni-0c4e1f5a7b9d20001 and IPv4"},
		"overlap": {func(f *File) {
			p := f.Pools[0]
			p.Name, p.Interface.MAC, p.Ranges = "other", "02:00:00:00:10:02", mustRanges("172.31.28.0-172.31.28.16")
			f.Pools = append(f.Pools, p)
		}, "overlap in 172.31.28.0-172.31.28.16 and 172.31.28.16/28"},
	} {
		t.Run(name, func(t *testing.T) {
			f := master()
			c.change(f)
			err := f.Validate()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestOpenAndUsable(t *testing.T) {
	f := master()
	p := &f.Pools[0]
	p.Ranges = mustRanges("172.31.28.16/28", "172.31.16.0-172.31.16.4", "172.31.31.254-172.31.31.255", "172.31.18.10-172.31.18.12")
	p.Exclude = mustRanges("172.31.28.20", "fd00::/64")
	p.Draining = mustRanges("172.31.28.24/29")
	for name, c := range map[string]struct {
		got  []iprange.Range
		want Ranges
	}{
		"usable": {f.Usable(p), mustRanges("172.31.16.2-172.31.16.4", "172.31.18.10", "172.31.18.12", "172.31.28.16-172.31.28.19", "172.31.28.21-172.31.28.31", "172.31.31.254")},
		"open":   {f.Open(p), mustRanges("172.31.16.2-172.31.16.4", "172.31.18.10", "172.31.18.12", "172.31.28.16-172.31.28.19", "172.31.28.21-172.31.28.23", "172.31.31.254")},
	} {
		if diff := cmp.Diff(c.want.Strings(), Ranges(c.got).Strings()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	p.Allocation = AllocationDisabled
	if open := f.Open(p); len(open) > 0 {
		t.Errorf("a disabled pool is open for %v", open)
	}
	v6 := &f.Pools[1]
	v6.Ranges = mustRanges("2406:da1e:c4:ed01::/80")
	want := []string{"2406:da1e:c4:ed01::1-2406:da1e:c4:ed01:0:ffff:ffff:ffff"}
	if diff := cmp.Diff(want, Ranges(f.Open(v6)).Strings()); diff != "" {
		t.Errorf("the anycast address of the subnet's routers (-want +got):\n%s", diff)
	}
}

func TestSubnetOfTwo(t *testing.T) {
	f := master()
	p := &f.Pools[0]
	p.Subnet, p.Gateway, p.Ranges = netip.MustParsePrefix("10.0.0.0/31"), netip.MustParseAddr("10.0.0.0"), mustRanges("10.0.0.0/31")
	if diff := cmp.Diff([]string{"10.0.0.1"}, Ranges(f.Open(p)).Strings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestQueries(t *testing.T) {
	f := master()
	if f.Network("ens6") != nil || f.Network("ens5") != &f.Networks[0] || f.DefaultNetwork() != &f.Networks[0] {
		t.Error("a network is not found, or one that is not there")
	}
	if f.Pool("ens5.0.v6.master") != &f.Pools[1] || f.Pool("x") != nil {
		t.Error("a pool is not found, or one that is not there")
	}
	if got := f.PoolsOf("ens5"); len(got) != 2 || len(f.PoolsOf("ens6")) != 0 {
		t.Errorf("pools of ens5: %v", got)
	}
	f.Pools[0].Allocation = AllocationDisabled
	if diff := cmp.Diff([]Family{IPv4, IPv6}, f.Families("ens5")); diff != "" {
		t.Errorf("families (-want +got):\n%s", diff)
	}
	n := Network{AllowedNamespaces: []string{"a"}}
	if !n.Allows("a") || n.Allows("b") || n.Allows("") || !(&Network{}).Allows("b") {
		t.Error("allowed namespaces are not kept")
	}
	block, allow := MetadataService{MetadataBlock, []string{"a"}}, MetadataService{MetadataAllow, []string{"a"}}
	if block.Blocks("a") || !block.Blocks("b") || !allow.Blocks("a") || allow.Blocks("b") {
		t.Error("the metadata service's exceptions are not the other way round")
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
