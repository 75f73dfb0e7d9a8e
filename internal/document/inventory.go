// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/manifests"
)

// ReadInventory reads an inventory file; name is for messages, "-" being stdin. What is wrong with the file is an
// *Error. MAC addresses come out in lower case.
func ReadInventory(name string, r io.Reader) (v1alpha1.Inventory, error) {
	docs, rep, err := readAll(name, r)
	if err != nil {
		return v1alpha1.Inventory{}, err
	}
	if len(docs) > 1 {
		rep.here(docs[1].place, "is a second document: a file holds one inventory")
	}
	if len(docs) == 0 || !checkHeader(rep, docs[0], v1alpha1.InventoryKind) {
		return v1alpha1.Inventory{}, asError(rep.problems)
	}
	if err := checkInventory(rep, docs[0]); err != nil {
		return v1alpha1.Inventory{}, err
	}
	if err := asError(rep.problems); err != nil {
		return v1alpha1.Inventory{}, err
	}
	var inventory v1alpha1.Inventory
	if err := docs[0].decode(&inventory); err != nil {
		return v1alpha1.Inventory{}, fmt.Errorf("read inventory %s: %w", rep.file, err)
	}
	lowerMACs(&inventory)
	return inventory, nil
}

// OpenInventory reads the inventory file at path.
func OpenInventory(path string) (v1alpha1.Inventory, error) {
	file, err := os.Open(path)
	if err != nil {
		return v1alpha1.Inventory{}, err
	}
	defer file.Close()
	return ReadInventory(path, file)
}

// checkInventory reports what schema and identities do not allow.
func checkInventory(rep *report, doc *value) error {
	var rules schema
	if err := json.Unmarshal(manifests.InventorySchema(), &rules); err != nil {
		return fmt.Errorf("embedded schema of inventories: %w", err)
	}
	newWalker(rep).check(doc, &rules)
	for _, list := range []struct{ key, id string }{
		{"vpcs", "id"}, {"subnets", "id"}, {"instanceTypes", "name"}, {"nodes", "name"},
	} {
		rep.enter(list.key)
		unique(rep, doc.itemsAt(list.key), list.id, func(v *value) string { return v.textAt(list.id) })
		rep.leave()
	}
	rep.enter("nodes")
	for i, node := range doc.itemsAt("nodes") {
		rep.enterItem(i)
		rep.enter("interfaces")
		checkInterfaces(rep, node.itemsAt("interfaces"))
		rep.leave()
		rep.leave()
	}
	rep.leave()
	return nil
}

// checkInterfaces reports interfaces of a node that cannot be told apart.
func checkInterfaces(rep *report, interfaces []*value) {
	unique(rep, interfaces, "id", func(v *value) string { return v.textAt("id") })
	unique(rep, interfaces, "macAddress", func(v *value) string { return strings.ToLower(v.textAt("macAddress")) })
	unique(rep, interfaces, "deviceIndex", func(v *value) string {
		index, ok := v.get("deviceIndex")
		if !ok {
			return ""
		}
		if card, ok := v.get("networkCardIndex"); ok && card.value.text != "0" {
			return index.value.text + " of card " + card.value.text
		}
		return index.value.text
	})
}

func lowerMACs(inventory *v1alpha1.Inventory) {
	for _, node := range inventory.Nodes {
		for i := range node.Interfaces {
			node.Interfaces[i].MACAddress = strings.ToLower(node.Interfaces[i].MACAddress)
		}
	}
}
