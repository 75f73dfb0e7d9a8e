// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/underlay-dev/kubectl-underlay/manifests"
)

// TestEveryRuleHasACase takes each rule out of the schemas in turn: then one of the refused objects must be refused for
// fewer reasons. So no rule is without an object that breaks it. Rules about changes have their own test.
func TestEveryRuleHasACase(t *testing.T) {
	networkCases := slices.Concat(networkSelectionCases(), networkAddressCases(), networkPodCases(), networkProvisioningCases(), networkObjectCases())
	for _, kind := range []struct {
		plural string
		base   m
		cases  []ruleCase
	}{
		{"underlaynetworks", network(), networkCases},
		{"underlaypools", pool(), slices.Concat(poolNameCases(), poolAddressCases())},
	} {
		t.Run(kind.plural, func(t *testing.T) {
			whole := schemaOf(t, kind.plural)
			refused := refusals(kind.base, kind.cases, newJudge(t, whole))
			for path, cut := range rulesOf(whole) {
				if !strings.HasPrefix(path, "spec") && !strings.HasPrefix(path, "x-kubernetes-validations") {
					continue // statuses have their own test, metadata is the API server's
				}
				judge := newJudge(t, cut())
				if !slices.ContainsFunc(refused, func(r refusal) bool { return judge(r.object) != r.reasons }) {
					t.Errorf("no object breaks this rule: %s", path)
				}
			}
		})
	}
}

// judge gives the reasons for which an object is refused, a line each.
type judge func(*unstructured.Unstructured) string

type refusal struct {
	object  *unstructured.Unstructured
	reasons string
}

func refusals(base m, cases []ruleCase, judge judge) []refusal {
	var refused []refusal
	for _, c := range cases {
		o := object(base, c.object)
		if reasons := judge(o); reasons != "" {
			refused = append(refused, refusal{o, reasons})
		}
	}
	return refused
}

func schemaOf(t *testing.T, plural string) map[string]any {
	t.Helper()
	crd, err := manifests.CRD(plural)
	if err != nil {
		t.Fatal(err)
	}
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if err != nil || len(versions) != 1 {
		t.Fatalf("%d versions: %v", len(versions), err)
	}
	version, _ := versions[0].(map[string]any)
	whole, _, err := unstructured.NestedMap(version, "schema", "openAPIV3Schema")
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// rulesOf gives each rule of a schema by its path, with a function that makes the schema without it.
func rulesOf(schema map[string]any) map[string]func() map[string]any {
	rules := map[string]func() map[string]any{}
	for key, v := range schema {
		switch v := v.(type) {
		case []any:
			if key != "required" && key != "x-kubernetes-validations" {
				break
			}
			for i, one := range v {
				name := fmt.Sprintf("%s[%v]", key, one)
				if rule, ok := one.(map[string]any); ok {
					name = fmt.Sprintf("%s[%s]", key, rule["rule"])
				}
				if !strings.Contains(name, "oldSelf") {
					rules[name] = func() map[string]any { return with(schema, key, slices.Delete(slices.Clone(v), i, i+1)) }
				}
			}
		case map[string]any:
			addRulesBelow(rules, schema, key, v)
		}
		if slices.Contains(keywords(), key) && v != "atomic" {
			rules[key] = func() map[string]any { return with(schema, key, nil) }
		}
	}
	return rules
}

func keywords() []string {
	return []string{
		"enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
		"x-kubernetes-list-type",
	}
}

func addRulesBelow(rules map[string]func() map[string]any, schema map[string]any, key string, below map[string]any) {
	add := func(prefix string, part map[string]any, rebuild func(map[string]any) map[string]any) {
		for path, cut := range rulesOf(part) {
			sep := "."
			if strings.HasPrefix(path, "[]") {
				sep = ""
			}
			rules[prefix+sep+path] = func() map[string]any { return rebuild(cut()) }
		}
	}
	switch key {
	case "items":
		add("[]", below, func(changed map[string]any) map[string]any { return with(schema, key, changed) })
	case "properties":
		for name, field := range below {
			if field, ok := field.(map[string]any); ok {
				add(name, field, func(changed map[string]any) map[string]any { return with(schema, key, with(below, name, changed)) })
			}
		}
	}
}

func with(schema map[string]any, key string, v any) map[string]any {
	out := maps.Clone(schema)
	delete(out, key)
	if v != nil {
		out[key] = v
	}
	return out
}

// newJudge judges by a schema and the CEL in it: what an API server asks of an object beside its metadata.
func newJudge(t *testing.T, fields map[string]any) judge {
	t.Helper()
	raw, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	var v1 apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal(raw, &v1); err != nil {
		t.Fatal(err)
	}
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&v1, &props, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(&props)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		t.Fatal(err)
	}
	rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	return func(o *unstructured.Unstructured) string {
		o = o.DeepCopy()
		defaulting.PruneNonNullableNullsWithoutDefaults(o.Object, structural)
		defaulting.Default(o.Object, structural)
		errs := validation.ValidateCustomResource(nil, o.Object, validator)
		errs = append(errs, listtype.ValidateListSetsAndMaps(nil, structural, o.Object)...)
		fromCEL, _ := rules.Validate(context.Background(), nil, structural, o.Object, nil, celconfig.RuntimeCELCostBudget)
		var lines []string
		for _, e := range append(errs, fromCEL...) {
			lines = append(lines, e.Error())
		}
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
}
