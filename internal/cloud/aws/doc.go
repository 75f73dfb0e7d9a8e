// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package aws observes EC2 through the AWS SDK, with the SDK's default chain of credentials.
//
// Only the commands' mains and tests import it; everything else knows a cloud by the interface in package cloud.
//
// Invariants: it never writes; it describes by filter and page, never by a list of ids, since one missing id would
// fail the whole call; a page of 1,000 nodes with providerIDs costs one call to find their VPC, and after that calls
// grow with the pages of what the VPC holds. Each node is probed at most once, 190 to a call. Attempts keep to half of
// AWS's token buckets. What surrounds the nodes is read when asked for, and one subnet a call for its reservations; a
// list that may not be read is named, and fails nothing. Every error it returns
// is a *cloud.Error, without secrets.
package aws
