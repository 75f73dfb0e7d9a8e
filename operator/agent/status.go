// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/operator/agent/host"
)

// facts of the running system and program.
type facts struct {
	kernel, bootID, version string
}

// statusOf says what the API server shall know. Its conditions have no times yet.
func statusOf(f facts, o host.Observation, problems []Problem) v1alpha1.UnderlayNodeStatus {
	s := v1alpha1.UnderlayNodeStatus{KernelVersion: f.kernel, BootID: f.bootID, AgentVersion: f.version}
	for _, l := range o.Links {
		s.Links = append(s.Links, v1alpha1.NodeLink{
			Name: l.Name, MACAddress: l.MAC, MTU: int32(l.MTU), Up: l.Up, IPVlan: !l.Port && o.Obstacles[l.MAC] == nil,
		})
	}
	s.Host = hostOf(o)
	for i, u := range o.Pools {
		s.Pools = append(s.Pools, v1alpha1.NodePool{
			Name: u.Pool, ObservedGeneration: o.File.Pools[i].Generation, Allocated: u.Held, Cooling: u.Cooling,
			Drained: nodefile.Ranges(u.Drained).Strings(),
		})
	}
	s.Conditions = []metav1.Condition{readiness(o), followed(problems)}
	if d := o.Default; d.Wanted != "" || d.Installed != "" {
		s.Conditions = append(s.Conditions, defaultNetwork(d))
	}
	if o.File != nil && slices.ContainsFunc(o.File.Networks, func(n nodefile.Network) bool { return n.HostLeg.Enabled }) {
		s.Conditions = append(s.Conditions, hostLegAnswers(o.Answers))
	}
	return s
}

// hostOf is the machine beside its links.
func hostOf(o host.Observation) *v1alpha1.NodeHost {
	h := &v1alpha1.NodeHost{
		MissingModules: o.Facts.MissingModules, KubeProxyMode: o.Facts.KubeProxyMode,
		ForeignCNIConfiguration: o.Facts.ForeignConfiguration, ARPIgnore: int32(o.Facts.ARPIgnore),
	}
	for _, l := range o.Links {
		for _, a := range l.Addresses {
			h.Addresses = append(h.Addresses, a.String())
		}
	}
	slices.Sort(h.Addresses)
	return h
}

// hostLegAnswers says whether NodePorts and host ports reach pods from elsewhere with the client's address.
func hostLegAnswers(err error) metav1.Condition {
	if err == nil {
		return metav1.Condition{Type: v1alpha1.ConditionHostLegAnswers, Status: metav1.ConditionTrue, Reason: "ConnectionTracking",
			Message: "what pods answer in connections that the node has translated is taken back into the node"}
	}
	return metav1.Condition{Type: v1alpha1.ConditionHostLegAnswers, Status: metav1.ConditionFalse, Reason: "NotSupported",
		Message: "NodePorts with externalTrafficPolicy: Local and host ports of pods do not answer clients elsewhere: " + sentence(err)}
}

// readiness says whether pods of the node's pools can be attached.
func readiness(o host.Observation) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	for _, part := range []host.Part{host.PartPrograms, host.PartSettings, host.PartLinks, host.PartNodeFile, host.PartDefault} {
		if err := o.Failed[part]; err != nil {
			c.Reason, c.Message = string(part)+"Failed", sentence(err)
			return c
		}
	}
	if o.Vacant {
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonVacant, "there is no UnderlayNetwork, so nothing of the CNI is on the node"
		return c
	}
	if o.File == nil {
		c.Reason, c.Message = "NoNodeFile", "the node file is not written yet, since the API server has not told about the node, its networks and its pools"
		return c
	}
	for _, p := range o.File.Pools {
		if obstacle := o.Obstacles[p.Interface.MAC]; obstacle != nil {
			c.Reason, c.Message = "InterfaceNotUsable", fmt.Sprintf("pool %s: %v", p.Name, obstacle)
			return c
		}
		for _, l := range o.Links {
			if l.MAC == p.Interface.MAC && l.Port {
				c.Reason, c.Message = "InterfaceNotUsable", fmt.Sprintf("pool %s: interface %s is a port of a bridge or bond: take it out, or choose another interface", p.Name, l.Name)
				return c
			}
		}
	}
	c.Status, c.Reason = metav1.ConditionTrue, "NodeFileWritten"
	c.Message = "the CNI is installed and knows " + plan.Count(len(o.File.Pools), "pool")
	return c
}

// mostProblems that a condition lists. It may have 32,768 characters.
const mostProblems = 32

// followed says whether all networks and pools are followed as they are written.
func followed(problems []Problem) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionFollowed, Status: metav1.ConditionTrue, Reason: "AllFollowed", Message: "networks and pools are followed as they are written"}
	if len(problems) == 0 {
		return c
	}
	c.Status, c.Reason = metav1.ConditionFalse, "Problems"
	var list []string
	for _, p := range problems[:min(len(problems), mostProblems)] {
		list = append(list, p.String())
	}
	if more := len(problems) - mostProblems; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	c.Message = clip(strings.Join(list, "; "))
	return c
}

// defaultNetwork says whether the node's default network is in force.
func defaultNetwork(d host.Default) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionDefaultNetwork, Status: metav1.ConditionTrue, Reason: "Installed",
		Message: fmt.Sprintf("network %s is the node's default: %s", d.Installed, host.ConfigName)}
	if d.Refused == "" {
		return c
	}
	c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Waiting", d.Refused
	if d.Foreign != "" {
		c.Reason = "ForeignConfiguration"
	}
	return c
}

// sentence makes one line of an error's lines.
func sentence(err error) string {
	lines := slices.DeleteFunc(strings.Split(err.Error(), "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	return clip(strings.Join(lines, "; "))
}

// clip keeps a message within what a condition takes.
func clip(text string) string {
	const most = 32768
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-3], "") + "..."
}
