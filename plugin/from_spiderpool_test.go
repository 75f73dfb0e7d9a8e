// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
)

const (
	spiderpool     = "../docs/examples/spiderpool.yaml"
	fromSpiderpool = "init --no-operator --from spiderpool --from-file " + spiderpool + " --inventory " + walkthrough
)

// TestFromSpiderpool draws the report, and prints what takes the place of the example's objects.
func TestFromSpiderpool(t *testing.T) {
	golden(t, "from-spiderpool-export", withoutCRDs(must(t, 0, fromSpiderpool+" --export").stdout))
	golden(t, "from-spiderpool-report-json", must(t, 0, fromSpiderpool+" --report json").stdout)
	golden(t, "from-spiderpool-report-yaml", must(t, 0, fromSpiderpool+" --report yaml").stdout)
	for _, columns := range []string{"80", "140"} {
		for _, color := range []string{"never", "always"} {
			s := shell{columns: columns}
			r := s.run(t.Context(), append(strings.Fields(fromSpiderpool), "--export", "--color="+color)...)
			golden(t, "from-spiderpool-"+columns+"-"+color, r.stderr)
		}
	}
}

// TestFromExport: what init exports for Spiderpool comes back as what init exports, by file, folder and standard input.
func TestFromExport(t *testing.T) {
	for _, inventory := range []string{walkthrough, twoNetworks, ipv6Only} {
		want := must(t, 0, "init --no-operator --export --inventory "+inventory).stdout
		for _, format := range []string{"yaml", "json"} {
			objects := must(t, 0, "init --for spiderpool --export -o "+format+" --inventory "+inventory).stdout
			file := write(t, "spiderpool."+format, objects)
			for _, from := range []string{file, filepath.Dir(file), "-"} {
				args := strings.Fields("init --no-operator --export --from spiderpool --inventory " + inventory + " --from-file")
				got := shell{stdin: objects}.run(t.Context(), append(args, from)...)
				if diff := cmp.Diff(want, got.stdout); diff != "" || got.code != 0 {
					t.Errorf("%s from %s: exit code %d, %s\n%s", inventory, from, got.code, diff, got.stderr)
				}
			}
		}
	}
}

// TestFromSpiderpoolManual: without a cloud the pools come along, with MAC addresses from the inventory.
func TestFromSpiderpoolManual(t *testing.T) {
	inventory, err := os.ReadFile(walkthrough)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "manual.yaml", strings.Replace(string(inventory), "provider: AWS", "provider: Manual", 1))
	objects := write(t, "spiderpool.yaml", must(t, 0, "init --for spiderpool --export --inventory "+walkthrough).stdout)
	// The cloud's own prefixes would need gateways; those of Spiderpool's pools are known.
	golden(t, "from-spiderpool-manual", withoutCRDs(must(t, 0, "init --no-operator --export --from spiderpool --from-file "+objects+" --inventory "+file).stdout))
}

// withoutCRDs leaves the documents of an export that differ from cluster to cluster.
func withoutCRDs(text string) string {
	var out []string
	for document := range strings.SplitSeq(text, "---\n") {
		if !strings.Contains(document, "\nkind: CustomResourceDefinition\n") {
			out = append(out, document)
		}
	}
	return strings.Join(out, "---\n")
}

func TestFromSpiderpoolMistakes(t *testing.T) {
	empty := write(t, "empty.yaml", "---\n")
	for _, c := range []struct {
		name, line string
		want       []string
	}{
		{"from", "init --from calico", []string{`--from="calico" is not allowed`}},
		{"file alone", "init --from-file x", []string{"--from-file goes with --from spiderpool"}},
		{"report alone", "init --report json", []string{"--report goes with --from spiderpool"}},
		{"for", "init --from spiderpool --for spiderpool --export --inventory " + walkthrough, []string{"exclude each other"}},
		{"default", "init --from spiderpool --default=yes", []string{"not for those of --from spiderpool", "kubectl patch underlaynetwork"}},
		{"no file", "init --from spiderpool --from-file nowhere --export --inventory " + walkthrough, []string{"nowhere", "no such file"}},
		{"empty folder", "init --from spiderpool --from-file " + t.TempDir() + " --export --inventory " + walkthrough, []string{"no yaml or json file"}},
		{"nothing", "init --from spiderpool --from-file " + empty + " --export --inventory " + walkthrough, []string{"no SpiderIPPool and no SpiderMultusConfig"}},
		{"not yaml", "init --from spiderpool --from-file " + write(t, "x.yaml", "a: [") + " --export --inventory " + walkthrough, []string{"x.yaml: document 1"}},
		{"broken", "init --from spiderpool --from-file " + write(t, "b.yaml",
			"apiVersion: spiderpool.spidernet.io/v2beta1\nkind: SpiderIPPool\nmetadata: {name: p}\nspec: {subnet: x}\n") + " --export --inventory " + walkthrough,
			[]string{"SpiderIPPool p: spec.subnet", `"x" is not a CIDR`}},
		{"nothing of it", "init --from spiderpool --from-file " + write(t, "n.yaml",
			"apiVersion: spiderpool.spidernet.io/v2beta1\nkind: SpiderMultusConfig\nmetadata: {name: p, namespace: d}\nspec: {cniType: ovs}\n") + " --export --inventory " + walkthrough,
			[]string{"nothing could be taken over", "ovs has no counterpart"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := must(t, 2, c.line)
			contains(t, r.stderr, c.want...)
			if r.stdout != "" {
				t.Errorf("printed all the same: %s", r.stdout)
			}
		})
	}
}

// TestFromSpiderpoolInCluster takes over what an API server with Spiderpool's own definitions holds: addresses that pods
// hold are left out, and come in with the next run when they are free.
func TestFromSpiderpoolInCluster(t *testing.T) {
	s := newStage(t)
	for _, crd := range controlplane.SpiderpoolCRDs() {
		s.kubectl(t, string(crd), "apply", "--server-side", "-f", "-")
	}
	s.kubectl(t, "", "wait", "--for=condition=Established", "crd", "--all")
	contains(t, must(t, 2, "init --no-operator --from spiderpool --export").stderr, "there is no SpiderIPPool")
	s.kubectl(t, must(t, 0, "init --for spiderpool --export --inventory "+walkthrough).stdout, "apply", "--server-side", "-f", "-")
	gvk := schema.GroupVersionKind{Group: "spiderpool.spidernet.io", Version: "v2beta1", Kind: "SpiderIPPool"}
	setHeld := func(text string) {
		for _, pool := range s.list(t, gvk) {
			if pool.GetName() != "worker1-v4" {
				continue
			}
			if err := unstructured.SetNestedField(pool.Object, text, "status", "allocatedIPs"); err != nil {
				t.Fatal(err)
			}
			if err := s.client.Status().Update(t.Context(), &pool); err != nil {
				t.Fatal(err)
			}
		}
	}
	setHeld(`{"172.31.32.177":{"interface":"eth0","pod":"default/web","podUid":"1"}}`)
	first := must(t, 0, initYes+" --from spiderpool")
	contains(t, first.stderr, "1 address held by Spiderpool's pods: excluded", "network ens5")
	contains(t, must(t, 0, "pools ens5.0.v4.worker1 -o yaml").stdout, "exclude:\n  - 172.31.32.177\n")
	setHeld("{}")
	must(t, 0, initYes+" --from spiderpool")
	if text := must(t, 0, "pools ens5.0.v4.worker1 -o yaml").stdout; strings.Contains(text, "exclude") {
		t.Errorf("still excluded:\n%s", text)
	}
	for _, crd := range []string{"spiderippools", "spidermultusconfigs", "spidercoordinators"} {
		s.kubectl(t, "", "delete", "crd", crd+".spiderpool.spidernet.io")
	}
}
