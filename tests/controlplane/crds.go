// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import "embed"

// The definitions are copies from other projects; crds/README.md says whose.
//
//go:embed crds/*.yaml
var crds embed.FS

// MultusCRD returns the CustomResourceDefinition of NetworkAttachmentDefinition, which Multus reads.
func MultusCRD() []byte { return crd("k8s.cni.cncf.io_networkattachmentdefinitions.yaml") }

// SpiderpoolCRDs returns Spiderpool's definitions of SpiderIPPool, SpiderMultusConfig and SpiderCoordinator.
func SpiderpoolCRDs() [][]byte {
	return [][]byte{
		crd("spiderpool.spidernet.io_spiderippools.yaml"),
		crd("spiderpool.spidernet.io_spidermultusconfigs.yaml"),
		crd("spiderpool.spidernet.io_spidercoordinators.yaml"),
	}
}

// crd returns an embedded file.
func crd(name string) []byte {
	content, err := crds.ReadFile("crds/" + name)
	if err != nil {
		panic(err) // the file is part of this program
	}
	return content
}
