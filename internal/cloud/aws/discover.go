// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// discover finds the VPCs of the nodes and lists what they hold, until every node is found or has been asked for.
func discover(ctx context.Context, r ec2Reader, nodes []v1alpha1.Node) (cloud.Snapshot, error) {
	w := newWorld()
	pending := unmatched(nodes, nil)
	for len(pending) > 0 {
		sampled, left := takeSample(nodes, pending)
		vpcs, err := r.probe(ctx, sampled)
		if err != nil {
			return cloud.Snapshot{}, err
		}
		vpcs = slices.DeleteFunc(vpcs, func(id string) bool { return w.listed[id] })
		if err := r.list(ctx, w, vpcs, true); err != nil {
			return cloud.Snapshot{}, err
		}
		matched := cloud.Match(nodes, w.instanceList())
		pending = slices.DeleteFunc(left, func(i int) bool { return matched[i] != "" })
	}
	if err := r.listAfar(ctx, w, nodes); err != nil {
		return cloud.Snapshot{}, err
	}
	if err := r.listTypes(ctx, w, nodes); err != nil {
		return cloud.Snapshot{}, err
	}
	return w.snapshot(), nil
}

// unmatched returns the indexes of the nodes that are none of the instances.
func unmatched(nodes []v1alpha1.Node, instances []cloud.Instance) []int {
	var out []int
	for i, id := range cloud.Match(nodes, instances) {
		if id == "" {
			out = append(out, i)
		}
	}
	return out
}

// world is what was listed so far, by id.
type world struct {
	instances map[string]types.Instance
	// interfaces by instance.
	interfaces map[string][]types.NetworkInterface
	subnets    map[string]types.Subnet
	vpcs       map[string]types.Vpc
	types      map[string]types.InstanceTypeInfo
	// listed are the VPCs whose interfaces, subnets and VPC are here.
	listed map[string]bool
}

func newWorld() *world {
	return &world{
		instances:  map[string]types.Instance{},
		interfaces: map[string][]types.NetworkInterface{},
		subnets:    map[string]types.Subnet{},
		vpcs:       map[string]types.Vpc{},
		types:      map[string]types.InstanceTypeInfo{},
		listed:     map[string]bool{},
	}
}

// list adds what VPCs hold: their interfaces and subnets, and, if wanted, their instances.
func (r ec2Reader) list(ctx context.Context, w *world, vpcs []string, withInstances bool) error {
	if len(vpcs) == 0 {
		return nil
	}
	var (
		instances []types.Instance
		nics      []types.NetworkInterface
		subnets   []types.Subnet
		networks  []types.Vpc
	)
	err := parallel(
		func() (err error) {
			if withInstances {
				instances, err = r.instances(ctx, "vpc-id", vpcs)
			}
			return err
		},
		func() (err error) { nics, err = r.interfaces(ctx, "vpc-id", vpcs, attached(), withIP()); return err },
		func() (err error) { subnets, err = r.subnets(ctx, "vpc-id", vpcs); return err },
		func() (err error) { networks, err = r.vpcs(ctx, vpcs); return err },
	)
	if err != nil {
		return err
	}
	w.add(instances, nics, subnets, networks)
	for _, vpc := range vpcs {
		w.listed[vpc] = true
	}
	return nil
}

func (w *world) add(instances []types.Instance, nics []types.NetworkInterface, subnets []types.Subnet, networks []types.Vpc) {
	for _, instance := range instances {
		w.instances[str(instance.InstanceId)] = instance
	}
	for _, nic := range nics {
		w.interfaces[instanceOf(nic)] = append(w.interfaces[instanceOf(nic)], nic)
	}
	for _, subnet := range subnets {
		w.subnets[str(subnet.SubnetId)] = subnet
	}
	for _, network := range networks {
		w.vpcs[str(network.VpcId)] = network
	}
}

// listAfar adds the interfaces that nodes have in VPCs other than their own: an instance may have some attached.
func (r ec2Reader) listAfar(ctx context.Context, w *world, nodes []v1alpha1.Node) error {
	afar := map[string]bool{}
	for _, id := range cloud.Match(nodes, w.instanceList()) {
		for _, nic := range w.instances[id].NetworkInterfaces {
			if vpc := str(nic.VpcId); vpc != "" && !w.listed[vpc] {
				afar[vpc] = true
			}
		}
	}
	return r.list(ctx, w, slices.Sorted(maps.Keys(afar)), false)
}

// listTypes adds the instance types of the nodes.
func (r ec2Reader) listTypes(ctx context.Context, w *world, nodes []v1alpha1.Node) error {
	inUse := map[string]bool{}
	for _, id := range cloud.Match(nodes, w.instanceList()) {
		if id != "" {
			inUse[string(w.instances[id].InstanceType)] = true
		}
	}
	infos, err := r.instanceTypes(ctx, slices.Sorted(maps.Keys(inUse)))
	if err != nil {
		return err
	}
	for _, info := range infos {
		w.types[string(info.InstanceType)] = info
	}
	return nil
}

// instanceList converts the instances, unsorted.
func (w *world) instanceList() []cloud.Instance {
	out := make([]cloud.Instance, 0, len(w.instances))
	for id, instance := range w.instances {
		out = append(out, toInstance(instance, w.interfaces[id]))
	}
	return out
}

func (w *world) snapshot() cloud.Snapshot {
	return cloud.Snapshot{
		Instances:     slices.SortedFunc(slices.Values(w.instanceList()), func(a, b cloud.Instance) int { return cmp.Compare(a.ID, b.ID) }),
		Subnets:       sortedValues(w.subnets, func(s types.Subnet) v1alpha1.Subnet { return toSubnet(s, w.account()) }),
		VPCs:          sortedValues(w.vpcs, toVPC),
		InstanceTypes: sortedValues(w.types, toInstanceType),
	}
}

// account that the nodes' interfaces belong to.
func (w *world) account() string {
	for _, instance := range slices.Sorted(maps.Keys(w.interfaces)) {
		if instance != "" {
			return str(w.interfaces[instance][0].OwnerId)
		}
	}
	return ""
}

// sortedValues converts the values of a map in the order of their keys.
func sortedValues[A, B any](m map[string]A, convert func(A) B) []B {
	out := make([]B, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, convert(m[key]))
	}
	return out
}
