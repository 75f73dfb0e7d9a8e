// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"

	"github.com/underlay-dev/kubectl-underlay/cni"
)

// churnVariable makes the test's program a process that adds and deletes sandboxes at random, all at the same time, until it is killed. It reads the
// list of their cni.Call.
const churnVariable = "UNDERLAY_TEST_CHURN"

// What a churning process says on its standard output, one line each: a verb of the nth sandbox has begun, has ended, or has failed and why.
const (
	verbBegan  = "began %d\n"
	verbEnded  = "ended %d\n"
	verbFailed = "failed %d %q\n"
)

func churn(plugin cni.Plugin, in io.Reader) int {
	var sandboxes []cni.Call
	if err := json.NewDecoder(in).Decode(&sandboxes); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	plugin.Out, plugin.Log = io.Discard, io.Discard
	var group sync.WaitGroup
	for i := range sandboxes {
		group.Go(func() {
			for {
				verb := (*cni.Plugin).Add
				if rand.IntN(2) == 0 {
					verb = (*cni.Plugin).Del
				}
				mine := plugin
				fmt.Printf(verbBegan, i)
				if err := verb(&mine, &sandboxes[i]); err != nil {
					fmt.Printf(verbFailed, i, err.Error())
					continue
				}
				fmt.Printf(verbEnded, i)
			}
		})
	}
	group.Wait()
	return 0
}
