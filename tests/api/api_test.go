// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	plane  = controlplane.Shared{Options: controlplane.Options{CRDDirs: []string{"../../manifests/crds"}}}
)

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetLogger(logr.Discard()) // controller-runtime complains unless it is told
	os.Exit(plane.Main(m))
}

// newClient gives a client for all kinds of object which lets no unknown field pass.
func newClient(t *testing.T) client.Client {
	t.Helper()
	api, err := client.New(plane.ForTest(t).Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return client.WithFieldValidation(api, metav1.FieldValidationStrict)
}

// object lays maps over each other, the later over the earlier, where null deletes.
func object(layers ...map[string]any) *unstructured.Unstructured {
	merged := map[string]any{}
	for _, layer := range layers {
		merged = merge(merged, decoded(layer))
	}
	return &unstructured.Unstructured{Object: merged}
}

// decoded turns Go values into what JSON decodes to: what a client sends.
func decoded(fields map[string]any) map[string]any {
	raw, err := json.Marshal(fields)
	if err != nil {
		panic(err) // a test wrote what JSON cannot
	}
	var out map[string]any
	if err := utiljson.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

func merge(into, layer map[string]any) map[string]any {
	out := maps.Clone(into)
	for key, v := range layer {
		below, isMap := v.(map[string]any)
		old, wasMap := out[key].(map[string]any)
		switch {
		case v == nil:
			delete(out, key)
		case isMap && wasMap:
			out[key] = merge(old, below)
		default:
			out[key] = v
		}
	}
	return out
}

// reasons are the API server's words for refusing an object, a line each; empty when err is nil.
func reasons(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		t.Fatalf("no answer of the API server: %v", err)
	}
	details := status.Status().Details
	if details == nil || len(details.Causes) == 0 {
		return []string{status.Status().Message}
	}
	var lines []string
	for _, cause := range details.Causes {
		lines = append(lines, fmt.Sprintf("%s: %s", cause.Field, cause.Message))
	}
	slices.Sort(lines)
	return lines
}

func remove(t *testing.T, api client.Client, objects ...client.Object) {
	for _, o := range objects {
		// Not the test's context, which has ended by now.
		if err := api.Delete(context.WithoutCancel(t.Context()), o); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
}
