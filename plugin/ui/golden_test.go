// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

func update() bool { return flag.Lookup("update").Value.String() == "true" }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	flag.Parse()
	os.Exit(m.Run())
}

// views are drawn in every look.
func views() map[string]func(*Screen) {
	return map[string]func(*Screen){
		"pools-planned":    func(s *Screen) { s.Pools(walkthroughPools(), PoolOptions{Link: walkthroughLink}) },
		"pools-observed":   func(s *Screen) { s.Pools(observedPools(), PoolOptions{Link: walkthroughLink}) },
		"pools-wide":       func(s *Screen) { s.Pools(observedPools(), PoolOptions{Link: walkthroughLink, Wide: true}) },
		"pools-fleet":      func(s *Screen) { s.Pools(fleetPools(), PoolOptions{}) },
		"pools-fleet-wide": func(s *Screen) { s.Pools(fleetPools(), PoolOptions{Wide: true}) },
		"pools-none":       func(s *Screen) { s.Pools(nil, PoolOptions{}) },
		"inventory":        func(s *Screen) { s.Inventory(walkthroughInventory()) },
		"inventory-fleet":  func(s *Screen) { s.Inventory(fleetInventory()) },
		"findings":         func(s *Screen) { s.Findings(fleetFindings()) },
		"findings-none":    func(s *Screen) { s.Findings(nil) },
		"changes":          func(s *Screen) { s.Changes(walkthroughChanges(), ChangeOptions{}) },
		"changes-none":     func(s *Screen) { s.Changes(walkthroughChanges()[4:5], ChangeOptions{}) },
		"changes-many":     func(s *Screen) { s.Changes(manyChanges(500), ChangeOptions{Hint: "--verbose lists each object."}) },
		"changes-many-all": func(s *Screen) { s.Changes(manyChanges(50), ChangeOptions{All: true}) },
		"changes-derived": func(s *Screen) {
			s.Changes(walkthroughChanges(), ChangeOptions{Title: "From that, the operator makes:"})
		},
		"checks":      drawChecks,
		"status":      func(s *Screen) { s.Status(fleetStatus()) },
		"status-well": func(s *Screen) { s.Status(wellStatus()) },
		"status-none": func(s *Screen) { s.Status(Status{}) },
		"init":        drawInit,
		"hostile":     drawHostile,
	}
}

func drawChecks(s *Screen) {
	s.Checks([]CheckRow{
		{ID: "interface-owned-by-other-ipam", Severity: plan.Warning, Title: "Interfaces that another IPAM manages carry no pods"},
		{ID: "kernel-too-old", Severity: plan.Error, Title: "Each node's kernel has ipvlan"},
		{ID: "prefix-not-on-interface", Severity: plan.Error, Title: "Each pool's ranges are bound to its interface"},
		{ID: "provider-id-missing", Severity: plan.Info, Title: "Each node names its instance"},
	})
}

func drawInit(s *Screen) {
	st := s.Step("Observe nodes and interfaces")
	st.Update("page 2")
	st.Done("2 nodes, 2 interfaces")
	s.Step("Apply").Fail(errors.New("pools: 2 of 4 written\nthen: connection refused"))
	s.Note("Nothing was written to the cloud.")
	s.Say("error: ec2:DescribeNetworkInterfaces: no answer from http://127.0.0.1:1: connection refused; check the network, and AWS_ENDPOINT_URL_EC2 and AWS_ENDPOINT_URL\n" +
		"then: the second error of those that are joined")
	s.Next(
		Command{"kubectl underlay pools -w", "watch addresses being used"},
		Command{"kubectl annotate deployment/web v1.multus-cni.io/default-network=kube-system/ipvlan-ens5", "put pods on the network"},
	)
}

func drawHostile(s *Screen) {
	const evil = "a\x1b[31mb\nc\t\u202ed\u009be\xff盛é"
	p := pool(evil, evil, 0, "IPv4", evil, evil, evil)
	p.Name = evil
	s.Pools(append(walkthroughPools(), p), PoolOptions{Wide: true, Link: func(string, string) string { return evil }})
	s.Say(evil)
	s.Findings([]plan.Finding{{ID: evil, Severity: plan.Severity(evil), Object: evil, Message: evil + " " + evil, Remedy: evil}})
	s.Status(Status{Operator: &Workload{Leader: evil, Image: evil}, Networks: []NetworkStatus{{Name: evil, Ready: evil, Usage: []FamilyUse{{Family: evil, Pools: 1}}}}})
	s.Changes([]plan.Change{{Action: plan.Update, Kind: evil, Name: evil, Fields: []plan.FieldChange{{Path: evil, Old: evil, New: evil + evil}}}}, ChangeOptions{})
}

type look struct {
	name string
	opts Options
	env  map[string]string
}

func looks() []look {
	utf8 := map[string]string{"LANG": "C.UTF-8", "TERM": "xterm"}
	return []look{
		{"80", Options{Width: 80}, utf8},
		{"80-color", Options{Width: 80, Color: ColorAlways}, utf8},
		{"140", Options{Width: 140}, utf8},
		{"140-color", Options{Width: 140, Color: ColorAlways}, utf8},
		{"unlimited", Options{}, utf8},
		{"unlimited-color", Options{Color: ColorAlways}, utf8},
		{"80-ascii", Options{Width: 80}, map[string]string{"LANG": "C", "TERM": "xterm"}},
	}
}

func TestGolden(t *testing.T) {
	for view, draw := range views() {
		for _, look := range looks() {
			t.Run(view+"/"+look.name, func(t *testing.T) {
				var out bytes.Buffer
				look.opts.Getenv = func(name string) string { return look.env[name] }
				s := NewScreen(&out, look.opts)
				draw(s)
				if err := s.Err(); err != nil {
					t.Fatal(err)
				}
				compare(t, filepath.Join("testdata", view+"."+look.name+".golden"), out.String())
			})
		}
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if update() {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run go test ./plugin/ui -update", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-want +got); if it is better now, run go test ./plugin/ui -update:\n%s", file, diff)
	}
}
