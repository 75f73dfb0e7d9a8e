// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command cniprobe measures CNI plugins, ours and others in turn, in the machine in which it runs. "go run ./tests/bench cni" runs it in a virtual one:
// it makes links, namespaces and files where nodes have them. It prints a line of JSON for each series.
//
// All state is on a tmpfs, that of the peers too: on no side is there a cache that lies. The plugins run as processes, as a runtime runs them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

// series is what one name was measured with; samples of one index are a pair.
type series struct {
	Name string    `json:"name"`
	Ours []float64 `json:"ours"`
	Peer []float64 `json:"peer"`
}

func main() {
	programs := flag.String("programs", "", "`folder` with underlay and the peers' programs")
	pairs := flag.Int("pairs", 30, "`number` of pairs of each series")
	flag.Parse()
	if err := run(context.Background(), *programs, *pairs); err != nil {
		fmt.Fprintln(os.Stderr, "cniprobe:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, programs string, pairs int) error {
	b, err := newBench(programs)
	if err != nil {
		return err
	}
	for _, measure := range []func(ctx context.Context, pairs int) error{b.start, b.addDel, b.floor, b.parallel, b.addresses, b.growth} {
		if err := measure(ctx, pairs); err != nil {
			return err
		}
	}
	return nil
}

func (s series) print() error { return json.NewEncoder(os.Stdout).Encode(s) }

// alternate calls ours and peer in turn, with the index of the pair; who begins alternates too. A first pair, of index -1, is not counted.
func alternate(name string, pairs int, ours, peer func(pair int) (float64, error)) (series, error) {
	s := series{Name: name}
	for pair := -1; pair < pairs; pair++ {
		sides := []struct {
			call func(int) (float64, error)
			into *[]float64
		}{{ours, &s.Ours}, {peer, &s.Peer}}
		if pair%2 == 0 {
			sides[0], sides[1] = sides[1], sides[0]
		}
		for _, side := range sides {
			figure, err := side.call(pair)
			if err != nil {
				return s, fmt.Errorf("%s: %w", name, err)
			}
			if pair >= 0 {
				*side.into = append(*side.into, figure)
			}
		}
	}
	return s, nil
}
