// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// Instances implements cloud.Provider.
func (p *Provider) Instances(ctx context.Context, nodes []v1alpha1.Node) (cloud.Snapshot, error) {
	if len(nodes) == 0 {
		return cloud.Snapshot{}, nil
	}
	conn, err := p.connect(ctx, p.region(nodes))
	if err != nil {
		return cloud.Snapshot{}, err
	}
	if _, err := conn.credentials.Retrieve(ctx); err != nil {
		return cloud.Snapshot{}, explainCredentials(ctx, err, conn.place)
	}
	r := ec2Reader(*conn)
	snap, err := r.lookUp(ctx, nodes)
	if err != nil {
		return cloud.Snapshot{}, r.nameAll(ctx, err)
	}
	return snap, nil
}

// region is that of the nodes, or else of the last snapshot: a node alone may not name one yet.
func (p *Provider) region(nodes []v1alpha1.Node) string {
	if region := nodeRegion(nodes); region != "" {
		return region
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// lookUp finds the instances of the nodes by id or address, and then all that belongs to them.
func (r ec2Reader) lookUp(ctx context.Context, nodes []v1alpha1.Node) (cloud.Snapshot, error) {
	w := newWorld()
	pending := unmatched(nodes, nil)
	for len(pending) > 0 {
		var s sample
		s, pending = takeSample(nodes, pending)
		ids, err := r.instancesAt(ctx, s)
		if err != nil {
			return cloud.Snapshot{}, err
		}
		for chunk := range slices.Chunk(ids, probeSize) {
			if err := r.lookUpInstances(ctx, w, chunk); err != nil {
				return cloud.Snapshot{}, err
			}
		}
	}
	if err := r.lookUpNetworks(ctx, w); err != nil {
		return cloud.Snapshot{}, err
	}
	if err := r.listTypes(ctx, w, nodes); err != nil {
		return cloud.Snapshot{}, err
	}
	return w.snapshot(), nil
}

// instancesAt are the ids of a sample's instances: those that it names, and those that hold its addresses.
func (r ec2Reader) instancesAt(ctx context.Context, s sample) ([]string, error) {
	var by4, by6 []types.NetworkInterface
	err := parallel(
		func() (err error) {
			by4, err = r.interfaces(ctx, "addresses.private-ip-address", texts(s.ipv4), attached())
			return err
		},
		func() (err error) {
			by6, err = r.interfaces(ctx, "ipv6-addresses.ipv6-address", texts(s.ipv6), attached())
			return err
		},
	)
	ids := map[string]bool{}
	for _, id := range s.instanceIDs {
		ids[id] = true
	}
	for _, nic := range slices.Concat(by4, by6) {
		if id := instanceOf(nic); id != "" {
			ids[id] = true
		}
	}
	return slices.Sorted(maps.Keys(ids)), err
}

func (r ec2Reader) lookUpInstances(ctx context.Context, w *world, ids []string) error {
	var instances []types.Instance
	var nics []types.NetworkInterface
	err := parallel(
		func() (err error) { instances, err = r.instances(ctx, "instance-id", ids); return err },
		func() (err error) {
			nics, err = r.interfaces(ctx, "attachment.instance-id", ids, attached(), withIP())
			return err
		},
	)
	w.add(instances, nics, nil, nil)
	return err
}

// lookUpNetworks adds the subnets and VPCs of the interfaces.
func (r ec2Reader) lookUpNetworks(ctx context.Context, w *world) error {
	inSubnets, inVPCs := map[string]bool{}, map[string]bool{}
	for _, nics := range w.interfaces {
		for _, nic := range nics {
			inSubnets[str(nic.SubnetId)] = true
			inVPCs[str(nic.VpcId)] = true
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(inSubnets)), filterValues) {
		subnets, err := r.subnets(ctx, "subnet-id", chunk)
		if err != nil {
			return err
		}
		w.add(nil, nil, subnets, nil)
	}
	if len(inVPCs) == 0 {
		return nil
	}
	networks, err := r.vpcs(ctx, slices.Sorted(maps.Keys(inVPCs)))
	w.add(nil, nil, nil, networks)
	return err
}
