// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package plainjson reads and writes plain JSON without reflection: a process that lives for milliseconds meets each type for the first time, and
// encoding/json then takes longer than all else that the process computes. It imports the standard library alone.
//
// # Invariants
//
//   - encoding/json has the last word. What is not plain is declined, whether right or wrong: escapes, text beyond ASCII, fractions, keys that appear twice,
//     null for anything but a list, and whatever the caller does not expect. The caller then asks encoding/json, which does it or says what is wrong.
//   - What is not declined is read as encoding/json reads it with DisallowUnknownFields, and written as it writes it, except for spaces.
package plainjson
