// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
)

// runClusterTests runs the tests on a two-node cluster, which are behind the build tag e2e, and adds them to the
// results. Since they take minutes, w hears of each as it ends. Too much goes into them to tell whether anything
// changed: they always run.
func runClusterTests(ctx context.Context, w io.Writer, all *results) error {
	onCluster := &results{strict: all.strict, follow: w}
	cmd := command(ctx, "go", "test", "-json", "-count=1", "-timeout="+testTimeout, "-tags=e2e", "./tests/e2e")
	err := runEvents(ctx, w, onCluster, cmd, io.Discard)
	all.cases = append(all.cases, onCluster.cases...)
	return errors.Join(err, writeJUnit(filepath.Join("build", "e2e", "junit.xml"), onCluster))
}
