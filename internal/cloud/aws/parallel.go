// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// parallel runs a handful of calls at once and waits for all of them. It returns the first failure in the order of the
// calls; when all that failed lacked a permission, one error names all of these, so that they can be granted in one go.
func parallel(calls ...func() error) error {
	errs := attempt(calls)
	var (
		refused *cloud.Error
		actions []string
	)
	for _, err := range errs {
		var e *cloud.Error
		if !errors.As(err, &e) || e.Reason != cloud.Unauthorized {
			return err
		}
		if refused == nil {
			refused = e
		}
		actions = append(actions, strings.Split(e.Action, ", ")...)
	}
	if refused == nil {
		return nil
	}
	all := *refused
	slices.Sort(actions)
	all.Action = strings.Join(slices.Compact(actions), ", ")
	return &all
}

// attempt runs calls at once, and returns the failures in the order of the calls.
func attempt(calls []func() error) []error {
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() { errs[i] = call() })
	}
	wg.Wait()
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}
