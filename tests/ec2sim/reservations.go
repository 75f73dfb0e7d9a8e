// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Reservation sets a part of a subnet aside: of type prefix for what EC2 chooses itself as delegated prefixes, of type
// explicit for what the user names.
// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-cidr-reservation.html
type Reservation struct {
	ID, SubnetID, Type string
	CIDR               netip.Prefix
	item               Item
}

// loadReservations reads them out of an inventory, by id.
func loadReservations(inv v1alpha1.Inventory) (map[string]*Reservation, error) {
	out := map[string]*Reservation{}
	for i, raw := range inv.SubnetCIDRReservations {
		var item Item
		if err := json.Unmarshal(raw, &item); err != nil {
			return nil, fmt.Errorf("subnetCidrReservations[%d]: %w", i, err)
		}
		text := func(field string) string { s, _ := item[field].(string); return s }
		cidr, err := netip.ParsePrefix(text("Cidr"))
		if err != nil {
			return nil, fmt.Errorf("subnetCidrReservations[%d].Cidr: %w", i, err)
		}
		r := &Reservation{text("SubnetCidrReservationId"), text("SubnetId"), text("ReservationType"), cidr, item}
		if err := put(out, r.ID, r); err != nil {
			return nil, fmt.Errorf("subnetCidrReservations[%d]: %w", i, err)
		}
	}
	return out, nil
}

func reservationActions() []action {
	return []action{{name: "GetSubnetCidrReservations", run: getReservations}}
}

func getReservations(w *World, p *params) (answer, error) {
	known := fields[*Reservation]{"reservationType": func(r *Reservation) []string { return one(r.Type) }}
	query, err := readFilters(p, known, func(r *Reservation) map[string]string { return r.item.tags() })
	if err != nil {
		return nil, err
	}
	subnet := p.text("SubnetId")
	page, err := usualPaging("SubnetId", "SubnetIds").request(p)
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if subnet == "" {
		return nil, missingParameter("subnetId")
	}
	if err := allExist(w.Subnets, []string{subnet}, "InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist"); err != nil {
		return nil, err
	}
	found, next := cut(page, sorted(w.Reservations, func(r *Reservation) bool { return r.SubnetID == subnet && query.match(r) }),
		func(r *Reservation) string { return r.ID })
	out := &itemsAnswer{lists: map[string][]Item{"subnetIpv4CidrReservationSet": nil, "subnetIpv6CidrReservationSet": nil}, next: next}
	for _, r := range found {
		set := "subnetIpv4CidrReservationSet"
		if r.CIDR.Addr().Is6() {
			set = "subnetIpv6CidrReservationSet"
		}
		out.lists[set] = append(out.lists[set], r.item)
	}
	return out, nil
}
