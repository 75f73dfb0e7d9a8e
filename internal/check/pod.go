// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// trouble is what keeps the first of a component's pods that is not ready.
func (i *Install) trouble(component string) (reason, remedy string) {
	for p := range i.Pods {
		pod := &i.Pods[p]
		if pod.Labels[ComponentLabel] != component {
			continue
		}
		if reason, remedy = podTrouble(pod, component); reason != "" {
			return "pod " + pod.Name + " is " + reason, remedy
		}
	}
	return "", ""
}

// podTrouble says why a pod is not ready, and what to do next; nothing if it is ready.
func podTrouble(pod *corev1.Pod, component string) (reason, remedy string) {
	look := lookAt(component)
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return strings.Join(slices.DeleteFunc([]string{string(pod.Status.Phase), pod.Status.Reason, pod.Status.Message},
			func(s string) bool { return s == "" }), ": "), look
	}
	var ready bool
	for _, c := range pod.Status.Conditions {
		switch {
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			return "Pending: " + cmp.Or(c.Message, c.Reason), look
		case c.Type == corev1.PodReady:
			ready = c.Status == corev1.ConditionTrue
		}
	}
	if ready {
		return "", ""
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if reason, remedy = containerTrouble(pod, c); reason != "" {
			return reason, cmp.Or(remedy, look)
		}
	}
	switch {
	case pod.Spec.NodeName == "":
		return "Pending: no node was chosen for it yet", look
	case pod.Status.Phase == corev1.PodRunning:
		return "running, but not ready", logsOf(pod, false)
	}
	return "starting", look
}

// containerTrouble says what keeps a container from running; what is only under way is no trouble.
func containerTrouble(pod *corev1.Pod, c corev1.ContainerStatus) (reason, remedy string) {
	waiting := c.State.Waiting
	if waiting == nil || waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing" {
		return "", ""
	}
	reason = waiting.Reason
	switch {
	case waiting.Reason == "CrashLoopBackOff":
		if last := c.LastTerminationState.Terminated; last != nil {
			reason += fmt.Sprintf(": it ended with exit code %d", last.ExitCode)
			if last.Message != "" {
				reason += ": " + strings.TrimSpace(last.Message)
			}
		}
		return reason, logsOf(pod, true)
	case strings.Contains(waiting.Reason, "Image"):
		remedy = "check that the node can pull " + c.Image + ", or choose another with `kubectl underlay init --image`"
	}
	if waiting.Message != "" {
		reason += ": " + waiting.Message
	}
	return reason, remedy
}

func lookAt(component string) string {
	return fmt.Sprintf("see `kubectl -n %s describe pods -l %s=%s`", Namespace, ComponentLabel, component)
}

func logsOf(pod *corev1.Pod, previous bool) string {
	line := fmt.Sprintf("see `kubectl -n %s logs %s", Namespace, pod.Name)
	if previous {
		line += " --previous"
	}
	return line + "`"
}
