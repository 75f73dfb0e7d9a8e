// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

func ids() []string {
	var out []string
	for _, c := range All() {
		out = append(out, c.ID)
	}
	return out
}

func TestAllIsSortedAndComplete(t *testing.T) {
	if !slices.IsSorted(ids()) || len(slices.Compact(ids())) != len(All()) {
		t.Errorf("ids are not sorted, or not unique: %v", ids())
	}
	for _, c := range All() {
		if c.Title == "" || c.Run == nil || !slices.Contains([]plan.Severity{plan.Error, plan.Warning, plan.Info}, c.Severity) {
			t.Errorf("check %s is incomplete: %+v", c.ID, c)
		}
	}
}

// TestEveryIDInTheCodeIsListed reads the constants of plan and check whose names begin with ID.
func TestEveryIDInTheCodeIsListed(t *testing.T) {
	var found []string
	for _, dir := range []string{".", "../plan"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, constants(t, file)...)
		}
	}
	slices.Sort(found)
	if d := cmp.Diff(found, ids()); d != "" {
		t.Errorf("in the code, and in All: %s", d)
	}
}

func constants(t *testing.T, file *ast.File) []string {
	t.Helper()
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if !strings.HasPrefix(strings.ToLower(name.Name), "id") || i >= len(spec.Values) {
				continue
			}
			if literal, ok := spec.Values[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				value, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, value)
			}
		}
		return true
	})
	return out
}

func TestEveryCheckHasASection(t *testing.T) {
	raw, err := os.ReadFile("../../docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(raw), "\n## ")[1:]
	var headings []string
	for _, section := range sections {
		heading, text, _ := strings.Cut(section, "\n")
		headings = append(headings, heading)
		for _, part := range []string{"**Why it matters.** ", "**What to do.** "} {
			if strings.Count(text, part) != 1 {
				t.Errorf("section %s needs one paragraph %q", heading, part)
			}
		}
		for _, c := range All() {
			if c.ID == heading && !strings.HasPrefix(strings.TrimSpace(text), "*"+string(c.Severity)) {
				t.Errorf("section %s should begin with its severity, %s", heading, c.Severity)
			}
		}
	}
	if d := cmp.Diff(ids(), headings); d != "" {
		t.Errorf("ids and sections: %s", d)
	}
}

func TestRun(t *testing.T) {
	in := Inputs{PlanFindings: []plan.Finding{
		{ID: plan.IDTooManyRanges, Severity: plan.Warning, Object: "b"},
		{ID: plan.IDUnknownSubnet, Severity: plan.Error, Object: "c"},
		{ID: plan.IDTooManyRanges, Severity: plan.Warning, Object: "a"},
		{ID: plan.IDTooManyRanges, Severity: plan.Warning, Object: "a"},
	}, Cluster: &Cluster{ServerVersion: "v1.31.4", MultusCRD: true}}
	var got []string
	for _, f := range Run(in, nil) {
		got = append(got, f.ID+" "+f.Object)
	}
	if d := cmp.Diff([]string{"kubernetes-too-old cluster", "unknown-subnet c", "too-many-ranges a", "too-many-ranges b"}, got); d != "" {
		t.Error(d)
	}
	if got := Run(in, []string{plan.IDTooManyRanges, plan.IDUnknownSubnet, "kubernetes-too-old"}); len(got) > 0 {
		t.Errorf("skipped checks said %+v", got)
	}
}
