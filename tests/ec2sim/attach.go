// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

func attachActions() []action {
	return []action{
		{name: "AttachNetworkInterface", writes: true, run: attachInterface},
		{name: "DetachNetworkInterface", writes: true, run: detachInterface},
		{name: "ModifyNetworkInterfaceAttribute", writes: true, run: modifyInterface},
	}
}

// The states of an attachment.
const (
	attaching = "attaching"
	attached  = "attached"
	detaching = "detaching"
)

type attachAnswer struct {
	head
	AttachmentID string `xml:"attachmentId"`
	Card         int32  `xml:"networkCardIndex"`
}

// AttachTakes sets how long attaching and detaching take from now on; nothing at first, around 15 s in AWS.
func (s *Server) AttachTakes(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.attachTakes = d
}

// settle completes what is attaching or detaching and has taken its time.
func (w *World) settle(now time.Time) {
	for _, nic := range w.Interfaces {
		if nic.settles.IsZero() || now.Before(nic.settles) {
			continue
		}
		nic.settles = time.Time{}
		switch nic.AttachmentStatus {
		case attaching:
			nic.AttachmentStatus = attached
		case detaching:
			nic.AttachmentStatus, nic.InstanceID, nic.DeviceIndex, nic.NetworkCardIndex = "", "", 0, 0
		}
	}
}

// attachmentID of an interface.
func (n *NetworkInterface) attachmentID() string {
	return cmp.Or(n.AttachmentID, "eni-attach-"+strings.TrimPrefix(n.ID, "eni-"))
}

func attachInterface(w *World, p *params) (answer, error) {
	id, instanceID := p.text("NetworkInterfaceId"), p.text("InstanceId")
	device, hasDevice, err := p.count("DeviceIndex")
	if err != nil {
		return nil, err
	}
	card, hasCard, err := p.count("NetworkCardIndex")
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	nic, err := w.networkInterface(id)
	if err != nil {
		return nil, err
	}
	if instanceID == "" || !hasDevice {
		return nil, missingParameter(map[bool]string{true: "instanceId", false: "deviceIndex"}[instanceID == ""])
	}
	instance := w.Instances[instanceID]
	if instance == nil {
		return nil, client("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", instanceID)
	}
	if err := w.checkAttach(nic, instance, place{card: card, device: device, anyCard: !hasCard}); err != nil {
		return nil, err
	}
	nic.InstanceID, nic.DeviceIndex, nic.NetworkCardIndex = instanceID, int32(device), int32(card)
	nic.AttachmentID, nic.DeleteOnTermination = "eni-attach-"+strings.TrimPrefix(nic.ID, "eni-"), false
	nic.AttachmentStatus = attached
	if w.attachTakes > 0 {
		nic.AttachmentStatus, nic.settles = attaching, w.now().Add(w.attachTakes)
	}
	return &attachAnswer{AttachmentID: nic.attachmentID(), Card: nic.NetworkCardIndex}, nil
}

// place of an interface on an instance. Without a card in the request, EC2 takes card 0, but a device index that is
// taken on any card as taken: https://github.com/cilium/cilium/pull/42512
type place struct {
	card, device int
	anyCard      bool
}

func (w *World) checkAttach(nic *NetworkInterface, instance *Instance, at place) error {
	if nic.AttachmentStatus != "" {
		// https://github.com/hashicorp/terraform-provider-aws/issues/27513
		return client("InvalidNetworkInterface.InUse", "Interface: [%s] in use.", nic.ID)
	}
	if instance.State != "running" && instance.State != "stopped" {
		// The code as for volumes: https://github.com/ansible-collections/amazon.aws/pull/497
		return client("IncorrectState", "Instance '%s' is not 'running' or 'stopped'.", instance.ID)
	}
	if zone := w.Subnets[nic.SubnetID].Zone; zone != instance.Zone {
		// In words of ours: no report of EC2's was found.
		return client("InvalidParameterCombination", "Interface %s is in zone %s, but instance %s is in %s", nic.ID, zone, instance.ID, instance.Zone)
	}
	t := w.Types[instance.Type]
	cards := slices.Clone(t.Cards)
	if len(cards) == 0 {
		cards = []int{t.MaxInterfaces}
	}
	if at.card < 0 || at.card >= len(cards) {
		return invalidValue("Network card index %d is not valid for instance type %s", at.card, t.Name) // words of ours
	}
	if strings.HasPrefix(nic.Type, "efa") && instance.State == "running" {
		// https://github.com/hashicorp/terraform-provider-aws/issues/44355; the words are ours
		return client("UnsupportedOperation", "An EFA cannot be attached to a running instance")
	}
	if err := w.checkPlace(instance, at, cards[at.card]); err != nil {
		return err
	}
	return w.checkFits(nic, instance)
}

// checkPlace looks whether the device index is free, and whether one more fits on the card.
func (w *World) checkPlace(instance *Instance, at place, most int) error {
	onCard := 1
	for _, other := range w.Interfaces {
		if other.InstanceID != instance.ID {
			continue
		}
		if int(other.NetworkCardIndex) == at.card {
			onCard++
		}
		if int(other.DeviceIndex) == at.device && (at.anyCard || int(other.NetworkCardIndex) == at.card) {
			// https://github.com/lstoll/k8s-vpcnet/issues/71
			return invalidValue("Instance '%s' already has an interface attached at device index '%d'.", instance.ID, at.device)
		}
	}
	if onCard > most {
		// https://github.com/cilium/cilium/issues/15877
		return client("AttachmentLimitExceeded", "Interface count %d exceeds the limit for %s", onCard, instance.Type)
	}
	return nil
}

// checkFits looks whether the type allows what the interface carries already.
func (w *World) checkFits(nic *NetworkInterface, instance *Instance) error {
	fitted := *nic
	fitted.InstanceID = instance.ID
	if err := w.checkIPv4Limit(&fitted, 0, len(nic.IPv4Prefixes) > 0); err != nil {
		return err
	}
	if len(nic.ipv6())+len(nic.IPv6Prefixes) == 0 {
		return nil
	}
	return w.checkIPv6Limit(&fitted, 0, len(nic.IPv6Prefixes) > 0)
}

func detachInterface(w *World, p *params) (answer, error) {
	id := p.text("AttachmentId")
	if _, err := p.flag("Force"); err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if id == "" {
		return nil, missingParameter("attachmentId")
	}
	for _, nic := range w.Interfaces {
		switch {
		case nic.AttachmentStatus == "" || nic.attachmentID() != id:
			continue
		case nic.InstanceID == "":
			// https://github.com/boto/boto3/issues/2219
			return nil, client("OperationNotPermitted", "You are not allowed to manage 'ela-attach' attachments.")
		case nic.isPrimary():
			return nil, client("OperationNotPermitted", "The network interface at device index 0 cannot be detached.")
		case nic.AttachmentStatus == detaching:
			return nil, client("IncorrectState", "The attachment '%s' is being detached.", id) // words of ours
		}
		nic.AttachmentStatus, nic.settles = detaching, w.now().Add(w.attachTakes)
		w.settle(w.now())
		return &done{Return: true}, nil
	}
	return nil, client("InvalidAttachmentID.NotFound", "The attachment '%s' does not exist", id)
}

// modifyInterface changes one attribute.
func modifyInterface(w *World, p *params) (answer, error) {
	id := p.text("NetworkInterfaceId")
	changes := map[string]func(*NetworkInterface) error{}
	if p.values.Has("Attachment.AttachmentId") || p.values.Has("Attachment.DeleteOnTermination") {
		attachment := p.text("Attachment.AttachmentId")
		deletes, err := p.flag("Attachment.DeleteOnTermination")
		if err != nil {
			return nil, err
		}
		changes["attachment"] = func(nic *NetworkInterface) error {
			if nic.AttachmentStatus == "" || nic.attachmentID() != attachment {
				return client("InvalidAttachmentID.NotFound", "The attachment '%s' does not exist", attachment)
			}
			nic.DeleteOnTermination = deletes
			return nil
		}
	}
	if p.values.Has("SourceDestCheck.Value") {
		check, err := p.flag("SourceDestCheck.Value")
		if err != nil {
			return nil, err
		}
		changes["sourceDestCheck"] = func(nic *NetworkInterface) error { nic.SourceDestCheck = &check; return nil }
	}
	if groups := p.list("SecurityGroupId"); len(groups) > 0 {
		changes["groupSet"] = func(nic *NetworkInterface) error { nic.SecurityGroups = groups; return nil }
	}
	if p.values.Has("Description.Value") {
		text := p.text("Description.Value")
		changes["description"] = func(nic *NetworkInterface) error { nic.Description = text; return nil }
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	nic, err := w.networkInterface(id)
	if err != nil {
		return nil, err
	}
	if len(changes) != 1 {
		// One attribute a call: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html
		return nil, client("InvalidParameterCombination", "Exactly one attribute can be modified at a time; the request has %d", len(changes))
	}
	for _, change := range changes {
		if err := change(nic); err != nil {
			return nil, err
		}
	}
	return &done{Return: true}, nil
}
