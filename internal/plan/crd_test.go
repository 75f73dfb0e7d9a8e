// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"math"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/manifests"
)

// judge gives what an API server would object to.
type judge struct {
	structural *schema.Structural
	schema     validation.SchemaValidator
	rules      *cel.Validator
}

func newJudge(t *testing.T, plural string) judge {
	t.Helper()
	object, err := manifests.CRD(plural)
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &crd); err != nil {
		t.Fatal(err)
	}
	var props apiextensions.JSONSchemaProps
	in := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(in, &props, nil); err != nil {
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
	return judge{structural, validator, cel.NewValidator(structural, true, math.MaxInt64)}
}

func (j judge) objections(t *rapid.T, o *unstructured.Unstructured) field.ErrorList {
	content := runtime.DeepCopyJSON(o.Object)
	defaulting.Default(content, j.structural)
	errs := validation.ValidateCustomResource(nil, content, j.schema)
	broken, _ := j.rules.Validate(t.Context(), nil, j.structural, content, nil, math.MaxInt64)
	return append(errs, broken...)
}

func onePool() Plan {
	p, _ := For(Inputs{Inventory: one(), Propose: true})
	return p
}

// TestAnAPIServerTakesThePlan: whatever the inventory, what is planned satisfies the CRDs' schemas and rules.
func TestAnAPIServerTakesThePlan(t *testing.T) {
	judges := map[string]judge{"UnderlayPool": newJudge(t, "underlaypools"), "UnderlayNetwork": newJudge(t, "underlaynetworks")}
	refused := onePool()
	refused.Pools[0].Spec.Ranges = []v1alpha1.Range{"192.0.2.0/28"} // well-formed, but outside the subnet: only a rule objects
	rapid.Check(t, func(t *rapid.T) {
		p, _ := For(broken().Draw(t, "inputs"))
		for _, o := range p.Objects() {
			j, ours := judges[o.GetKind()]
			if !ours {
				continue
			}
			for _, err := range j.objections(t, o) {
				t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
			}
		}
		if len(judges["UnderlayPool"].objections(t, Plan{Pools: refused.Pools}.Objects()[0])) != 1 {
			t.Error("a range outside the subnet passes: this test shows nothing")
		}
	})
}
