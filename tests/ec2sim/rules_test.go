// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

// update rewrites the table: go test ./tests/ec2sim -run TestRulesPage -update
var update = flag.Bool("update", false, "rewrite docs/reference/ec2-simulator.md")

// TestEveryRuleIsBroken breaks each rule by the SDK (what the SDK cannot send, by hand), and wants its code.
func TestEveryRuleIsBroken(t *testing.T) {
	cases := breakers()
	for _, rule := range ec2sim.Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			broken, ok := cases[rule.ID]
			if !ok {
				t.Fatal("nothing breaks it")
			}
			delete(cases, rule.ID)
			server, client := start(t, ruled())
			s := scene{t, server, client}
			got, message := code(t, broken(s))
			if got != rule.Code {
				t.Errorf("got %q %q, want %q", got, message, rule.Code)
			}
		})
	}
	for id := range cases {
		t.Errorf("%s is no rule", id)
	}
}

// TestEveryCodeHasARule reads the codes of errors out of the simulator's source.
func TestEveryCodeHasARule(t *testing.T) {
	ruled := map[string]bool{"InternalError": true, "OptInRequired": true} // for faults only
	for _, rule := range ec2sim.Rules() {
		ruled[rule.Code] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, code := range codesOf(n) {
				if !ruled[code] {
					t.Errorf("%s: the code %s is of no rule", name, code)
				}
			}
			return true
		})
	}
}

// codesOf finds codes in client("Code", …), &Error{Code: "Code"} and allExist(…, "Code", …).
func codesOf(n ast.Node) []string {
	var found []ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		name, ok := n.Fun.(*ast.Ident)
		switch {
		case ok && name.Name == "client":
			found = append(found, n.Args[0])
		case ok && name.Name == "allExist":
			found = append(found, n.Args[2])
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
			found = append(found, n.Value)
		}
	}
	var codes []string
	for _, expr := range found {
		if literal, ok := expr.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				codes = append(codes, text)
			}
		}
	}
	return codes
}

// TestRulesPage keeps the table of rules current.
func TestRulesPage(t *testing.T) {
	const path = "../../docs/reference/ec2-simulator.md"
	var b strings.Builder
	b.WriteString("# The EC2 simulator's rules\n\nTests run against a simulator of EC2 (`tests/ec2sim`), which the real AWS SDK talks to. It enforces these rules,\n" +
		"and a test breaks each of them. Generated from the simulator.\n\n| rule | | error | source |\n|---|---|---|---|\n")
	for _, rule := range ec2sim.Rules() {
		code := "–"
		if rule.Code != "" {
			code = "`" + rule.Code + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", rule.ID, rule.Says, code, rule.Source)
	}
	goldenfile.Compare(t, path, b.String(), *update)
	ids := map[string]bool{}
	for _, rule := range ec2sim.Rules() {
		if ids[rule.ID] || !slices.ContainsFunc([]string{"https://docs.aws.amazon.com/", "https://github.com/"}, func(p string) bool { return strings.HasPrefix(rule.Source, p) }) {
			t.Errorf("rule %s is there twice, or has no source: %s", rule.ID, rule.Source)
		}
		ids[rule.ID] = true
	}
}
