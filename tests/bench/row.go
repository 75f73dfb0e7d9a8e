// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

// row is one figure.
type row struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Ours and Peer are medians of the samples; Peer, PeerName and Ratio are absent where nothing is compared.
	Ours     float64  `json:"ours"`
	Peer     *float64 `json:"peer"`
	PeerName string   `json:"peerName"`
	// Ratio is Ours by Peer.
	Ratio   *float64 `json:"ratio"`
	Samples samples  `json:"samples"`

	// goal that the table shows.
	goal goal
}

// samples in the order in which they were taken; of a comparison, those of one index are a pair.
type samples struct {
	Ours []float64 `json:"ours"`
	Peer []float64 `json:"peer,omitempty"`
}

// goal is the most that a figure may be.
type goal struct {
	ratio bool // the limit is on the ratio, else on ours
	most  float64
}

func newRow(name, unit string, most float64, ours []float64) row {
	return row{Name: name, Unit: unit, Ours: median(ours), Samples: samples{Ours: ours}, goal: goal{most: most}}
}

func newComparison(name, unit, peerName string, mostRatio float64, ours, peer []float64) row {
	r := newRow(name, unit, mostRatio, ours)
	theirs := median(peer)
	ratio := r.Ours / theirs
	r.Peer, r.PeerName, r.Ratio, r.Samples.Peer = &theirs, peerName, &ratio, peer
	r.goal.ratio = true
	return r
}

func (r row) met() bool {
	if r.goal.ratio {
		return r.Ratio != nil && *r.Ratio <= r.goal.most
	}
	return r.Ours <= r.goal.most
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

func printTable(out io.Writer, rows []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tOURS\tUNIT\tPEER\tRATIO\tSAMPLES\tGOAL\t")
	for _, r := range rows {
		peer, ratio, what := "-", "-", "ours"
		if r.Peer != nil {
			peer, ratio = fmt.Sprintf("%.4g (%s)", *r.Peer, r.PeerName), fmt.Sprintf("%.2f", *r.Ratio)
		}
		if r.goal.ratio {
			what = "ratio"
		}
		verdict := "met"
		if !r.met() {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "%s\t%.4g\t%s\t%s\t%s\t%d\t%s ≤ %g\t%s\n", r.Name, r.Ours, r.Unit, peer, ratio, len(r.Samples.Ours), what, r.goal.most, verdict)
	}
	return w.Flush()
}
