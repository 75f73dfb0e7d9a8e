// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import "slices"

// action is one of EC2's.
type action struct {
	name string
	// writes: the action changes the world; EC2 words a refusal differently.
	writes bool
	// run reads the parameters, then acts. It holds the lock, and changes nothing when it fails.
	run func(*World, *params) (answer, error)
}

// registry lists the actions that the simulator knows, by name.
func registry() map[string]action {
	all := map[string]action{}
	for _, act := range slices.Concat(
		attachActions(),
		createActions(),
		instanceActions(),
		instanceTypeActions(),
		interfaceActions(),
		ipv4Actions(),
		ipv6Actions(),
		reservationActions(),
		subnetActions(),
		surroundingsActions(),
		vpcActions(),
	) {
		all[act.name] = act
	}
	return all
}
