// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
)

// Facts of the machine that are not ours to change, and that pods' traffic depends on.
type Facts struct {
	// MissingModules of the kernel, as datapath.MissingModules names them.
	MissingModules []string
	// KubeProxyMode in its own words; empty where none answers.
	KubeProxyMode string
	// ForeignConfiguration is the CNI configuration that runtimes take before ours, Multus's aside; empty if there is none.
	ForeignConfiguration string
	// ARPIgnore is net.ipv4.conf.all.arp_ignore.
	ARPIgnore int
}

// facts that cannot be found out stay empty.
func (h *Host) facts(ctx context.Context) Facts {
	f := Facts{MissingModules: h.missingModules(), KubeProxyMode: kubeProxyMode(ctx)}
	var err error
	if f.ForeignConfiguration, err = h.foreign(); err != nil {
		h.log.Warn("CNI configurations cannot be read", "error", err)
	}
	if text, err := h.read("net/ipv4/conf/all/arp_ignore"); err == nil {
		f.ARPIgnore, _ = strconv.Atoi(text)
	}
	return f
}

// missingModules are looked for once: it takes the kernel some time, and they seldom come later.
func (h *Host) missingModules() []string {
	if !h.tried {
		h.tried = true
		var err error
		if h.missing, err = datapath.MissingModules(); err != nil {
			h.log.Warn("missing modules of the kernel are unknown", "error", err)
		}
	}
	return h.missing
}

// kubeProxyMode asks kube-proxy, where it serves its metrics by default.
func kubeProxyMode(ctx context.Context) string {
	const (
		address  = "http://localhost:10249/proxyMode"
		patience = 300 * time.Millisecond
		longest  = 32
	)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return ""
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: the environment's is for other machines
	response, err := client.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	mode, err := io.ReadAll(io.LimitReader(response.Body, longest))
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return strings.TrimSpace(string(mode))
}
