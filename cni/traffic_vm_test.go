// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import "testing"

const small = 84 // bytes of an ordinary ping

func master() card { return card{"ens6", "a", "172.31.28.16/28", "2406:da1e:c4:ed01:c57d::/80"} }
func worker() card { return card{"ens6", "b", "172.31.32.176/28", "2406:da1e:c4:ed02:7a2e::/80"} }

// primary is an interface for the node alone.
func primary(subnet string) card { return card{"ens5", subnet, "", ""} }

func TestFirstPacket(t *testing.T) {
	w := newWorld(t)
	one := w.addNode(t, "master", primary("a"), master()).addPod(t, "ens6")
	other := w.addNode(t, "worker", primary("b"), worker()).addPod(t, "ens6")
	w.wantPings(t, one.end(), other.end(), small)
	w.wantPings(t, other.end(), one.end(), small)
	must(t, one.check(t))
	must(t, one.del())
	must(t, other.del())
	wantLinks(t, one.Namespace)
	wantLinks(t, one.node.Namespace, "ens5", "ens6")
	one.node.wantStore(t, 0)
}
