// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// cells of a row: name, unit, ours, peer, ratio, samples, goal, verdict.
func cells(r row) []string {
	peer, ratio, g := "–", "–", goalOf(r.Name)
	if r.Peer != nil {
		peer, ratio = fmt.Sprintf("%.4g (%s)", *r.Peer, r.PeerName), fmt.Sprintf("%.3g", *r.Ratio)
	}
	return []string{r.Name, r.Unit, fmt.Sprintf("%.4g", r.Ours), peer, ratio, fmt.Sprint(len(r.Samples.Ours)), g.String(), g.verdict(r)}
}

func heads() []string {
	return []string{"name", "unit", "ours", "peer", "ratio", "samples", "goal", ""}
}

// printTable prints rows for a terminal.
func printTable(out io.Writer, rows []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(strings.Join(heads(), "\t")))
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(cells(r), "\t"))
	}
	return w.Flush()
}

// markdown is the same for a document, in the order of the goals. Rows that nobody has measured are in it too.
func markdown(rows []row) string {
	list := slices.Clone(rows)
	for _, name := range missing(rows) {
		list = append(list, row{Name: name})
	}
	slices.SortStableFunc(list, func(x, y row) int { return place(x.Name) - place(y.Name) })
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(heads())
	line(slices.Repeat([]string{"---"}, len(heads())))
	for _, r := range list {
		if len(r.Samples.Ours) == 0 {
			line([]string{r.Name, "", "not measured", "", "", "", goalOf(r.Name).String(), ""})
			continue
		}
		line(cells(r))
	}
	return b.String()
}

// The lines of the document between which the figures stand.
const (
	figuresBegin = "<!-- figures: go run ./tests/bench -table -->\n"
	figuresEnd   = "<!-- end of figures -->\n"
)

// fillIn puts the figures of a folder into a document.
func fillIn(document, folder string) error {
	rows, err := readRows(folder)
	if err != nil {
		return err
	}
	conditions, err := os.ReadFile(filepath.Join(folder, conditionsFile))
	if err != nil {
		return fmt.Errorf("there are no figures yet: run `go run ./tests/bench` first: %w", err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), figuresBegin)
	_, after, ends := strings.Cut(rest, figuresEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q", document, figuresBegin, figuresEnd)
	}
	filled := before + figuresBegin + "\n" + markdown(rows) + "\nMeasured with these load averages, of the machine's last minute, before and after:\n\n" + string(conditions) + "\n" + figuresEnd + after
	return os.WriteFile(document, []byte(filled), 0o644)
}
