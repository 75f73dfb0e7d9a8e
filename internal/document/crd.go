// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/manifests"
)

// crdRules are the rules of a custom resource: its schema, and what goes beyond schemas, defaults and CEL.
type crdRules struct {
	schema     *schema
	structural *structuralschema.Structural
	cel        *cel.Validator
}

// readCRDRules takes the rules out of the embedded CRD of a resource. Compiling the CEL in them takes tens of
// milliseconds, so it is done once a file, and only for files that need it.
func readCRDRules(plural string) (*crdRules, error) {
	object, err := manifests.CRD(plural)
	if err != nil {
		return nil, err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &crd); err != nil {
		return nil, fmt.Errorf("embedded CRD %s: %w", plural, err)
	}
	i := slices.IndexFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == v1alpha1.Version && v.Schema != nil
	})
	if i < 0 {
		return nil, fmt.Errorf("embedded CRD %s has no version %s", plural, v1alpha1.Version)
	}
	rules, err := newCRDRules(crd.Spec.Versions[i].Schema.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("embedded CRD %s: %w", plural, err)
	}
	return rules, nil
}

func newCRDRules(props *apiextensionsv1.JSONSchemaProps) (*crdRules, error) {
	raw, err := json.Marshal(props)
	if err != nil {
		return nil, err
	}
	rules := &crdRules{schema: &schema{}}
	if err := json.Unmarshal(raw, rules.schema); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(metadataSchema), rules.schema.Properties["metadata"]); err != nil {
		return nil, fmt.Errorf("schema of metadata: %w", err)
	}
	rules.schema.Required = append(rules.schema.Required, "metadata")
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil); err != nil {
		return nil, err
	}
	if rules.structural, err = structuralschema.NewStructural(&internal); err != nil {
		return nil, err
	}
	rules.cel = cel.NewValidator(rules.structural, true, celconfig.PerCallLimit)
	return rules, nil
}

// check reports all that the rules do not allow in the document.
func (r *crdRules) check(rep *report, doc *value) error {
	before := len(rep.problems)
	newWalker(rep).check(doc, r.schema)
	broken := make([]string, 0, len(rep.problems)-before)
	for _, p := range rep.problems[before:] {
		broken = append(broken, p.Field)
	}
	object, err := r.withDefaults(doc)
	if err != nil {
		return err
	}
	prefix := rep.path()
	errs, _ := r.cel.Validate(context.Background(), nil, r.structural, object, nil, celconfig.RuntimeCELCostBudget)
	for _, e := range errs {
		path := join(prefix, celPath(e))
		// What is broken already makes rules about it, and about what it is part of, fail for no reason of their own.
		if slices.ContainsFunc(broken, func(b string) bool { return within(b, path) || within(path, b) }) {
			continue
		}
		at := doc.find(celPath(e))
		rep.add(at.place, path, "%s", ruleMessage(at, e.Detail))
	}
	return nil
}

// withDefaults gives the object as the API server would see it when it evaluates CEL.
func (r *crdRules) withDefaults(doc *value) (map[string]any, error) {
	var raw bytes.Buffer
	doc.appendJSON(&raw)
	object := map[string]any{}
	if err := utiljson.Unmarshal(raw.Bytes(), &object); err != nil {
		return nil, err
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, r.structural)
	defaulting.Default(object, r.structural)
	return object, nil
}

// celPath is the path of a violated rule; empty for rules of the whole object. Of the metadata, a rule sees the name.
func celPath(e *field.Error) string {
	switch path := strings.TrimPrefix(e.Field, "."); path {
	case "<nil>":
		return ""
	case "metadata":
		return "metadata.name"
	default:
		return path
	}
}

// ruleMessage begins with the value where that makes a sentence.
func ruleMessage(v *value, message string) string {
	if v.kind == text && strings.HasPrefix(message, "must ") {
		return v.String() + " " + message
	}
	return message
}

// within says whether a path is another or lies below it.
func within(path, ancestor string) bool {
	rest, ok := strings.CutPrefix(path, ancestor)
	return ok && (ancestor == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

func join(prefix, path string) string {
	if prefix == "" || path == "" {
		return prefix + path
	}
	return prefix + "." + path
}
