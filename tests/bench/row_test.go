// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	rows := []row{newRow("plan-5000-nodes", "s", 2, []float64{2.5, 1, 3}), newComparison("plugin-start", "ms", "kubectl", 1.5, []float64{30, 20}, []float64{20, 30})}
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
