// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// collectTimeout bounds what is asked of each node and of the API server, which may not answer any more.
const collectTimeout = time.Minute

// CollectLogs writes all that may explain a failure into the folder: the logs of the control plane and of each node, its
// pods' logs, its network as it is now, the API server's objects, and what the VPC dropped.
func (c *Cluster) CollectLogs(ctx context.Context, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("collect logs: %w", err)
	}
	var errs []error
	if err := os.CopyFS(folder, os.DirFS(c.scratch.Path("logs"))); err != nil {
		errs = append(errs, err)
	}
	ctx, cancel := context.WithTimeout(ctx, collectTimeout)
	defer cancel()
	write := func(name, content string) {
		errs = append(errs, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644))
	}
	for _, node := range c.nodes {
		for name, script := range map[string]string{
			"pods.log":    `for log in /var/log/pods/*/*/*.log; do echo "== $log"; cat "$log"; done`,
			"network.txt": `set -x; /usr/bin/ip -d addr; /usr/bin/ip route show table all; /usr/bin/ip rule; /usr/bin/ip neigh; /usr/bin/nft list ruleset; ls -l /etc/cni/net.d /opt/cni/bin; cat /etc/cni/net.d/*`,
			"memory.txt":  `free -m; df -h; ps -o pid,rss,args`,
			"dmesg.txt":   `dmesg`,
		} {
			out, err := node.Shell(ctx, script)
			if err != nil {
				out += fmt.Sprintf("\n%v\n", err)
			}
			write(filepath.Join(node.Name, name), out)
		}
	}
	write("objects.txt", c.describe(ctx))
	drops, err := c.Drops()
	errs = append(errs, err)
	write("drops.txt", drops)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("collect logs: %w", err)
	}
	return nil
}

// describe lists what an administrator would look at first.
func (c *Cluster) describe(ctx context.Context) string {
	var out strings.Builder
	for _, args := range []string{"get nodes,pods,services,endpointslices -A -o wide", "get events -A --sort-by=.lastTimestamp", "describe nodes", "describe pods -A"} {
		fmt.Fprintf(&out, "== kubectl %s\n", args)
		kubectl := exec.CommandContext(ctx, filepath.Join(c.Bin, "kubectl"), append([]string{"--kubeconfig", c.KubeconfigPath()}, strings.Fields(args)...)...)
		kubectl.Stdout, kubectl.Stderr = &out, &out
		if err := kubectl.Run(); err != nil {
			fmt.Fprintln(&out, err)
		}
	}
	return out.String()
}

// Drops says how many frames the VPC has dropped from each node's ENIs, and in all, by reason: a line each.
func (c *Cluster) Drops() (string, error) {
	var out strings.Builder
	list := func(name string, drops map[string]uint64) {
		for _, reason := range slices.Sorted(maps.Keys(drops)) {
			fmt.Fprintf(&out, "%-24s %-20s %d\n", name, reason, drops[reason])
		}
	}
	for _, node := range c.nodes {
		for _, nic := range node.spec.Interfaces {
			drops, err := c.Fabric.DropsOf(nic.ID)
			if err != nil {
				return "", err
			}
			list(node.Name+" "+nic.Name, byName(drops))
		}
	}
	drops, err := c.Fabric.Drops()
	if err != nil {
		return "", err
	}
	list("all", byName(drops))
	return out.String(), nil
}

func byName[R interface {
	comparable
	fmt.Stringer
}](drops map[R]uint64) map[string]uint64 {
	named := map[string]uint64{}
	for reason, count := range drops {
		named[reason.String()] = count
	}
	return named
}
