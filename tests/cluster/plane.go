// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

const (
	// serviceCIDRs of both families. The first address of the first is the Service "kubernetes".
	serviceCIDRs = "10.96.0.0/16,fd00:10:96::/112"

	// readyTimeout is how long each part of the control plane may take; etcd and API server take three seconds together
	// on idle cores.
	readyTimeout = 2 * time.Minute

	// stopGrace is how long a part of the control plane may take to end by itself. An API server with watches takes longer, and
	// nothing is lost when it does not.
	stopGrace = 3 * time.Second
)

// plane is the control plane: processes in the router's namespace.
type plane struct {
	in       *netns.Namespace
	bin      string
	files    string // certificates, kubeconfigs and data
	logs     string
	address  netip.Addr // that nodes know
	ca       *authority
	config   *rest.Config // an administrator's
	progress *steps

	etcd, apiServer *process // nil when stopped
	controllers     []*process
}

// newPlane writes what the control plane needs, and opens the way to it from this machine.
func newPlane(c *Cluster) (*plane, error) {
	p := &plane{
		in: c.Fabric.Router(), bin: c.programs.kubernetes, files: c.scratch.Path("files"), logs: c.scratch.Path("logs"),
		address: c.address(), progress: c.progress,
	}
	var err error
	if p.ca, err = newAuthority(); err != nil {
		return nil, err
	}
	local, stop, err := relay(end{netns.Here(), "127.0.0.1:0"}, end{p.in, netip.AddrPortFrom(p.address, apiPort).String()})
	if err != nil {
		return nil, fmt.Errorf("let this machine reach the API server: %w", err)
	}
	c.onClose(stop)
	if err := p.writeFiles("https://" + local.String()); err != nil {
		return nil, err
	}
	if p.config, err = clientcmd.BuildConfigFromFlags("", p.file("admin.conf")); err != nil {
		return nil, err
	}
	p.config.QPS, p.config.Burst = 100, 200
	c.Config = p.config
	return p, nil
}

func (p *plane) file(name string) string { return filepath.Join(p.files, name) }

// nodeURL is where nodes reach the API server.
func (p *plane) nodeURL() string { return fmt.Sprintf("https://%s:%d", p.address, apiPort) }

func (p *plane) writeFiles(adminURL string) error {
	files := map[string][]byte{"ca.crt": p.ca.pem}
	identities := map[string]func() (identity, error){
		"apiserver": func() (identity, error) {
			return p.ca.issue("kube-apiserver", nil, "localhost", "127.0.0.1", p.address.String(), "10.96.0.1", "fd00:10:96::1",
				"kubernetes", "kubernetes.default", "kubernetes.default.svc")
		},
		"kubelet-client": func() (identity, error) { return p.ca.issue("kube-apiserver", []string{"system:masters"}) },
		"accounts":       func() (identity, error) { return p.ca.issue("service-accounts", nil) },
	}
	for name, issue := range identities {
		id, err := issue()
		if err != nil {
			return err
		}
		files[name+".crt"], files[name+".key"] = id.cert, id.key
	}
	users := map[string]struct {
		url, user string
		groups    []string
	}{
		"admin.conf":              {adminURL, "admin", []string{"system:masters"}},
		"controller-manager.conf": {p.nodeURL(), "system:kube-controller-manager", nil},
		"scheduler.conf":          {p.nodeURL(), "system:kube-scheduler", nil},
	}
	for name, u := range users {
		content, err := p.ca.kubeconfig(u.url, u.user, u.groups...)
		if err != nil {
			return err
		}
		files[name] = content
	}
	for name, content := range files {
		if err := os.WriteFile(p.file(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (p *plane) start(ctx context.Context) error {
	if err := p.startAPIServer(ctx); err != nil {
		return err
	}
	p.progress.done("API server ready")
	conf := func(name string) []string {
		path := p.file(name + ".conf")
		return []string{
			"--kubeconfig=" + path, "--authentication-kubeconfig=" + path, "--authorization-kubeconfig=" + path,
			"--leader-elect=false", "--bind-address=127.0.0.1",
		}
	}
	for program, args := range map[string][]string{
		"kube-controller-manager": append(conf("controller-manager"),
			"--use-service-account-credentials=true", "--allocate-node-cidrs=false",
			"--root-ca-file="+p.file("ca.crt"), "--service-account-private-key-file="+p.file("accounts.key")),
		"kube-scheduler": conf("scheduler"),
	} {
		started, err := run(p.in, p.log(program), filepath.Join(p.bin, program), args...)
		if err != nil {
			return err
		}
		p.controllers = append(p.controllers, started)
	}
	return nil
}

func (p *plane) log(program string) string { return filepath.Join(p.logs, program+".log") }

// startAPIServer starts the API server, after etcd, and waits until it serves.
func (p *plane) startAPIServer(ctx context.Context) error {
	const etcd = "http://127.0.0.1:2379" // of the router's namespace, where nobody else listens
	var err error
	if p.etcd == nil {
		p.etcd, err = run(p.in, p.log("etcd"), filepath.Join(p.bin, "etcd"),
			"--data-dir="+p.file("etcd"), "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
			"--listen-peer-urls=http://127.0.0.1:2380", "--unsafe-no-fsync", "--log-level=warn")
		if err != nil {
			return err
		}
	}
	if p.apiServer != nil {
		return nil
	}
	p.apiServer, err = run(p.in, p.log("kube-apiserver"), filepath.Join(p.bin, "kube-apiserver"),
		"--etcd-servers="+etcd, "--advertise-address="+p.address.String(), "--bind-address=0.0.0.0", fmt.Sprintf("--secure-port=%d", apiPort),
		"--tls-cert-file="+p.file("apiserver.crt"), "--tls-private-key-file="+p.file("apiserver.key"), "--client-ca-file="+p.file("ca.crt"),
		"--kubelet-client-certificate="+p.file("kubelet-client.crt"), "--kubelet-client-key="+p.file("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+p.file("accounts.key"), "--service-account-signing-key-file="+p.file("accounts.key"),
		"--service-cluster-ip-range="+serviceCIDRs, "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true")
	if err != nil {
		return err
	}
	return p.waitReady(ctx)
}

// waitReady waits until the API server says that it is ready.
func (p *plane) waitReady(ctx context.Context) error {
	client, err := rest.HTTPClientFor(p.config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %s", readyTimeout))
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.config.Host+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.etcd.exited:
			return p.etcd.died()
		case <-p.apiServer.exited:
			return p.apiServer.died()
		case <-ctx.Done():
			return fmt.Errorf("wait for the API server: %w%s", context.Cause(ctx), tail(p.apiServer.log))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *plane) stopAPIServer() error {
	if p.apiServer == nil {
		return nil
	}
	err := p.apiServer.stop(stopGrace)
	p.apiServer = nil
	return err
}

func (p *plane) stopEtcd() error {
	err := p.stopAPIServer()
	if p.etcd != nil {
		err = errors.Join(err, p.etcd.stop(stopGrace))
		p.etcd = nil
	}
	return err
}

// close ends everything. Nobody shall use it any more, so nothing needs to end well.
func (p *plane) close() error {
	var errs []error
	for _, controller := range p.controllers {
		errs = append(errs, controller.stop(0))
	}
	if p.apiServer != nil {
		errs = append(errs, p.apiServer.stop(0))
		p.apiServer = nil
	}
	return errors.Join(append(errs, p.stopEtcd())...)
}

// Kubeconfig returns a kubeconfig file's content for an administrator on this machine.
func (c *Cluster) Kubeconfig() ([]byte, error) {
	content, err := os.ReadFile(c.plane.file("admin.conf"))
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return content, nil
}

// KubeconfigPath is the path of the same as a file, which lives as long as the cluster.
func (c *Cluster) KubeconfigPath() string { return c.plane.file("admin.conf") }
