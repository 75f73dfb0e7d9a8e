// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// run starts the plugin with an environment and a configuration; it returns what it printed, and the error if it is one.
func run(t *testing.T, config string, environment ...string) (string, *types.Error) {
	t.Helper()
	folder := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append([]string{nodeFileVariable + "=" + filepath.Join(folder, "node.json"), folderVariable + "=" + filepath.Join(folder, "run")}, environment...)
	cmd.Stdin = strings.NewReader(config)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	failure := &types.Error{}
	if err := json.Unmarshal(out, failure); err != nil {
		t.Fatalf("the plugin failed without a CNI error: %s%s", out, stderr.String())
	}
	return "", failure
}

func TestVersion(t *testing.T) {
	out, failure := run(t, `{"cniVersion":"1.0.0"}`, "CNI_COMMAND=VERSION")
	if failure != nil {
		t.Fatal(failure)
	}
	want := `{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}` + "\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
}

// TestHostileInput gives what no runtime should, and expects an error with a code, and nothing done.
func TestHostileInput(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	regular := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(regular, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	const good = `{"cniVersion":"1.0.0","name":"ens6","type":"underlay","network":"ens6"}`
	for _, c := range []struct {
		name   string
		config string
		set    map[string]string
		code   uint
		word   string
	}{
		{"container id with a path", good, map[string]string{"CNI_CONTAINERID": "../../etc"}, 4, "containerID"},
		{"container id of found addresses", good, map[string]string{"CNI_CONTAINERID": "~netns-1"}, 4, "containerID"},
		{"no container id", good, map[string]string{"CNI_CONTAINERID": ""}, 4, "CNI_CONTAINERID"},
		{"interface with a path", good, map[string]string{"CNI_IFNAME": "../eth0"}, 4, "interface name"},
		{"interface too long", good, map[string]string{"CNI_IFNAME": "abcdefghijklmnop"}, 4, "interface name"},
		{"no namespace", good, map[string]string{"CNI_NETNS": ""}, 4, "CNI_NETNS"},
		{"namespace with a relative path", good, map[string]string{"CNI_NETNS": "proc/1/ns/net"}, 8, "absolute"},
		{"namespace is missing", good, map[string]string{"CNI_NETNS": "/nonexistent"}, 8, "no such file"},
		{"namespace is a FIFO", good, map[string]string{"CNI_NETNS": fifo}, 8, "not a namespace"},
		{"namespace is a file", good, map[string]string{"CNI_NETNS": regular}, 8, "not a namespace"},
		{"namespace is a device", good, map[string]string{"CNI_NETNS": "/dev/zero"}, 8, "not a namespace"},
		{"namespace is of mounts", good, map[string]string{"CNI_NETNS": "/proc/self/ns/mnt"}, 8, "not of the network"},
		{"namespace is the node's", good, map[string]string{"CNI_NETNS": "/proc/self/ns/net"}, 8, "hostNetwork"},
		{"unknown verb", good, map[string]string{"CNI_COMMAND": "FORMAT"}, 4, "FORMAT"},
		{"old version", `{"cniVersion":"0.2.0","name":"ens6","type":"underlay","network":"ens6"}`, nil, 1, "incompatible"},
		{"CHECK in 0.3.1", `{"cniVersion":"0.3.1","name":"ens6","type":"underlay","network":"ens6"}`, map[string]string{"CNI_COMMAND": "CHECK"}, 1, "CHECK"},
		{"GC in 1.0.0", good, map[string]string{"CNI_COMMAND": "GC"}, 1, "GC"},
		{"STATUS in 1.0.0", good, map[string]string{"CNI_COMMAND": "STATUS"}, 1, "STATUS"},
		{"STATUS without node file", strings.Replace(good, "1.0.0", "1.1.0", 1), map[string]string{"CNI_COMMAND": "STATUS"}, 50, "agent"},
		{"CHECK without result", good, map[string]string{"CNI_COMMAND": "CHECK"}, 7, "prevResult"},
		{"network name with a path", `{"cniVersion":"1.0.0","name":"../x","type":"underlay","network":"ens6"}`, nil, 7, "network name"},
		{"a path in the configuration", `{"cniVersion":"1.0.0","name":"ens6","type":"underlay","network":"ens6","nodeFile":"/etc/shadow"}`, nil, 7, `"nodeFile" is unknown`},
		{"not JSON", `{`, nil, 6, ""},
		{"strange pod name", good, map[string]string{"CNI_ARGS": "K8S_POD_NAME=a\x1b[2J"}, 4, "K8S_POD_NAME"},
	} {
		t.Run(c.name, func(t *testing.T) {
			environment := map[string]string{"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/nonexistent", "CNI_IFNAME": "eth0", "CNI_PATH": "/bin"}
			maps.Copy(environment, c.set)
			var list []string
			for key, value := range environment {
				list = append(list, key+"="+value)
			}
			out, failure := run(t, c.config, list...)
			if failure == nil {
				t.Fatalf("it succeeded: %s", out)
			}
			if failure.Code != c.code || !strings.Contains(failure.Msg, c.word) {
				t.Errorf("error %d, %q; want %d and %q", failure.Code, failure.Msg, c.code, c.word)
			}
		})
	}
}
