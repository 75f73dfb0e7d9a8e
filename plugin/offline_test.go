// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const (
	walkthrough = "../docs/examples/walkthrough.yaml"
	twoNetworks = "../docs/examples/two-networks.yaml"
	ipv6Only    = "../docs/examples/ipv6-only.yaml"
	bareMetal   = "../docs/examples/bare-metal.yaml"
)

// TestOffline runs commands that need neither cluster nor cloud.
func TestOffline(t *testing.T) {
	for _, c := range []struct {
		name string
		line string
		code int
	}{
		{"help", "--help", 0},
		{"init-help", "init --help", 0},
		{"status-help", "status --help", 0},
		{"uninstall-help", "uninstall --help", 0},
		{"init-export-operator", "init --default=yes --inventory " + walkthrough + " --export", 0},
		{"init-export-yaml", "init --no-operator --inventory " + walkthrough + " --export", 0},
		{"init-export-spiderpool", "init --no-operator --for spiderpool --inventory " + walkthrough + " --export", 0},
		{"init-export-spiderpool-two-networks", "init --no-operator --for spiderpool --inventory " + twoNetworks + " --export --ipv6-limit 32", 0},
		{"init-export-network", "init --no-operator --inventory " + twoNetworks + " --network ../docs/examples/network.yaml --export", 0},
		{"plan", "plan --inventory " + walkthrough, 1},
		{"plan-no-operator", "plan --no-operator --inventory " + walkthrough, 1},
		{"plan-json", "plan -o json --inventory " + walkthrough, 1},
		{"pools", "pools --inventory " + walkthrough, 0},
		{"pools-wide", "pools -o wide --inventory " + twoNetworks, 0},
		{"pools-json", "pools -o json --inventory " + walkthrough, 0},
		{"pools-one-yaml", "pools ens5.0.v4.master -o yaml --inventory " + walkthrough, 0},
		{"pools-name", "pools -o name --inventory " + twoNetworks, 0},
		{"pools-node", "pools --node node-b --network ens6 --inventory " + twoNetworks, 0},
		{"pools-jsonpath", "pools -o jsonpath={.items[*].spec.ranges} --inventory " + walkthrough, 0},
		{"pools-ipv6-only", "pools --inventory " + ipv6Only, 0},
		{"pools-bare-metal", "pools --inventory " + bareMetal, 0},
		{"pools-generate", "pools generate --inventory " + bareMetal, 0},
		{"pools-generate-json", "pools generate -o json --name eth1 --inventory " + bareMetal, 0},
		{"pools-generate-help", "pools generate --help", 0},
		{"inspect", "inspect --inventory " + walkthrough, 0},
		{"inspect-two-networks", "inspect --inventory " + twoNetworks, 0},
		{"inspect-bare-metal", "inspect --inventory " + bareMetal, 0},
		{"inspect-yaml", "inspect -o yaml --inventory " + walkthrough, 0},
		{"check", "check --inventory " + walkthrough, 0},
		{"check-network", "check --network ../docs/examples/network.yaml --inventory " + walkthrough, 0},
		{"check-json", "check -o json --inventory " + walkthrough, 0},
		{"check-list", "check --list", 0},
		{"version", "version --client", 0},
		{"version-json", "version --client -o json", 0},
		{"completion-kubectl", "completion kubectl", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := must(t, c.code, c.line)
			golden(t, c.name, r.stdout)
		})
	}
}

// TestWidths draws the views as a terminal would.
func TestWidths(t *testing.T) {
	for _, view := range []struct{ name, line string }{
		{"inspect", "inspect --inventory " + twoNetworks},
		{"pools", "pools --inventory " + twoNetworks},
		{"pools-wide", "pools -o wide --inventory " + twoNetworks},
		{"check", "check --inventory testdata/troubled.yaml"},
		{"check-list", "check --list"},
		{"plan", "plan --inventory " + walkthrough},
		{"help", "uninstall --help"},
	} {
		for _, columns := range []string{"80", "140"} {
			for _, color := range []string{"never", "always"} {
				name := fmt.Sprintf("%s-%s-%s", view.name, columns, color)
				t.Run(name, func(t *testing.T) {
					s := shell{columns: columns}
					r := s.run(t.Context(), append(strings.Fields(view.line), "--color="+color)...)
					if r.code > 1 {
						t.Fatalf("exit code %d: %s", r.code, r.stderr)
					}
					golden(t, name, r.stdout)
				})
			}
		}
	}
}

func TestExportIsByteIdentical(t *testing.T) {
	for _, form := range []string{"-o yaml", "-o json", "--for spiderpool -o yaml", "--for spiderpool -o json"} {
		line := "init --no-operator --export --inventory " + twoNetworks + " " + form
		if first, second := must(t, 0, line).stdout, must(t, 0, line).stdout; first != second {
			t.Errorf("%s differs from run to run:\n%s", line, cmp.Diff(first, second))
		}
	}
}

// TestExportFormsAgree reads the objects of yaml and json.
func TestExportFormsAgree(t *testing.T) {
	line := "init --no-operator --export --inventory " + walkthrough
	var list struct {
		Kind  string           `json:"kind"`
		Items []map[string]any `json:"items"`
	}
	if err := json.Unmarshal([]byte(must(t, 0, line+" -o json").stdout), &list); err != nil {
		t.Fatal(err)
	}
	if list.Kind != "List" {
		t.Errorf("-o json is a %s, not a List", list.Kind)
	}
	var documents []map[string]any
	for document := range strings.SplitSeq(must(t, 0, line).stdout, "---\n") {
		if document == "" {
			continue
		}
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		documents = append(documents, object)
	}
	if diff := cmp.Diff(list.Items, documents); diff != "" {
		t.Errorf("json and yaml differ:\n%s", diff)
	}
}

// TestInspectIsAnInventory reads its own output: the round trip loses nothing.
func TestInspectIsAnInventory(t *testing.T) {
	for _, format := range []string{"yaml", "json"} {
		for _, file := range []string{walkthrough, twoNetworks, ipv6Only} {
			first := must(t, 0, "inspect -o "+format+" --inventory "+file).stdout
			again := write(t, "inventory."+format, first)
			if diff := cmp.Diff(first, must(t, 0, "inspect -o "+format+" --inventory "+again).stdout); diff != "" {
				t.Errorf("%s as %s changes when read again:\n%s", file, format, diff)
			}
		}
	}
}

func TestStandardInput(t *testing.T) {
	s := shell{stdin: must(t, 0, "inspect -o yaml --inventory "+walkthrough).stdout}
	got := s.run(t.Context(), "pools", "-o", "name", "--inventory", "-")
	want := must(t, 0, "pools -o name --inventory "+walkthrough)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("reading from standard input differs:\n%s", diff)
	}
}

func TestCheckFindsTrouble(t *testing.T) {
	r := must(t, 1, "check --inventory testdata/troubled.yaml -o json")
	golden(t, "check-troubled-json", r.stdout)
	must(t, 0, "check --inventory testdata/troubled.yaml --fail-on never")
	var findings []struct{ ID, Severity, Object, Message, Remedy string }
	if err := json.Unmarshal([]byte(r.stdout), &findings); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.ID == "" || f.Severity == "" || f.Object == "" || f.Message == "" || f.Remedy == "" {
			t.Errorf("finding lacks something: %+v", f)
		}
		skipped := run(t, "check --inventory testdata/troubled.yaml -o json --skip "+f.ID)
		if strings.Contains(skipped.stdout, `"`+f.ID+`"`) {
			t.Errorf("--skip %s does not skip it", f.ID)
		}
	}
}

// TestBadInput shows exit code and message of whatever users get wrong without a cluster.
func TestBadInput(t *testing.T) {
	for _, c := range []struct {
		name string
		line string
		want []string
	}{
		{"unknown-command", "pool-party", []string{`unknown command "pool-party"`, "--help"}},
		{"near-command", "inspekt", []string{"did you mean inspect?"}},
		{"unknown-flag", "check --fast", []string{"unknown flag: --fast", "`kubectl underlay check --help`"}},
		{"argument", "inspect worker1", []string{`unexpected argument "worker1"`}},
		{"output", "check -o xml --inventory " + walkthrough, []string{`--output="xml" is not allowed`, "json, yaml"}},
		{"pools-output", "pools -o xml --inventory " + walkthrough, []string{`"xml"`, "jsonpath"}},
		{"skip", "check --skip kernal --inventory " + walkthrough, []string{`--skip: no check has the id "kernal"`, "`kubectl underlay check --list` names all"}},
		{"no-value", "init --dry-run", []string{"--dry-run needs a value: none, client (", "or server ("}},
		{"color", "check --list --color=red", []string{`--color="red" is not allowed`}},
		{"watch", "pools -w --inventory " + walkthrough, []string{"--watch needs a cluster"}},
		{"image", "init --no-operator --image example/underlay:v1", []string{"--image is of the operator"}},
		{"default", "plan --default=maybe", []string{`--default="maybe" is not allowed`, "auto, yes, no"}},
		{"default-given", "init --default=yes --network ../docs/examples/network.yaml", []string{"spec.default in the file"}},
		{"watch-and-wait", "status --watch --wait", []string{"use one of them"}},
		{"uninstall-dry-run", "uninstall --dry-run=server", []string{`--dry-run="server" is not allowed`}},
		{"uninstall-timeout", "uninstall --timeout 0s", []string{"use more than 0"}},
		{"status-timeout", "status --wait --timeout=-1s", []string{"use more than 0"}},
		{"no-cluster-status", "status", []string{"no cluster is configured; give --kubeconfig or set KUBECONFIG\n"}},
		{"no-cluster-uninstall", "uninstall", []string{"no cluster is configured; give --kubeconfig or set KUBECONFIG\n"}},
		{"no-cluster-init", "init --dry-run=client --inventory " + walkthrough, []string{"no cluster is configured", "`init --export` prints what it would apply"}},
		{"no-cluster-migration", "init --export --from spiderpool --inventory " + walkthrough, []string{"no cluster is configured", "--from-file FILE"}},
		{"ipv6-limit", "init --no-operator --ipv6-limit 4", []string{"--for spiderpool"}},
		{"no-file", "pools --inventory nowhere.yaml", []string{"nowhere.yaml", "no such file"}},
		{"no-pool", "pools nosuch --inventory " + walkthrough, []string{"no pool nosuch", "pools -o name"}},
		{"no-cluster", "pools", []string{"no cluster is configured", "--kubeconfig", "--inventory FILE"}},
		{"no-cluster-version", "version", []string{"no cluster is configured", "--client"}},
		{"generate-without", "pools generate", []string{"--inventory FILE is needed", "inspect --provider Manual"}},
		{"generate-aws", "pools generate --inventory " + walkthrough, []string{"is of provider AWS", "init --inventory"}},
		{"generate-name", "pools generate --name eth7 --inventory " + bareMetal, []string{"no interface in the inventory has the name eth7", "known are eth1"}},
		{"generate-both", "pools generate --name eth1 --network ../docs/examples/network.yaml --inventory " + bareMetal, []string{"exclude each other"}},
		{"generate-aws-network", "pools generate --network ../docs/examples/network.yaml --inventory " + bareMetal, []string{"provider-mismatch", "no interface in"}},
		{"provider", "inspect --provider Azure", []string{`--provider="Azure" is not allowed`}},
		{"provider-of-file", "inspect --provider Manual --inventory " + bareMetal, []string{"the file says its provider itself"}},
		{"unreachable", "pools --server http://127.0.0.1:1", []string{"http://127.0.0.1:1", "connection refused", "--context"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := must(t, 2, c.line)
			if r.stdout != "" {
				t.Errorf("stdout is not empty: %s", r.stdout)
			}
			contains(t, r.stderr, append(c.want, "error: ")...)
		})
	}
}

// TestBadFiles shows that every problem of a file has its line, its field and what is allowed.
func TestBadFiles(t *testing.T) {
	t.Run("subnet without gateway", func(t *testing.T) {
		text, err := os.ReadFile(bareMetal)
		if err != nil {
			t.Fatal(err)
		}
		file := write(t, "file.yaml", strings.Replace(string(text), "  gateway: 10.20.0.254\n", "", 1))
		r := must(t, 2, "pools generate --inventory "+file)
		contains(t, r.stderr, "subnet-without-gateway", "subnet/storage", "write `gateway:` into the subnet", "nothing was printed")
		if r.stdout != "" {
			t.Errorf("printed all the same: %s", r.stdout)
		}
	})
	for _, c := range []struct {
		name, flag, text string
		want             []string
	}{
		{
			"unknown field", "--inventory",
			"apiVersion: underlay.dev/v1alpha1\nkind: Inventory\nprovider: AWS\nnodes:\n- name: a\n  instanceid: i-1\n",
			[]string{":6:", "nodes[0].instanceid", "instanceID", "allowed"},
		},
		{
			"bad address", "--inventory",
			"apiVersion: underlay.dev/v1alpha1\nkind: Inventory\nprovider: AWS\nnodes:\n- name: a\n  internalIPs: [10.0.0.256]\n",
			[]string{":6:", "nodes[0].internalIPs[0]", "10.0.0.256"},
		},
		{
			"bad range", "--inventory",
			"apiVersion: underlay.dev/v1alpha1\nkind: Inventory\nprovider: Manual\nsubnets: [{id: s}]\nnodes:\n- name: a\n  interfaces:\n" +
				"  - {id: i, macAddress: \"02:00:00:00:00:01\", deviceIndex: 0, subnetID: s, ranges: [10.0.0.9-10.0.0.2]}\n",
			[]string{":8:", "nodes[0].interfaces[0].ranges[0]", "the first address is behind the last"},
		},
		{
			"enum", "--network",
			"apiVersion: underlay.dev/v1alpha1\nkind: UnderlayNetwork\nmetadata: {name: a}\nspec:\n  interfaceSelector: {deviceIndexes: [1]}\n  ipFamilies: [IPv5]\n",
			[]string{":6:", "spec.ipFamilies[0]", "IPv4", "IPv6"},
		},
		{
			"two selectors", "--network",
			"apiVersion: underlay.dev/v1alpha1\nkind: UnderlayNetwork\nmetadata: {name: a}\nspec:\n  interfaceSelector: {deviceIndexes: [1], names: [ens6]}\n",
			[]string{":5:", "spec.interfaceSelector", "exactly one way"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, "file.yaml", c.text)
			line := "init --no-operator --export " + c.flag + " " + file
			if c.flag == "--network" {
				line += " --inventory " + walkthrough
			}
			r := must(t, 2, line)
			contains(t, r.stderr, append(c.want, file)...)
		})
	}
}
