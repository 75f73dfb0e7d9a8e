// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/underlay-dev/kubectl-underlay"

// pkg is the part of `go list -json` that the rules look at.
type pkg struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// short is the path inside the module.
func (p pkg) short() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// rule forbids imports to the packages under some folders.
type rule struct {
	name string
	// under are folders of the module; except those are left out.
	under, except []string
	// forbidden are import path prefixes; allowed are exceptions.
	forbidden, allowed []string
	// direct looks at the package's own imports alone, not at what these import.
	direct bool
}

const (
	clientGo          = "k8s.io/client-go"
	controllerRuntime = "sigs.k8s.io/controller-runtime"
	awsSDK            = "github.com/aws/aws-sdk-go-v2"
	netlink           = "github.com/vishvananda/netlink"
	cobra             = "github.com/spf13/cobra"
	lipgloss          = "charm.land/lipgloss"
)

func rules() []rule {
	return []rule{
		{
			name:  "api imports apimachinery only",
			under: []string{"api"}, direct: true,
			forbidden: []string{"k8s.io/", "sigs.k8s.io/", "github.com/", "go.yaml.in/", "charm.land/"},
			allowed:   []string{"k8s.io/apimachinery/"},
		},
		{
			name:      "planning and checking touch neither cluster, cloud nor kernel",
			under:     []string{"internal/plan", "internal/check", "internal/vpc", "internal/iprange"},
			forbidden: []string{clientGo, controllerRuntime, awsSDK, netlink, module + "/internal/kube", module + "/internal/cloud/aws"},
		},
		{
			name:  "planning and checking know neither time nor context",
			under: []string{"internal/plan", "internal/check", "internal/vpc", "internal/iprange"}, direct: true,
			forbidden: []string{"context", "time", "os", "net/http", "math/rand"},
		},
		{
			name:   "only cmd and tests know the cloud's SDK side",
			under:  []string{""},
			except: []string{"cmd", "tests", "internal/cloud/aws"}, direct: true,
			forbidden: []string{module + "/internal/cloud/aws", awsSDK},
		},
		{
			name:      "the plugin knows neither operator, CNI nor kernel",
			under:     []string{"plugin"},
			forbidden: []string{module + "/operator", module + "/cni", netlink, awsSDK},
		},
		{
			name:   "only plugin/ui knows lipgloss",
			under:  []string{""},
			except: []string{"plugin/ui"}, direct: true,
			forbidden: []string{lipgloss},
		},
		{
			name:      "the operator has no command line and no colours",
			under:     []string{"operator"},
			forbidden: []string{cobra, lipgloss},
		},
		{
			name:      "the CNI binary stays small",
			under:     []string{"cni"},
			forbidden: []string{"k8s.io/", "sigs.k8s.io/", awsSDK, cobra, lipgloss},
		},
	}
}

func TestImports(t *testing.T) {
	packages := list(t)
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, p := range packages {
				if !within(p.short(), r.under) || within(p.short(), r.except) {
					continue
				}
				imports := p.Deps
				if r.direct {
					imports = p.Imports
				}
				for _, path := range imports {
					if r.forbids(path) {
						t.Errorf("%s imports %s", p.short(), path)
					}
				}
			}
		})
	}
}

// TestRulesBite makes sure that a rule would notice a breach.
func TestRulesBite(t *testing.T) {
	r := rules()[0]
	if !r.forbids("k8s.io/client-go/rest") || r.forbids("k8s.io/apimachinery/pkg/types") {
		t.Errorf("rule %q does not tell client-go from apimachinery", r.name)
	}
	if within("internal/planner", []string{"internal/plan"}) {
		t.Error("internal/planner counts as inside internal/plan")
	}
}

func (r rule) forbids(path string) bool {
	return under(path, r.forbidden) && !under(path, r.allowed)
}

// under says whether the import path begins with one of the prefixes, at a border of its elements.
func under(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool {
		return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
	})
}

func within(folder string, folders []string) bool {
	return slices.Contains(folders, "") || under(folder, folders)
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	for _, p := range list(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.short())
		}
	}
}

func TestFilesCarryTheLicence(t *testing.T) {
	const header = "// Copyright The kubectl underlay Authors\n// SPDX-License-Identifier: Apache-2.0\n"
	for _, p := range list(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(text, []byte(header)) {
				t.Errorf("%s lacks the licence header", file)
			}
		}
	}
}

// list reads all packages of the module.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports,Deps", "./...")
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}
