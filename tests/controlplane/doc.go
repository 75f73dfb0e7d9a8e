// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package controlplane gives tests and the demo a real control plane: etcd and kube-apiserver, built from the modules
// that binaries/go.mod pins and started on random loopback ports by controller-runtime's envtest. There is neither a
// scheduler nor a controller manager: what only they do (namespaces that empty, owners that cascade) does not happen.
//
// One control plane for all tests of a package, started by the first test that needs it:
//
//	var plane controlplane.Shared
//
//	func TestMain(m *testing.M) { os.Exit(plane.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		cluster := plane.ForTest(t)
//		…
//	}
//
// Invariants: nothing listens beyond loopback; nothing runs after Stop; on Linux nothing outlives the process that
// started it either, however it ends. Data is in a temporary folder that Stop removes; folders left by killed processes
// are removed by the next Start.
package controlplane
