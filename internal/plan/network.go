// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// Labels that every node has, whether the inventory lists them or not.
const (
	labelHostname = "kubernetes.io/hostname"
	labelOS       = "kubernetes.io/os"
)

// maxNetworkName is what leaves room in a pool's name.
const maxNetworkName = 40

// network is an UnderlayNetwork, read.
type network struct {
	*v1alpha1.UnderlayNetwork
	spec v1alpha1.UnderlayNetworkSpec
	// nodes is nil for all Linux nodes.
	nodes   labels.Selector
	exclude []iprange.Range
	// proposed by the planner, not given by the user.
	proposed bool
	// elsewhere: the inventory is of another provider, so that it says nothing about the network's pools.
	elsewhere bool
	// invalid says why the network gets neither pools nor attachment.
	invalid error

	// scratch of holes, which are computed once for each pool.
	scratch []iprange.Range

	// What was met on the way, for findings about the network as a whole.
	selected       int      // nodes
	without        []string // names of selected nodes without an interface
	chosen         int      // interfaces
	empty          []string // chosen interfaces without addresses
	lostTo         map[string][]string
	defaultsBefore map[string][]string // default networks that came first, with the nodes
}

// readNetworks orders the networks by their right to addresses, the oldest first, and reads each.
func readNetworks(in []v1alpha1.UnderlayNetwork) []*network {
	out := make([]*network, 0, len(in))
	for i := range in {
		out = append(out, readNetwork(in[i].DeepCopy()))
	}
	slices.SortFunc(out, func(a, b *network) int {
		return cmp.Or(CompareAge(a.CreationTimestamp, b.CreationTimestamp), cmp.Compare(a.Name, b.Name),
			cmp.Compare(encoded(a.Spec), encoded(b.Spec)))
	})
	names := map[string]bool{}
	for _, n := range out {
		if names[n.Name] {
			n.invalid = errors.New("another network has the same name: rename or remove one of them")
		}
		names[n.Name] = true
	}
	return out
}

// CompareAge puts the older object first, by creation, and those that do not exist yet last.
func CompareAge(a, b metav1.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b.Time)
}

// encoded orders values that nothing else tells apart.
func encoded(spec v1alpha1.UnderlayNetworkSpec) string {
	raw, _ := json.Marshal(spec) // strings, numbers, lists and maps: it cannot fail
	return string(raw)
}

func readNetwork(in *v1alpha1.UnderlayNetwork) *network {
	in.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "UnderlayNetwork"}
	n := &network{UnderlayNetwork: in, spec: in.Effective(), lostTo: map[string][]string{}, defaultsBefore: map[string][]string{}}
	n.invalid = n.read()
	return n
}

func (n *network) read() error {
	if len(n.Name) > maxNetworkName || len(validation.IsDNS1123Label(n.Name)) > 0 {
		return fmt.Errorf("metadata.name %q must be a DNS label of at most %d characters: lower-case letters, digits and -",
			n.Name, maxNetworkName)
	}
	ways := 0
	for _, given := range [...]int{len(n.spec.InterfaceSelector.DeviceIndexes), len(n.spec.InterfaceSelector.Names),
		len(n.spec.InterfaceSelector.Tags)} {
		if given > 0 {
			ways++
		}
	}
	if ways != 1 {
		return fmt.Errorf("spec.interfaceSelector chooses in %d ways: choose interfaces in exactly one: deviceIndexes, names or tags", ways)
	}
	var err error
	if n.nodes, err = nodesOf(&n.spec); err != nil {
		return err
	}
	for i, text := range n.spec.Exclude {
		r, err := iprange.Parse(string(text))
		if err != nil {
			return fmt.Errorf("spec.exclude[%d]: %w", i, err)
		}
		n.exclude = append(n.exclude, r)
	}
	n.exclude = iprange.Merge(n.exclude)
	return nil
}

// nodesOf a network; nil for all Linux nodes.
func nodesOf(spec *v1alpha1.UnderlayNetworkSpec) (labels.Selector, error) {
	s := spec.NodeSelector
	if s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		return nil, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil, fmt.Errorf("spec.nodeSelector: %w", err)
	}
	return selector, nil
}

// selects says whether the network is meant for the node.
func (n *network) selects(on *node) bool { return among(n.nodes, on.Node) }

// among says whether a node is one of nodesOf.
func among(nodes labels.Selector, on *v1alpha1.Node) bool {
	l := nodeLabels{on}
	if nodes == nil {
		return l.Get(labelOS) == "linux"
	}
	return nodes.Matches(l)
}

// nodeLabels are a node's labels and those that every node has.
type nodeLabels struct{ *v1alpha1.Node }

// Lookup is part of labels.Labels.
func (l nodeLabels) Lookup(key string) (value string, exists bool) {
	if value, exists = l.Labels[key]; exists {
		return value, true
	}
	switch key {
	case labelHostname:
		return l.Name, true
	case labelOS:
		return "linux", true
	}
	return "", false
}

// Has is part of labels.Labels.
func (l nodeLabels) Has(key string) bool {
	_, exists := l.Lookup(key)
	return exists
}

// Get is part of labels.Labels.
func (l nodeLabels) Get(key string) string {
	value, _ := l.Lookup(key)
	return value
}

// chooses says whether the network's selector matches the interface. A device index counts on every network card:
// the pools' names tell the cards apart.
func (n *network) chooses(on *nic) bool {
	s := &n.spec.InterfaceSelector
	switch {
	case len(s.DeviceIndexes) > 0:
		return slices.Contains(s.DeviceIndexes, on.DeviceIndex)
	case len(s.Names) > 0:
		return on.Name != "" && slices.Contains(s.Names, on.Name)
	}
	for key, value := range s.Tags {
		if got, ok := on.Tags[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// way describes the selector for messages.
func (n *network) way() string {
	s := n.spec.InterfaceSelector
	switch {
	case len(s.DeviceIndexes) > 0:
		indexes := slices.Sorted(slices.Values(s.DeviceIndexes))
		return fmt.Sprintf("device index %s", joined(indexes))
	case len(s.Names) > 0:
		return "the name " + joined(slices.Sorted(slices.Values(s.Names)))
	}
	var tags []string
	for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
		tags = append(tags, key+"="+s.Tags[key])
	}
	return "the tags " + strings.Join(tags, ", ")
}

// joined lists values as "a, b or c".
func joined[T any](values []T) string {
	texts := make([]string, 0, len(values))
	for _, v := range values {
		texts = append(texts, fmt.Sprint(v))
	}
	last := len(texts) - 1
	if last < 1 {
		return strings.Join(texts, "")
	}
	return strings.Join(texts[:last], ", ") + " or " + texts[last]
}

func (n *network) object() string { return "network/" + n.Name }

// attachment of the network, by which Multus finds it.
func (n *network) attachment() v1alpha1.AttachmentReference { return *n.spec.Attachment }
