// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const (
	// startTimeout is how long etcd and kube-apiserver may each take to become healthy. They take about one and four
	// seconds on an idle machine of two cores; cold builds beside them make it much longer.
	startTimeout = 2 * time.Minute

	// stopTimeout is how long each may take to stop before it is killed.
	stopTimeout = 20 * time.Second

	// advertised is the address that the API server publishes as endpoint of the Service "kubernetes". It must not be a
	// loopback address, and without a choice the server looks for a default route, which a test machine may not have.
	// This one is reserved for documentation (RFC 5737): nobody answers there.
	advertised = "192.0.2.1"
)

// Options say what a control plane has beyond a bare one. The zero value is good.
type Options struct {
	// CRDDirs are folders with CustomResourceDefinitions, CRDs such definitions as YAML. Start returns once they are
	// served. CRDs of this repository are in manifests/crds.
	CRDDirs []string
	CRDs    [][]byte

	// Objects are created in this order, after the definitions.
	Objects []client.Object

	// APIServerArgs are flags for kube-apiserver, as "--name=value"; they replace defaults of the same name.
	APIServerArgs []string

	// Progress gets a line now and then when something takes long, as building the programs does. It may be nil.
	Progress io.Writer
}

// ControlPlane is a running API server with its etcd. The embedded User is an administrator.
type ControlPlane struct {
	User

	// Bin is the folder that holds kubectl of the API server's version.
	Bin string

	env     *envtest.Environment
	files   *files
	once    sync.Once // guards stopping
	stopped chan struct{}
	stopErr error
	// onThread runs on the thread that starts the processes.
	onThread chan func()
}

// Start builds what is missing, starts a control plane and waits until it serves. The context bounds the build and the
// creation of objects; the control plane runs until Stop.
func Start(ctx context.Context, opts Options) (*ControlPlane, error) {
	bin, err := Binaries(ctx, opts.Progress)
	if err != nil {
		return nil, err
	}
	definitions, err := parseCRDs(opts.CRDs)
	if err != nil {
		return nil, err
	}
	files, err := newFiles()
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{Bin: bin, files: files, stopped: make(chan struct{}), onThread: make(chan func())}
	if c.env, err = c.environment(opts); err != nil {
		return nil, errors.Join(err, files.remove())
	}
	c.env.CRDs, c.env.CRDDirectoryPaths, c.env.ErrorIfCRDPathMissing = definitions, opts.CRDDirs, true
	if err := c.start(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	if err := c.populate(ctx, opts.Objects); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// environment describes the processes to envtest. All paths are explicit, so that envtest's own environment variables
// cannot point it at other programs.
func (c *ControlPlane) environment(opts Options) (*envtest.Environment, error) {
	etcd, err := c.files.launcher(filepath.Join(c.Bin, "etcd"))
	if err != nil {
		return nil, err
	}
	apiserver, err := c.files.launcher(filepath.Join(c.Bin, "kube-apiserver"))
	if err != nil {
		return nil, err
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory:    c.Bin,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  stopTimeout,
		CRDInstallOptions:        envtest.CRDInstallOptions{MaxTime: startTimeout, PollInterval: 50 * time.Millisecond},
	}
	env.ControlPlane.KubectlPath = filepath.Join(c.Bin, "kubectl")
	env.ControlPlane.Etcd = &envtest.Etcd{Path: etcd, DataDir: c.files.Path("etcd"), Out: c.files.etcd, Err: c.files.etcd}
	env.ControlPlane.Etcd.Configure().Set("unsafe-no-fsync", "true").Set("log-level", "error")

	server := env.ControlPlane.GetAPIServer()
	server.Path, server.CertDir = apiserver, c.files.Path("apiserver")
	server.Out, server.Err = c.files.apiserver, c.files.apiserver
	server.Configure().Set("advertise-address", advertised)
	for _, arg := range opts.APIServerArgs {
		name, value, ok := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !ok {
			return nil, fmt.Errorf("argument %q for kube-apiserver: write it as --name=value", arg)
		}
		server.Configure().Set(name, value)
	}
	return env, nil
}

// start runs the processes. The thread that starts them is kept until they have been stopped: on Linux they are killed
// when it ends, and a test that locks a thread and gives it up, as those with network namespaces do, would end it early.
func (c *ControlPlane) start() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_, err := c.env.Start()
		started <- err
		for {
			select {
			case <-c.stopped:
				return
			case do := <-c.onThread:
				do()
			}
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start the control plane: %w%s", err, c.files.lastWords())
	}
	c.User = User{Config: c.env.Config, kubeconfig: c.env.KubeConfig}
	return nil
}

// RestartAPIServer stops the API server, calls meanwhile, and starts the server again, at the same address and with the
// same data.
func (c *ControlPlane) RestartAPIServer(meanwhile func()) error {
	done := make(chan error, 1)
	c.onThread <- func() {
		server := c.env.ControlPlane.GetAPIServer()
		if err := server.Stop(); err != nil {
			done <- err
			return
		}
		meanwhile()
		done <- server.Start()
	}
	if err := <-done; err != nil {
		return fmt.Errorf("restart the API server: %w%s", err, c.files.lastWords())
	}
	return nil
}

// Stop ends the control plane and removes its data. Only the first call does anything; all return its result.
func (c *ControlPlane) Stop() error {
	c.once.Do(func() {
		defer close(c.stopped)
		if err := c.env.Stop(); err != nil {
			c.stopErr = fmt.Errorf("stop the control plane: %w%s", err, c.files.lastWords())
		}
		c.stopErr = errors.Join(c.stopErr, c.files.remove())
	})
	return c.stopErr
}

// AddUser returns a new user who is in these groups and, without a role binding, may do almost nothing.
func (c *ControlPlane) AddUser(name string, groups ...string) (User, error) {
	added, err := c.env.AddUser(envtest.User{Name: name, Groups: groups}, rest.CopyConfig(&rest.Config{
		QPS: c.Config.QPS, Burst: c.Config.Burst,
	}))
	if err != nil {
		return User{}, fmt.Errorf("add user %s: %w", name, err)
	}
	kubeconfig, err := added.KubeConfig()
	if err != nil {
		return User{}, fmt.Errorf("add user %s: %w", name, err)
	}
	return User{Config: added.Config(), kubeconfig: kubeconfig}, nil
}

// User is somebody whom the API server knows.
type User struct {
	Config     *rest.Config // for clients in this process; copy before changing
	kubeconfig []byte
}

// Kubeconfig returns a kubeconfig file's content for the user.
func (u User) Kubeconfig() []byte { return append([]byte(nil), u.kubeconfig...) }

// WriteKubeconfig writes a kubeconfig file for the user.
func (u User) WriteKubeconfig(path string) error {
	if err := os.WriteFile(path, u.kubeconfig, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
