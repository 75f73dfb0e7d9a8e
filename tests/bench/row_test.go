// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   float64
	}{
		{"one", []float64{3}, 3},
		{"odd", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 3, 2}, 2.5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := median(tt.values); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRows(t *testing.T) {
	rows := []row{newRow("plan-5000-nodes", "s", []float64{2.5, 1, 3}), newComparison("plugin-start", "ms", "kubectl", []float64{30, 20}, []float64{20, 30})}
	path := filepath.Join(t.TempDir(), "build", "area.json")
	if err := writeRows(path, rows); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"name": "plan-5000-nodes", "unit": "s", "ours": 2.5, "peer": nil, "peerName": "", "ratio": nil,
			"samples": map[string]any{"ours": []any{2.5, 1.0, 3.0}}},
		{"name": "plugin-start", "unit": "ms", "ours": 25.0, "peer": 25.0, "peerName": "kubectl", "ratio": 1.0,
			"samples": map[string]any{"ours": []any{30.0, 20.0}, "peer": []any{20.0, 30.0}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	var table bytes.Buffer
	if err := printTable(&table, rows); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(table.String(), "\n"); len(lines) != 4 || !strings.Contains(lines[1], "MISSED") || !strings.Contains(lines[2], "ratio ≤ 1.5") ||
		strings.Contains(lines[2], "MISSED") {
		t.Errorf("table:\n%s", table.String())
	}
}

func TestPercentiles(t *testing.T) {
	values := make([]float64, 100)
	for i := range values {
		values[i] = float64(100 - i)
	}
	for percent, want := range map[int]float64{50: 50, 99: 99, 100: 100} {
		if got := percentile(percent, values); got != want {
			t.Errorf("percentile %d: got %v, want %v", percent, got, want)
		}
	}
	if got := percentile(99, values[:20]); got != 100 {
		t.Errorf("of 20 values: got %v, want the most", got)
	}
}

func TestGoals(t *testing.T) {
	ratio := func(name string, figure float64) row {
		return newComparison(name, "ms", "peer", []float64{figure}, []float64{1})
	}
	tests := []struct {
		name       string
		row        row
		goal, want string
	}{
		{"ratio at the goal", ratio("cni-floor", 1.2), "ratio ≤ 1.2", "met"},
		{"ratio above", ratio("cni-floor", 1.21), "ratio ≤ 1.2", "MISSED"},
		{"ratio without a peer", newRow("cni-floor", "ms", []float64{1}), "ratio ≤ 1.2", "MISSED"},
		{"ours at the goal", newRow("agent-memory", "MiB", []float64{40}), "≤ 40", "met"},
		{"ours above", newRow("agent-memory", "MiB", []float64{41}), "≤ 40", "MISSED"},
		{"no goal", ratio("ipam-16", 9), "–", "–"},
		{"unknown", newRow("something", "ms", []float64{1}), "–", "–"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := goalOf(tt.row.Name)
			if g.String() != tt.goal || g.verdict(tt.row) != tt.want {
				t.Errorf("got %s and %s, want %s and %s", g, g.verdict(tt.row), tt.goal, tt.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	var rows []row
	for _, g := range goals() {
		if g.name != "agent-memory" {
			rows = append(rows, row{Name: g.name})
		}
	}
	if got := missing(rows); !slices.Equal(got, []string{"agent-memory"}) {
		t.Errorf("missing are %v", got)
	}
}

// TestMeasureAll: an area that fails takes neither its first rows nor the other areas' with it.
func TestMeasureAll(t *testing.T) {
	folder := t.TempDir()
	fails := func(_ context.Context, _ io.Writer, report report) error {
		return errors.Join(report(newRow("cni-binary-size", "MB", []float64{4.5})), errors.New("no kernel"))
	}
	works := func(context.Context, io.Writer) ([]row, error) {
		return []row{newRow("agent-memory", "MiB", []float64{30})}, nil
	}
	var progress bytes.Buffer
	rows, err := measureAll(t.Context(), &progress, folder, []area{{"cni", fails}, {"agent", atOnce(works)}})
	if err == nil || !strings.Contains(err.Error(), "area cni: no kernel") || len(rows) != 2 {
		t.Errorf("got %v and %v", rows, err)
	}
	if written, err := readRows(folder); err != nil || len(written) != 2 {
		t.Errorf("written are %v and %v", written, err)
	}
	if !strings.Contains(progress.String(), "agent took ") {
		t.Errorf("it does not say how long areas took:\n%s", &progress)
	}
}

func TestFillIn(t *testing.T) {
	folder := t.TempDir()
	document := filepath.Join(folder, "benchmarks.md")
	const before, after = "# Benchmarks\n", "\n## Behind\n"
	if err := os.WriteFile(document, []byte(before+figuresBegin+"old\n"+figuresEnd+after), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fillIn(document, folder); err == nil {
		t.Error("filled in without figures")
	}
	rows := []row{newRow("cni-binary-size", "MB", []float64{4.5}), newComparison("cni-start", "ms", "ipvlan", []float64{1}, []float64{2})}
	if err := writeRows(filepath.Join(folder, "cni.json"), rows); err != nil {
		t.Fatal(err)
	}
	if err := noteConditions(folder, "cni", time.Now(), "0.1"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may be filled in again
		if err := fillIn(document, folder); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		before + figuresBegin, figuresEnd + after, "\n| cni-binary-size | MB | 4.5 | – | – | 1 | ≤ 8 | met |\n",
		"\n| cni-start | ms | 1 | 2 (ipvlan) | 0.5 | 1 | ratio ≤ 1.3 | met |\n", "\n| cni-floor |  | not measured |", "\n- cni: 0.1 and ",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Errorf("the document still has its old figures:\n%s", text)
	}
}
