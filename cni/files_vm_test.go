// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// status calls STATUS on the node.
func (n *node) status(network string) error {
	plugin := n.plugin
	return n.Do(func() error { return plugin.Status(&cni.Call{StdinData: config(network, "1.1.0")}) })
}

// wantRefused expects ADD of a new pod to fail with a code and a text, and to leave nothing.
func (n *node) wantRefused(t *testing.T, network string, code uint, word string) {
	t.Helper()
	before := n.leftovers(t)
	p := n.newPod(t, network)
	wantCode(t, p.add(t), code, word)
	wantLinks(t, p.Namespace)
	wantNoRules(t, p)
	if after := n.leftovers(t); !slices.Equal(before, after) {
		t.Errorf("what was on the node: %v\nand what is: %v", before, after)
	}
}

// ownFolder gives the node's store a file system of its own.
func (n *node) ownFolder(t *testing.T, size string) {
	t.Helper()
	must(t, os.MkdirAll(n.plugin.Folder, 0o700))
	must(t, unix.Mount("tmpfs", n.plugin.Folder, "tmpfs", 0, "size="+size))
	t.Cleanup(func() { must(t, unix.Unmount(n.plugin.Folder, unix.MNT_DETACH)) })
}

// fillUp writes into the node's folder until nothing more fits, and returns how to take it back.
func (n *node) fillUp(t *testing.T) (free func()) {
	t.Helper()
	path := filepath.Join(n.plugin.Folder, "filler")
	file, err := os.Create(path)
	must(t, err)
	for _, size := range []int{64 << 10, 4 << 10} {
		for err = nil; err == nil; {
			_, err = file.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	must(t, file.Close())
	return func() { must(t, os.Remove(path)) }
}

// TestFullDisk has no space left where the store is: ADD says so and leaves nothing, DEL works, and all is well again once there is space.
func TestFullDisk(t *testing.T) {
	const full = "its file system is full; free space there"
	w := newWorld(t)
	cards := []card{primary("a"), {"ens6", "a", "172.31.20.0/24", "2406:da1e:c4:ed01:c57d::/80"},
		{"ens7", "a", "172.31.28.32/28", ""}, {"ens8", "a", "", "2406:da1e:c4:ed01:c57e::/80"}}
	n := w.addNode(t, "master", cards...)
	for i := range n.file.Networks {
		n.file.Networks[i].HostLeg.Enabled = false // ADDs are many
		n.file.Networks[i].MetadataService.Mode = nodefile.MetadataBlock
	}
	n.write(t)
	n.ownFolder(t, "1m")
	t.Run("before there is a store", func(t *testing.T) {
		free := n.fillUp(t)
		n.wantRefused(t, "ens6", types.ErrIOFailure, full)
		free()
		p := n.addPod(t, "ens6")
		must(t, p.check(t))
		must(t, p.del())
		n.wantStore(t, 0)
	})
	t.Run("when a note about the interface is to be written", func(t *testing.T) {
		must(t, n.addPod(t, "ens6").del()) // the store is there
		free := n.fillUp(t)
		n.wantRefused(t, "ens7", types.ErrIOFailure, "must be writable and have space")
		free()
		p := n.addPod(t, "ens7")
		wantFilters(t, n, "ens7", 1)
		must(t, p.del())
		wantFilters(t, n, "ens7", 0)
	})
	for _, network := range []string{"ens6", "ens8"} {
		t.Run("while pods come and go on "+network, func(t *testing.T) {
			pods := []*pod{n.addPod(t, network)}
			free := n.fillUp(t)
			for len(pods) < 200 {
				p := n.newPod(t, network)
				if err := p.add(t); err != nil {
					wantCode(t, err, types.ErrIOFailure, full)
					wantLinks(t, p.Namespace)
					break
				}
				pods = append(pods, p)
			}
			n.wantRefused(t, network, types.ErrIOFailure, full)
			n.wantStore(t, len(pods))
			must(t, n.status(network))
			must(t, pods[0].check(t))
			t.Logf("%d pods fitted", len(pods))
			for _, p := range pods[1:] {
				must(t, p.del())
				wantLinks(t, p.Namespace)
			}
			n.wantStore(t, 1)
			free()
			more := n.addPod(t, network)
			must(t, more.check(t))
			must(t, more.del())
			must(t, pods[0].del())
			n.wantStore(t, 0)
			wantFilters(t, n, network, 0)
		})
	}
}

// TestReadOnlyDisk has the store on a file system that was mounted read-only, as the kernel does after errors.
func TestReadOnlyDisk(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	n.ownFolder(t, "1m")
	remount := func(flag uintptr) { must(t, unix.Mount("", n.plugin.Folder, "", unix.MS_REMOUNT|flag, "")) }
	p := n.addPod(t, "ens6")
	remount(unix.MS_RDONLY)
	n.wantRefused(t, "ens6", types.ErrIOFailure, "mounted read-only")
	wantCode(t, p.del(), types.ErrIOFailure, "mounted read-only")
	wantCode(t, p.check(t), types.ErrIOFailure, "mounted read-only")
	remount(0)
	n.wantStore(t, 1)
	must(t, p.del())
	wantLinks(t, p.Namespace)
	n.wantStore(t, 0)
	must(t, n.addPod(t, "ens6").check(t))
}

// TestUnreadableStore damages the store under pods that live: their addresses are nobody else's, whatever was damaged, and each pod can go.
func TestUnreadableStore(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), card{"ens8", "a", "172.31.28.48/28", ""}, card{"ens9", "a", "", "2406:da1e:c4:ed01:c57f::/80"})
	networks := []string{"ens6", "ens8", "ens9"}
	path := filepath.Join(n.plugin.Folder, "store.db")
	random := rand.New(rand.NewPCG(5, 6))
	flip := func(data []byte) []byte {
		for range 1 + random.IntN(16) {
			data[random.IntN(len(data))] ^= 1 << random.IntN(8)
		}
		return data
	}
	type wound struct {
		name   string
		damage func(data []byte) []byte
		aside  bool // it cannot go unnoticed
	}
	cases := []wound{
		{"garbage", func([]byte) []byte { return []byte(strings.Repeat("garbage ", 1000)) }, true},
		{"empty", func([]byte) []byte { return nil }, true},
		{"truncated", func(data []byte) []byte { return data[:2*4096] }, true},
		{"another release's", func(data []byte) []byte {
			return []byte(strings.ReplaceAll(string(data), `"schema":1`, `"schema":9`))
		}, true},
		{"newest meta page", func(data []byte) []byte { data[16+24]++; data[4096+16+24]++; return data }, true},
	}
	for range 8 {
		cases = append(cases, wound{"flipped bits", flip, false})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var pods []*pod
			for i := range 4 {
				pods = append(pods, n.addPod(t, networks[i%len(networks)]))
			}
			data, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, c.damage(data), 0o600))
			n.log.Reset()
			for _, network := range networks {
				p := n.addPod(t, network)
				for _, other := range pods {
					for _, a := range other.addresses() {
						if a.IsValid() && slices.Contains(p.addresses(), a) {
							t.Errorf("%s was handed out, and %s has it", a, other.args.ContainerID)
						}
					}
				}
				pods = append(pods, p)
			}
			if c.aside && !strings.Contains(n.log.String(), "was set aside as "+path+".bad-") {
				t.Errorf("said: %s", n.log)
			}
			for _, p := range pods {
				must(t, p.del())
				wantLinks(t, p.Namespace)
			}
			must(t, os.RemoveAll(path)) // what flipped bits made of a record may not be freed by DEL
		})
	}
	wantLinks(t, n.Namespace, "ens5", "ens6", "ens8", "ens9")
}

// TestNodeFile has node files that cannot be used, for the default network: ADD, CHECK and STATUS say why and what to do, DEL works, and all is well with
// the next file.
func TestNodeFile(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	n.file.Networks[1].Default = true
	n.write(t)
	whole, err := os.ReadFile(n.plugin.NodeFile)
	must(t, err)
	replace := func(old, by string) []byte {
		if !strings.Contains(string(whole), old) {
			t.Fatalf("the node file lacks %s", old)
		}
		return []byte(strings.ReplaceAll(string(whole), old, by))
	}
	for _, c := range []struct {
		name        string
		file        []byte // nil for none
		code        uint   // of ADD
		word        string
		check       uint // code of CHECK
		unavailable string
	}{
		{"missing", nil, types.ErrTryAgainLater, "has not written one yet; check that its pod runs here", types.ErrTryAgainLater, "has not written one yet"},
		{"empty", []byte{}, cni.CodeNodeFile, "it is empty; restart the node's underlay agent", cni.CodeNodeFile, "it is empty"},
		{"half-written", whole[:len(whole)/2], cni.CodeNodeFile, "half-written; restart the node's underlay agent", cni.CodeNodeFile, "half-written"},
		{"zeros, as after a power cut", make([]byte, len(whole)), cni.CodeNodeFile, "byte 1", cni.CodeNodeFile, "byte 1"},
		{"newer", replace(`"version": 1`, `"version": 2`), cni.CodeNodeFile, "the CNI binary is older than the node's underlay agent; restart the agent", cni.CodeNodeFile, "of version 2"},
		{"unknown field", replace(`"version": 1`, `"version": 1, "zone": "a"`), cni.CodeNodeFile, `unknown field "zone"`, cni.CodeNodeFile, `"zone"`},
		{"not valid", replace(`"allocation": "Enabled"`, `"allocation": "Maybe"`), cni.CodeNodeFile, `allocation "Maybe" must be Enabled or Disabled`, cni.CodeNodeFile, "Maybe"},
		{"of another machine", replace(`"02:00:00:00:11:01"`, `"02:00:00:00:77:01"`), types.ErrTryAgainLater, "is not on this machine", cni.CodeInterface, "network ens6 has no interface here that could carry pods: interface 02:00:00:00:77:01 is not on this machine"},
		{"of a machine without the network", replace(`"ens6"`, `"ens9"`), cni.CodeRefused, "does not carry network ens6", cni.CodeRefused, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, leaving := n.addPod(t, "ens6"), n.addPod(t, "ens6")
			must(t, os.Remove(n.plugin.NodeFile))
			if c.file != nil {
				must(t, os.WriteFile(n.plugin.NodeFile, c.file, 0o644))
			}
			n.wantRefused(t, "ens6", c.code, c.word)
			wantCode(t, p.check(t), c.check, strings.SplitN(c.word, ";", 2)[0])
			if err := n.status("ens6"); c.unavailable != "" {
				wantCode(t, err, types.ErrPluginNotAvailable, c.unavailable)
			} else {
				must(t, err)
			}
			must(t, leaving.del())
			wantLinks(t, leaving.Namespace)
			n.write(t)
			must(t, n.status("ens6"))
			must(t, p.check(t))
			must(t, n.addPod(t, "ens6").del())
			must(t, p.del())
			n.wantStore(t, 0)
		})
	}
}
