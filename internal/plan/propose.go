// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// propose gives one network for each device index at which an interface of a Linux node carries addresses for pods,
// unless a given network chooses interfaces of that index already. asDefault makes the first of them the default, where no
// given network is.
func propose(v *view, given []*network, asDefault bool) []*network {
	asDefault = asDefault && !slices.ContainsFunc(given, func(n *network) bool { return n.spec.Default })
	found := survey(v, given)
	var out []*network
	for _, index := range slices.Sorted(maps.Keys(found)) {
		p := found[index]
		if p.taken || !p.families[v4] && !p.families[v6] {
			continue
		}
		intent := p.network(index, slices.Concat(given, out), v.manual)
		intent.Spec.Default = asDefault && len(out) == 0
		n := readNetwork(intent)
		n.proposed = true
		out = append(out, n)
	}
	return out
}

// survey looks at all interfaces, by device index.
func survey(v *view, given []*network) map[int32]*proposal {
	found := map[int32]*proposal{}
	for _, on := range v.nodes {
		linux := (nodeLabels{on.Node}).Get(labelOS) == "linux"
		for _, nic := range on.nics {
			p := found[nic.DeviceIndex]
			if p == nil {
				p = &proposal{}
				found[nic.DeviceIndex] = p
			}
			p.taken = p.taken || slices.ContainsFunc(given, func(n *network) bool {
				return n.invalid == nil && n.chooses(nic) && n.selects(on)
			})
			if linux && len(nic.foreign) == 0 && !nic.doubled {
				p.see(nic)
			}
		}
	}
	return found
}

// proposal gathers what the interfaces of one device index have in common.
type proposal struct {
	// taken by a given network.
	taken bool
	// families that have addresses.
	families [families]bool
	// link is the name of all links so far; empty if they differ or one is unknown.
	link string
	seen bool
}

func (p *proposal) see(n *nic) {
	if !p.seen {
		p.link, p.seen = n.Name, true
	} else if p.link != n.Name {
		p.link = ""
	}
	for fam := range families {
		p.families[fam] = p.families[fam] || len(n.ranges[fam][fromPrefix])+len(n.ranges[fam][fromSecondary]) > 0
	}
}

func (p *proposal) network(index int32, others []*network, manual bool) *v1alpha1.UnderlayNetwork {
	name := p.name(index, others, manual)
	out := &v1alpha1.UnderlayNetwork{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.UnderlayNetworkSpec{
			InterfaceSelector: v1alpha1.InterfaceSelector{DeviceIndexes: []int32{index}},
			Attachment:        &v1alpha1.AttachmentReference{Namespace: "kube-system", Name: "ipvlan-" + name},
		},
	}
	if manual {
		out.Spec.Provider = v1alpha1.ProviderManual
		if p.link != "" {
			out.Spec.InterfaceSelector = v1alpha1.InterfaceSelector{Names: []string{p.link}}
		}
	}
	for fam := range families {
		if p.families[fam] {
			out.Spec.IPFamilies = append(out.Spec.IPFamilies, fam.api())
		}
	}
	return out
}

// name is the link's where all nodes agree, else eni<index>, or nic<index> outside a cloud; numbered when another network has it or its attachment.
func (p *proposal) name(index int32, others []*network, manual bool) string {
	free := func(name string) bool {
		return !slices.ContainsFunc(others, func(n *network) bool {
			return n.Name == name || n.attachment() == v1alpha1.AttachmentReference{Namespace: "kube-system", Name: "ipvlan-" + name}
		})
	}
	if len(p.link) <= maxNetworkName && len(validation.IsDNS1123Label(p.link)) == 0 && free(p.link) {
		return p.link
	}
	word := "eni"
	if manual {
		word = "nic"
	}
	name := fmt.Sprintf("%s%d", word, index)
	for i := 2; !free(name); i++ {
		name = fmt.Sprintf("%s%d-%d", word, index, i)
	}
	return name
}
