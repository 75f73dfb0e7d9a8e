// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
	"github.com/underlay-dev/kubectl-underlay/tests/scratch"
)

// Options say what a cluster is like. The zero value is the walkthrough's.
type Options struct {
	// Inventory has the nodes, their interfaces and subnets; that of docs/examples/walkthrough.yaml if it has no nodes.
	// Each node needs an internal IP and an interface with device index 0, whose primary address that is.
	Inventory v1alpha1.Inventory
	// ProxyMode is kube-proxy's: nftables if empty, or iptables.
	ProxyMode string
	// MemoryMiB of each node; 1536 if 0. Its file system is in there too.
	MemoryMiB int
	// Disks gives each node a disk for what outlives a reboot, so that it can be restarted: without one, all is in memory.
	Disks bool
	// Progress gets a line per step with the time it took; it may be nil.
	Progress io.Writer
}

// Cluster is a running cluster.
type Cluster struct {
	// Config is an administrator's, for clients in this process; copy it before changing.
	Config *rest.Config
	// Bin is the folder that holds kubectl.
	Bin string
	// EC2 is the cloud. From this machine it is reached at EC2.URL().
	EC2 *ec2sim.Server
	// EC2URL is where nodes and pods reach it.
	EC2URL string
	// Fabric is the VPC. What it binds to the nodes' ENIs follows EC2: do not bind by hand.
	Fabric *fabric.Fabric

	options  Options
	scratch  *scratch.Folder
	programs programs
	wires    *wires
	plane    *plane
	nodes    []*Node
	inbox    *inbox
	closers  []func() error // of everything else, the last first
	progress *steps
}

// Start builds what is missing, which takes minutes once, and starts a cluster. It returns when all nodes have registered;
// they are not Ready, for lack of a CNI. The cluster runs until Close, or until the process ends.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("start a cluster: it makes network namespaces and taps, which needs root")
	}
	c := &Cluster{options: options, progress: newSteps(options.Progress)}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.options.complete(); err != nil {
		return err
	}
	var err error
	if c.programs, err = build(ctx, c.progress.to); err != nil {
		return err
	}
	c.Bin = c.programs.kubernetes
	c.progress.done("programs")
	if c.scratch, err = scratch.New("kubectl-underlay-cluster-"); err != nil {
		return err
	}
	for _, folder := range []string{"logs", "inbox", "files", "disks"} {
		if err := os.Mkdir(c.scratch.Path(folder), 0o755); err != nil {
			return err
		}
	}
	c.inbox = &inbox{host: c.scratch.Path("inbox")}
	if err := c.startCloud(); err != nil {
		return fmt.Errorf("VPC: %w", err)
	}
	c.progress.done("VPC and EC2 simulator")

	// Machines boot while the control plane starts.
	if c.plane, err = newPlane(c); err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var booting sync.WaitGroup
	booting.Go(func() {
		if err := c.bootNodes(ctx); err != nil {
			cancel(err)
		}
	})
	if err := c.plane.start(ctx); err != nil {
		cancel(fmt.Errorf("control plane: %w", err))
	}
	booting.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := c.waitForNodes(ctx); err != nil {
		return err
	}
	c.progress.done("nodes registered")
	return nil
}

// complete fills in what the options leave open.
func (o *Options) complete() error {
	if o.MemoryMiB == 0 {
		o.MemoryMiB = 1536
	}
	switch o.ProxyMode {
	case "":
		o.ProxyMode = "nftables"
	case "nftables", "iptables":
	default:
		return fmt.Errorf("kube-proxy has no mode %q here: choose nftables or iptables", o.ProxyMode)
	}
	if len(o.Inventory.Nodes) == 0 {
		root, err := pinned.Root()
		if err != nil {
			return err
		}
		if o.Inventory, err = document.OpenInventory(filepath.Join(root, "docs", "examples", "walkthrough.yaml")); err != nil {
			return err
		}
	}
	for _, node := range o.Inventory.Nodes {
		if primary(node) == nil || len(node.InternalIPs) == 0 {
			return fmt.Errorf("node %s of the inventory has no internal IP or no interface with device index 0", node.Name)
		}
	}
	return nil
}

// Inventory is what the cluster was made of.
func (c *Cluster) Inventory() v1alpha1.Inventory { return c.options.Inventory }

// Node returns the node of that name; nil if there is none.
func (c *Cluster) Node(name string) *Node {
	for _, node := range c.nodes {
		if node.Name == name {
			return node
		}
	}
	return nil
}

// Nodes are the cluster's, in the inventory's order.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// StopAPIServer ends the API server; nodes and controllers keep running without it.
func (c *Cluster) StopAPIServer() error { return c.plane.stopAPIServer() }

// StopEtcd ends the API server and etcd, in this order: without etcd the API server would hang for minutes.
func (c *Cluster) StopEtcd() error { return c.plane.stopEtcd() }

// StartAPIServer starts the API server, and etcd if that has been stopped, and waits until it serves.
func (c *Cluster) StartAPIServer(ctx context.Context) error { return c.plane.startAPIServer(ctx) }

// Close ends the cluster and removes all that it made. Collect logs before.
func (c *Cluster) Close() error {
	var errs []error
	for _, node := range c.nodes {
		errs = append(errs, node.close())
	}
	if c.plane != nil {
		errs = append(errs, c.plane.close())
	}
	for len(c.closers) > 0 {
		last := len(c.closers) - 1
		errs = append(errs, c.closers[last]())
		c.closers = c.closers[:last]
	}
	if c.scratch != nil {
		errs = append(errs, c.scratch.Remove())
	}
	return errors.Join(errs...)
}

// onClose has the function called by Close, before those that were given earlier.
func (c *Cluster) onClose(do func() error) { c.closers = append(c.closers, do) }

// address is the router's in the first subnet, at which nodes reach the control plane.
func (c *Cluster) address() netip.Addr {
	return c.options.Inventory.Subnets[0].CIDR.Addr().Next()
}

// primary returns the node's first interface.
func primary(node v1alpha1.Node) *v1alpha1.Interface {
	for i, nic := range node.Interfaces {
		if nic.DeviceIndex == 0 && nic.NetworkCardIndex == 0 {
			return &node.Interfaces[i]
		}
	}
	return nil
}

// steps tells people where the time goes.
type steps struct {
	mu    sync.Mutex
	to    io.Writer
	start time.Time
}

func newSteps(to io.Writer) *steps {
	if to == nil {
		to = io.Discard
	}
	return &steps{to: to, start: time.Now()}
}

// done says that a step is done, and when, counted from the start.
func (s *steps) done(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.to, "%5.1f s  %s\n", time.Since(s.start).Seconds(), what)
}
