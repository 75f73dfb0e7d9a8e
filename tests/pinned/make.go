// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package pinned

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Make makes targets of our own Makefile, in the repository's root: what users get, in its folder build. It reports to
// progress, which may be nil, while it lasts; what make said is in the error.
func Make(ctx context.Context, progress io.Writer, targets ...string) error {
	if progress == nil {
		progress = io.Discard
	}
	root, err := Root()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "make", append([]string{"--no-print-directory"}, targets...)...)
	cmd.Dir = root
	name := "make " + strings.Join(targets, " ")
	messages, err := runWithProgress(cmd, func(elapsed time.Duration) { fmt.Fprintf(progress, "%s: %s\n", name, elapsed) })
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, messages)
	}
	return nil
}
