// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// processes starts the plugin as a process on the node: for the library that runtimes start plugins by.
type processes struct {
	version.PluginDecoder
	node *node
}

func (p *processes) FindInPath(plugin string, _ []string) (string, error) { return plugin, nil }

func (p *processes) ExecPlugin(ctx context.Context, _ string, config []byte, environment []string) ([]byte, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = slices.Concat(environment, []string{nodeFileVariable + "=" + p.node.plugin.NodeFile, folderVariable + "=" + p.node.plugin.Folder})
	cmd.Stdin, cmd.Stdout = bytes.NewReader(config), &out
	err := p.node.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out.Bytes())
	}
	return out.Bytes(), nil
}

// TestLibrary calls all verbs by the library that containerd, CRI-O and Multus call them by: it adds to the configuration what no test of ours thinks of.
func TestLibrary(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	n.file.Networks[1].RequestedIPs = nodefile.RequestedIPsAllow
	n.write(t)
	for _, spec := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(spec, func(t *testing.T) {
			runtime := libcni.NewCNIConfigWithCacheDir([]string{"/nonexistent"}, t.TempDir(), &processes{node: n})
			list, err := libcni.ConfListFromBytes(fmt.Appendf(nil,
				`{"cniVersion":%q,"name":"ens6","plugins":[{"type":"underlay","network":"ens6","capabilities":{"ips":true,"bandwidth":true}}]}`, spec))
			must(t, err)
			_, err = runtime.ValidateNetworkList(t.Context(), list)
			must(t, err)
			must(t, runtime.GetStatusNetworkList(t.Context(), list))
			call := func(p *pod, capabilities map[string]any) *libcni.RuntimeConf {
				return &libcni.RuntimeConf{
					ContainerID: p.args.ContainerID, NetNS: p.args.Netns, IfName: "eth0", CapabilityArgs: capabilities,
					Args: [][2]string{{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", "default"}, {"K8S_POD_NAME", "web"}},
				}
			}
			p, ended := n.newPod(t, "ens6"), n.newPod(t, "ens6")
			const wanted = "172.31.28.25"
			its := call(p, map[string]any{"ips": []string{wanted}, "bandwidth": map[string]any{"ingressRate": 1000000, "ingressBurst": 1000000}})
			for _, conf := range []*libcni.RuntimeConf{its, call(ended, nil)} {
				added, err := runtime.AddNetworkList(t.Context(), list, conf)
				must(t, err)
				result, err := types100.NewResultFromResult(added)
				must(t, err)
				if got := result.IPs[0].Address.IP.String(); (got == wanted) != (conf == its) {
					t.Errorf("container %s got %s", conf.ContainerID, got)
				}
			}
			if err := runtime.CheckNetworkList(t.Context(), list, its); (err != nil) != (spec == "0.3.1") { // which knows no CHECK
				t.Error(err)
			}
			ended.vanish(t)
			must(t, runtime.GCNetworkList(t.Context(), list, &libcni.GCArgs{ValidAttachments: []types.GCAttachment{{ContainerID: p.args.ContainerID, IfName: "eth0"}}}))
			n.wantStore(t, 1)
			must(t, runtime.GCNetworkList(t.Context(), list, nil))
			must(t, errors.Join(runtime.DelNetworkList(t.Context(), list, its), runtime.DelNetworkList(t.Context(), list, its)))
			wantLinks(t, p.Namespace)
			n.wantStore(t, 0)
		})
	}
}
