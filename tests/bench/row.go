// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// row is one figure.
type row struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Ours and Peer are medians of the samples, or another percentile where the name says so; Peer, PeerName and Ratio are absent where nothing is
	// compared.
	Ours     float64  `json:"ours"`
	Peer     *float64 `json:"peer"`
	PeerName string   `json:"peerName"`
	// Ratio is Ours by Peer.
	Ratio   *float64 `json:"ratio"`
	Samples samples  `json:"samples"`
}

// samples in the order in which they were taken; of a comparison, those of one index are a pair.
type samples struct {
	Ours []float64 `json:"ours"`
	Peer []float64 `json:"peer,omitempty"`
}

func newRow(name, unit string, ours []float64) row {
	return row{Name: name, Unit: unit, Ours: median(ours), Samples: samples{Ours: ours}}
}

func newComparison(name, unit, peerName string, ours, peer []float64) row {
	return compare(newRow(name, unit, ours), peerName, median(peer), peer)
}

// newPercentiles compares percentiles instead of medians.
func newPercentiles(name, unit, peerName string, percent int, ours, peer []float64) row {
	r := newRow(name, unit, ours)
	r.Ours = percentile(percent, ours)
	return compare(r, peerName, percentile(percent, peer), peer)
}

func compare(r row, peerName string, theirs float64, peer []float64) row {
	ratio := r.Ours / theirs
	r.Peer, r.PeerName, r.Ratio, r.Samples.Peer = &theirs, peerName, &ratio, peer
	return r
}

// median of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile of at least one value, by the nearest rank.
func percentile(percent int, values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)*percent+99)/100-1]
}

func writeRows(path string, rows []row) error {
	raw, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

// readRows reads the rows of all areas in a folder.
func readRows(folder string) ([]row, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []row
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var rows []row
		if err := json.Unmarshal(raw, &rows); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, rows...)
	}
	return all, nil
}
