// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/binary"
	"hash/fnv"
	"os"
)

// A bbolt file begins with two meta pages, of which each transaction writes one, in turn. Of the last two transactions bbolt takes the newest whose page
// has the right checksum: after a power cut that is right. We never sync, and no killed process leaves a page half-written; so a wrong checksum says that
// the memory or a stranger changed the file, and the older page has not heard of what was handed out last.

// metaOffset is where a page's content begins, metaSum where the meta's checksum stands: FNV-1a of all ahead of it.
const metaOffset, metaSum = 16, 56

// checkMetas says whether both meta pages of the open file are whole.
func (s *Store) checkMetas() error {
	for page := range int64(2) {
		var meta [metaSum + 8]byte
		if _, err := s.file.ReadAt(meta[:], page*int64(os.Getpagesize())+metaOffset); err != nil {
			return damaged("its meta page %d cannot be read: %w", page, err)
		}
		h := fnv.New64a()
		_, _ = h.Write(meta[:metaSum]) // never fails
		if h.Sum64() != binary.NativeEndian.Uint64(meta[metaSum:]) {
			return damaged("the checksum of its meta page %d is wrong", page)
		}
	}
	return nil
}
