// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types040 "github.com/containernetworking/cni/pkg/types/040"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// wantCode expects a CNI error with a code, whose text has a word.
func wantCode(t *testing.T, err error, code uint, word string) {
	t.Helper()
	e, ok := errors.AsType[*types.Error](cni.Explain(err))
	if !ok || e.Code != code || !strings.Contains(e.Msg, word) {
		t.Errorf("error %v (%+v), want code %d and %q", err, e, code, word)
	}
}

// TestRollBack fails each step of ADD in turn. Afterwards all is as before, and ADD works.
func TestRollBack(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	// All that an endpoint may have.
	n.file.Networks[1].MetadataService.Mode = nodefile.MetadataBlock
	n.write(t)
	newPod := func(t *testing.T) *pod {
		p := n.newPod(t, "ens6")
		p.limited(t, 1_000_000_000, 1_000_000_000)
		return p
	}
	var steps []string
	n.plugin.After = func(step string) error {
		steps = append(steps, step)
		return nil
	}
	p := newPod(t)
	must(t, p.add(t))
	first := p.v4
	must(t, p.del())
	deleted := slices.Index(steps, cni.StepRemove)
	adding := slices.Clone(steps[:deleted])
	if len(adding) < 13 {
		t.Fatalf("ADD has the steps %q only", adding)
	}
	for _, failing := range adding {
		t.Run(failing, func(t *testing.T) {
			injected := errors.New("injected")
			n.plugin.After = func(step string) error {
				if step == failing {
					return injected
				}
				return nil
			}
			p := newPod(t)
			if err := p.add(t); !errors.Is(err, injected) {
				t.Fatalf("error %v, want the injected one", err)
			}
			wantLinks(t, p.Namespace)
			wantLinks(t, n.Namespace, "ens5", "ens6")
			wantFilters(t, n, "ens6", 0)
			n.wantStore(t, 0)
		})
	}
	for _, failing := range []string{cni.StepRemove, cni.StepRelease} {
		t.Run("DEL: "+failing, func(t *testing.T) {
			injected := errors.New("injected")
			n.plugin.After = nil
			p := newPod(t)
			must(t, p.add(t))
			n.plugin.After = func(step string) error {
				if step == failing {
					return injected
				}
				return nil
			}
			if err := p.del(); !errors.Is(err, injected) {
				t.Fatalf("error %v, want the injected one", err)
			}
			n.plugin.After = nil
			must(t, p.del())
			wantLinks(t, p.Namespace)
			wantFilters(t, n, "ens6", 0)
			n.wantStore(t, 0)
		})
	}
	n.plugin.After = nil
	again := n.addPod(t, "ens6")
	if again.v4 == first {
		t.Errorf("%s is handed out again although others are fresh", first)
	}
}

// wantFilters expects some number of pods' filters on the node's interface. They have a chain, to which others lead.
func wantFilters(t *testing.T, n *node, name string, want int) {
	t.Helper()
	links := n.handle(t)
	l, err := links.LinkByName(name)
	must(t, err)
	list, err := links.FilterList(l, netlink.HANDLE_MIN_EGRESS)
	must(t, err)
	list = slices.DeleteFunc(list, func(f netlink.Filter) bool { return f.Attrs().Chain == nil || *f.Attrs().Chain == 0 })
	if len(list) != want {
		t.Errorf("%s has filters %v, want %d", name, list, want)
	}
}

func TestRepetition(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	k := w.addNode(t, "worker", primary("b"), worker())
	remote := k.addPod(t, "ens6")
	t.Run("ADD twice", func(t *testing.T) {
		p := n.addPod(t, "ens6")
		first := p.result
		must(t, p.add(t))
		if diff := cmp.Diff(first, p.result); diff != "" {
			t.Errorf("the second result differs (-first +second):\n%s", diff)
		}
		must(t, p.check(t))
		w.wantPings(t, p.end(), remote.end(), small)
		must(t, p.del())
		must(t, p.del())
	})
	t.Run("DEL without ADD", func(t *testing.T) { must(t, n.newPod(t, "ens6").del()) })
	t.Run("DEL without namespace", func(t *testing.T) {
		p := n.addPod(t, "ens6")
		p.vanish(t)
		p.args.Netns = ""
		must(t, p.del())
	})
	t.Run("DEL with the path of a namespace that is gone", func(t *testing.T) {
		p := n.addPod(t, "ens6")
		p.vanish(t)
		must(t, p.del())
	})
	t.Run("DEL with an empty file where the namespace was", func(t *testing.T) {
		p := n.addPod(t, "ens6")
		p.vanish(t)
		must(t, os.WriteFile(p.args.Netns, nil, 0o444))
		defer os.Remove(p.args.Netns)
		must(t, p.del())
	})
	t.Run("DEL with a path that leads to the node's namespace", func(t *testing.T) { // its process' number was given again
		p := n.addPod(t, "ens6")
		p.vanish(t)
		p.args.Netns = n.Path()
		must(t, p.del())
		wantLinks(t, n.Namespace, "ens5", "ens6")
		n.wantStore(t, 0)
		must(t, p.del())
		wantCode(t, p.add(t), types.ErrInvalidNetNS, "is the node's own")
	})
	t.Run("DEL without path while the namespace lives", func(t *testing.T) {
		p := n.addPod(t, "ens6")
		p.args.Netns = ""
		must(t, p.del())
		wantLinks(t, p.Namespace)
	})
	t.Run("DEL of an earlier sandbox at the same path", func(t *testing.T) {
		p := n.addPod(t, "ens6")
		late := *p
		args := *p.args
		args.ContainerID = "earlier"
		late.args = &args
		must(t, late.del())
		must(t, p.check(t))
		must(t, p.del())
	})
	t.Run("DEL without node file, with a broken configuration", func(t *testing.T) {
		p := n.addPod(t, "ens6")
		must(t, os.Remove(n.plugin.NodeFile))
		p.args.StdinData = []byte(`{"cniVersion":"1.0.0","name":"ens6","type":"underlay","strange":1}`)
		must(t, p.del())
		wantLinks(t, p.Namespace)
		fresh := n.newPod(t, "ens6")
		wantCode(t, fresh.add(t), types.ErrTryAgainLater, "agent")
		n.write(t)
	})
	wantLinks(t, n.Namespace, "ens5", "ens6")
	n.wantStore(t, 0)
}

// TestVersions adds and checks in each version of the specification.
func TestVersions(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	for version, parse := range map[string]func([]byte) (types.Result, error){
		"0.3.1": types040.NewResult, "0.4.0": types040.NewResult, "1.0.0": types100.NewResult, "1.1.0": types100.NewResult,
	} {
		t.Run(version, func(t *testing.T) {
			p := n.newPod(t, "ens6")
			p.args.StdinData = config("ens6", version)
			out, err := p.call((*cni.Plugin).Add)
			must(t, err)
			result, err := parse(out)
			must(t, err)
			if result.Version() != version {
				t.Errorf("the result is of version %s", result.Version())
			}
			current, err := types100.NewResultFromResult(result)
			must(t, err)
			if len(current.IPs) != 2 || len(current.Routes) != 2 || len(current.Interfaces) != 3 || current.Interfaces[0].Sandbox != p.args.Netns {
				t.Errorf("the result is not whole: %s", out)
			}
			if version != "0.3.1" {
				p.result = current
				var c map[string]any
				must(t, json.Unmarshal(p.args.StdinData, &c))
				c["prevResult"] = result
				p.args.StdinData, err = json.Marshal(c)
				must(t, err)
				_, err = p.call((*cni.Plugin).Check)
				must(t, err)
			}
			must(t, p.del())
		})
	}
}

// TestAddressInUse has something that the store does not know use the pool's first addresses.
func TestAddressInUse(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	links := n.handle(t)
	parent, err := links.LinkByName("ens6")
	must(t, err)
	foreign := n.newPod(t, "ens6")
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Namespace = "eth0", parent.Attrs().Index, netlink.NsFd(foreign.FD())
	must(t, links.LinkAdd(&netlink.IPVlan{LinkAttrs: attrs, Mode: netlink.IPVLAN_MODE_L2}))
	// Known namespaces are seen when the store is made, so it is made first.
	n.wantStore(t, 0)
	there := handle(t, foreign.Namespace)
	child, err := there.LinkByName("eth0")
	must(t, err)
	taken := []netip.Addr{netip.MustParseAddr("172.31.28.16"), netip.MustParseAddr("172.31.28.17"), netip.MustParseAddr("2406:da1e:c4:ed01:c57d::")}
	for _, a := range taken {
		must(t, there.AddrAdd(child, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}}))
	}
	must(t, there.LinkSetUp(child))
	p := n.addPod(t, "ens6")
	for _, a := range taken {
		if slices.Contains(p.addresses(), a) {
			t.Errorf("the pod got %s, which is in use", a)
		}
	}
	must(t, p.check(t))
	n.wantStore(t, 1)
	n.store(t, func(s *ipam.Store) {
		usage, err := s.Usage(&n.file)
		must(t, err)
		quarantined := int64(0)
		for _, u := range usage.Pools {
			quarantined += u.Quarantined
		}
		if quarantined != int64(len(taken)) {
			t.Errorf("%d addresses are in quarantine, want %d: %v", quarantined, len(taken), usage.Pools)
		}
	})
	// An ADD for an interface that somebody else has made there.
	wantCode(t, foreign.add(t), cni.CodeInterface, "eth0")
}
