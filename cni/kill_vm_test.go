// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// process starts a verb as a process on the node; out gets what it prints.
func (p *pod) process(ctx context.Context, verb string, out io.Writer) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{
		nodeFileVariable + "=" + p.node.plugin.NodeFile, folderVariable + "=" + p.node.plugin.Folder,
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + p.args.ContainerID, "CNI_NETNS=" + p.args.Netns, "CNI_IFNAME=" + p.args.IfName,
		"CNI_ARGS=" + p.args.Args, "CNI_PATH=/nonexistent",
	}
	cmd.Stdin, cmd.Stdout = bytes.NewReader(p.args.StdinData), out
	return cmd, p.node.Do(cmd.Start)
}

// TestProcess runs the verbs as a runtime does.
func TestProcess(t *testing.T) {
	w := newWorld(t)
	p := w.addNode(t, "master", primary("a"), master()).newPod(t, "ens6")
	for _, verb := range []string{"ADD", "DEL", "STATUS", "GC"} {
		start := time.Now()
		cmd, err := p.process(t.Context(), verb, nil)
		must(t, err)
		must(t, cmd.Wait())
		t.Logf("%s took %s", verb, time.Since(start))
	}
	p.args.Netns = p.node.Path()
	for verb, succeeds := range map[string]bool{"ADD": false, "DEL": true} {
		cmd, err := p.process(t.Context(), verb, nil)
		must(t, err)
		if err := cmd.Wait(); (err == nil) != succeeds {
			t.Errorf("%s in the node's own namespace: %v", verb, err)
		}
	}
	wantLinks(t, p.node.Namespace, "ens5", "ens6")
}

// TestKill ends ADDs and DELs, each of them a process, by kill -9 at random moments, eight at a time. At no time has a link an address that the store does
// not hold for it; a last DEL of each leaves nothing.
func TestKill(t *testing.T) {
	const workers, each = 8, 12
	w := newWorld(t)
	card := master()
	card.v4 = "172.31.20.0/24"
	n := w.addNode(t, "master", primary("a"), card)
	longest := map[string]time.Duration{}
	sample := n.newPod(t, "ens6")
	for _, verb := range []string{"ADD", "DEL"} {
		start := time.Now()
		cmd, err := sample.process(t.Context(), verb, nil)
		must(t, err)
		must(t, cmd.Wait())
		longest[verb] = min(time.Since(start), time.Second) * 3 // others run at the same time
	}
	c := &crash{node: n}
	for range workers * each {
		c.pods = append(c.pods, n.newPod(t, "ens6"))
	}
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			mine := c.pods[worker*each : (worker+1)*each]
			for i := 0; c.goOn(kills(200)); i++ {
				verb := []string{"ADD", "DEL"}[i%2]
				if err := c.killOne(t, mine[i/2%each], verb, longest[verb]); err != nil {
					c.fail(err)
				}
				if worker == 0 && i%10 == 0 {
					c.look(t)
				}
			}
		})
	}
	group.Wait()
	c.look(t)
	c.report(t)
	t.Logf("%d processes were killed, an ADD within %s and a DEL within %s, and %d ended before", c.killed, longest["ADD"], longest["DEL"], c.ended)
	for _, p := range c.pods {
		must(t, p.del())
		wantLinks(t, p.Namespace)
	}
	n.wantStore(t, 0)
	wantLinks(t, n.Namespace, "ens5", "ens6")
	must(t, n.addPod(t, "ens6").check(t))
}

// killOne starts a verb and kills it, if it still runs by then.
func (c *crash) killOne(t *testing.T, p *pod, verb string, longest time.Duration) error {
	cmd, err := p.process(t.Context(), verb, nil)
	if err != nil {
		return err
	}
	timer := time.AfterFunc(rand.N(longest), func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err = cmd.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	exit, _ := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		c.ended++
	case exit != nil && exit.Exited():
		return fmt.Errorf("%s of %s failed by itself: %w", verb, p.args.ContainerID, err)
	default:
		c.killed++
		c.interrupted++
	}
	return nil
}
