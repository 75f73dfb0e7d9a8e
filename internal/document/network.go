// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// metadataSchema is the schema of an object's metadata, which a CRD leaves to the API server: the fields of
// metav1.ObjectMeta.
const metadataSchema = `{
  "type": "object",
  "description": "metadata holds the network's name.",
  "required": ["name"],
  "properties": {
    "name": {"type": "string", "minLength": 1, "description": "name of the network"},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    "finalizers": {"type": "array", "items": {"type": "string"}},
    "ownerReferences": {"type": "array", "items": {"type": "object", "properties": {
      "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "name": {"type": "string"}, "uid": {"type": "string"},
      "controller": {"type": "boolean"}, "blockOwnerDeletion": {"type": "boolean"}
    }}},
    "managedFields": {"type": "array", "items": {"type": "object", "additionalProperties": true}},
    "creationTimestamp": {"type": "string", "format": "date-time"},
    "deletionTimestamp": {"type": "string", "format": "date-time"},
    "deletionGracePeriodSeconds": {"type": "integer"},
    "generateName": {"type": "string"},
    "generation": {"type": "integer"},
    "namespace": {"type": "string"},
    "resourceVersion": {"type": "string"},
    "selfLink": {"type": "string"},
    "uid": {"type": "string"}
  }
}`

// unwritten are the fields of metadata that no user means: those which a server sets, so that a file made by
// `kubectl get -o yaml` has them, and the namespace, which some tools put on everything and a server drops.
func unwritten() []string {
	return []string{
		"namespace", "managedFields", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
		"resourceVersion", "selfLink", "uid",
	}
}

// ReadNetworks reads a file of networks: one or more documents, each an UnderlayNetwork or a List of them; name is for
// messages, "-" being stdin. What is wrong with the file is an *Error. Networks come out as they were written, without
// defaults, in the file's order; what only a server sets (status, resourceVersion and the like) is left out, so that
// the output of `kubectl get -o yaml` can be read.
func ReadNetworks(name string, r io.Reader) ([]v1alpha1.UnderlayNetwork, error) {
	docs, rep, err := readAll(name, r)
	if err != nil {
		return nil, err
	}
	reader := &networkReader{rep: rep, names: map[string]place{}}
	for _, doc := range docs {
		if err := reader.document(doc); err != nil {
			return nil, err
		}
	}
	if len(docs) > 0 && reader.seen == 0 && len(rep.problems) == 0 {
		rep.here(docs[0].place, "holds no %s", networkKind)
	}
	if err := asError(rep.problems); err != nil {
		return nil, err
	}
	return reader.networks, nil
}

// networkReader reads the documents of one file.
type networkReader struct {
	rep *report
	// rules are read when the first network is met.
	rules *crdRules
	// names that networks of this file have.
	names    map[string]place
	seen     int
	networks []v1alpha1.UnderlayNetwork
}

func (n *networkReader) document(doc *value) error {
	if !isList(doc) {
		return n.network(doc)
	}
	items, ok := doc.get("items")
	if !ok || items.value.kind != list {
		n.rep.below(doc.place, "items", "must be a list of %s", networkKind)
		return nil
	}
	n.rep.enter("items")
	defer n.rep.leave()
	for i, item := range items.value.items {
		n.rep.enterItem(i)
		if err := n.network(item); err != nil {
			return err
		}
		n.rep.leave()
	}
	return nil
}

// isList recognises kubectl's List and our own.
func isList(doc *value) bool {
	apiVersion, kind := doc.textAt("apiVersion"), doc.textAt("kind")
	return apiVersion == "v1" && kind == "List" ||
		apiVersion == v1alpha1.GroupVersion().String() && kind == networkListKind
}

func (n *networkReader) network(doc *value) error {
	n.seen++
	if !checkHeader(n.rep, doc, networkKind) {
		return nil
	}
	if n.rules == nil {
		rules, err := readCRDRules("underlaynetworks")
		if err != nil {
			return err
		}
		n.rules = rules
	}
	doc = doc.without("status") // a server ignores it too
	before := len(n.rep.problems)
	if err := n.rules.check(n.rep, doc); err != nil {
		return err
	}
	if err := n.checkMetadata(doc, n.rep.problems[before:]); err != nil {
		return err
	}
	if len(n.rep.problems) > before {
		return nil
	}
	var network v1alpha1.UnderlayNetwork
	if err := asWritten(doc).decode(&network); err != nil {
		return fmt.Errorf("read network on line %d of %s: %w", doc.line, n.rep.file, err)
	}
	n.networks = append(n.networks, network)
	return nil
}

// asWritten leaves out what the user does not mean.
func asWritten(doc *value) *value {
	doc = doc.without()
	for i, f := range doc.fields {
		if f.key == "metadata" {
			doc.fields[i].value = f.value.without(unwritten()...)
		}
	}
	return doc
}

// checkMetadata reports what the API server does not allow in labels, annotations and the like, and names that are
// there twice. Metadata with problems already is left alone.
func (n *networkReader) checkMetadata(doc *value, problems []Problem) error {
	prefix := join(n.rep.path(), "metadata")
	metadata, ok := asWritten(doc).get("metadata")
	if !ok || slices.ContainsFunc(problems, func(p Problem) bool { return within(p.Field, prefix) }) {
		return nil
	}
	var meta metav1.ObjectMeta
	if err := metadata.value.decode(&meta); err != nil {
		return fmt.Errorf("read metadata on line %d of %s: %w", metadata.line, n.rep.file, err)
	}
	for _, e := range validation.ValidateObjectMeta(&meta, false, validation.NameIsDNSSubdomain, field.NewPath("metadata")) {
		n.rep.add(doc.find(e.Field).place, join(n.rep.path(), e.Field), "%s", strings.TrimPrefix(e.ErrorBody(), "Invalid value: "))
	}
	at := doc.find("metadata.name").place
	if first, known := n.names[meta.Name]; known {
		n.rep.add(at, join(prefix, "name"), "%s is here twice, first on line %d", quote(meta.Name), first.line)
		return nil
	}
	n.names[meta.Name] = at
	return nil
}
