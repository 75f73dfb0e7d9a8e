// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Owner is who holds addresses: an interface of a sandbox. At most one record has it.
type Owner struct {
	// ContainerID as the runtime gives it (CNI_CONTAINERID).
	ContainerID string `json:"containerID"`
	// IfName is the interface in the sandbox (CNI_IFNAME).
	IfName string `json:"ifName"`
}

// Pod names the pod that a sandbox belongs to; all empty when the runtime did not say.
type Pod struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// Netns is a network namespace: where it is mounted, and which it is. The inode tells a namespace from a later one at the same path.
type Netns struct {
	Path  string `json:"path,omitempty"`
	Inode uint64 `json:"inode,omitempty"`
}

// Lease is one address of a record.
type Lease struct {
	Address netip.Addr `json:"address"`
	// Pool that the address was handed out from; empty for one found in a live namespace when the store was made.
	Pool string `json:"pool,omitempty"`
}

// Record is what a sandbox's interface holds. It is written by one transaction and removed by one.
type Record struct {
	Owner
	// Network and MAC of the node's interface that the addresses belong to; empty for a record of addresses found in a live namespace.
	Network string `json:"network,omitempty"`
	MAC     string `json:"mac,omitempty"`
	// Leases: one address of each family of the network, IPv4 first.
	Leases []Lease `json:"leases"`
	Pod    Pod     `json:"pod,omitzero"`
	Netns  Netns   `json:"netns,omitzero"`
	// Since is when the owner asked last, since boot: a record is not collected while an ADD may be at work on it.
	Since time.Duration `json:"since"`
}

// Addresses of the record.
func (r Record) Addresses() []netip.Addr {
	list := make([]netip.Addr, len(r.Leases))
	for i, l := range r.Leases {
		list[i] = l.Address
	}
	return list
}

// foundPrefix starts the container id of records made for addresses that live namespaces were found to hold. No runtime's id starts so: the CNI
// specification wants a letter or digit.
const foundPrefix = "~netns-"

// record of an owner; false if there is none.
func (b *book) record(o Owner) (Record, bool, error) {
	r, known, err := b.recordAt(recordKey(o))
	if known && r.Owner != o {
		return Record{}, false, damaged("the record of container %s, interface %s, stands under the key of container %s, interface %s", r.ContainerID, r.IfName, o.ContainerID, o.IfName)
	}
	return r, known, err
}

// recordAt is the record under a key; false if there is none.
func (b *book) recordAt(id recordID) (Record, bool, error) {
	value := b.records.Get([]byte(id))
	if value == nil {
		return Record{}, false, nil
	}
	r, err := decodeRecord(value)
	return r, err == nil, err
}

// putRecord writes a record and holds its addresses, which nobody may hold. The owner must have no other record.
func (b *book) putRecord(r Record) error {
	for _, l := range r.Leases {
		if err := b.hold(l.Address); err != nil {
			return err
		}
		if err := b.countHeld(l.Pool, +1); err != nil {
			return err
		}
	}
	return b.writeRecord(r)
}

// writeRecord writes a record whose addresses are held already.
func (b *book) writeRecord(r Record) error {
	value, err := encodeRecord(r)
	if err != nil {
		return err
	}
	b.changed = true
	return b.records.Put([]byte(recordKey(r.Owner)), value)
}

// dropRecord removes a record; give says what becomes of each address, which is of a pool.
func (b *book) dropRecord(r Record, give func(a netip.Addr, pool poolID) error) error {
	for _, l := range r.Leases {
		e, err := b.look(l.Address)
		if err != nil {
			return err
		}
		if e.state != held {
			return damaged("address %s of container %s, interface %s, is not held", l.Address, r.ContainerID, r.IfName)
		}
		row, err := b.row(l.Pool)
		if err != nil {
			return err
		}
		if err := b.countHeld(l.Pool, -1); err != nil {
			return err
		}
		if err := give(l.Address, row.id); err != nil {
			return err
		}
	}
	b.changed = true
	return b.records.Delete([]byte(recordKey(r.Owner)))
}

// recordsWith lists the records whose key starts with prefix, in the order of containers and interfaces.
func (b *book) recordsWith(prefix string) ([]Record, error) {
	var list []Record
	cursor := b.records.Cursor()
	for k, v := cursor.Seek([]byte(prefix)); k != nil && string(k[:min(len(k), len(prefix))]) == prefix; k, v = cursor.Next() {
		r, err := decodeRecord(v)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(x, y Record) int {
		return cmp.Or(cmp.Compare(x.ContainerID, y.ContainerID), cmp.Compare(x.IfName, y.IfName))
	})
	return list, nil
}

func decodeRecord(value []byte) (Record, error) {
	r, err := unmarshalRecord(value)
	if err != nil {
		return Record{}, damaged("a record cannot be read: %w", err)
	}
	if r.ContainerID == "" || slices.ContainsFunc(r.Leases, func(l Lease) bool { return !l.Address.IsValid() }) {
		return Record{}, damaged("record %q is not whole", value)
	}
	return r, nil
}
