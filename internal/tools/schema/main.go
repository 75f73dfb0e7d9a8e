// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command schema writes the JSON Schema of a file format from the Go type and the validation markers in api/, with
// the same library that writes the CRDs, so that a file and a custom resource obey rules of one make.
//
// It differs from a CRD's schema in two ways: unknown fields are refused (additionalProperties: false), and addresses
// carry a format of their own.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-tools/pkg/crd"
	crdmarkers "sigs.k8s.io/controller-tools/pkg/crd/markers"
	"sigs.k8s.io/controller-tools/pkg/loader"
	"sigs.k8s.io/controller-tools/pkg/markers"

	"golang.org/x/tools/go/packages"
)

func main() {
	dir := flag.String("dir", ".", "root of the module that holds the type")
	pkg := flag.String("package", "./api/v1alpha1", "package of the type, relative to -dir")
	typ := flag.String("type", "Inventory", "name of the type")
	out := flag.String("out", "", "file to write, relative to the working directory")
	flag.Parse()
	if err := run(*dir, *pkg, *typ, *out); err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		os.Exit(1)
	}
}

func run(dir, pkg, typ, out string) error {
	if out == "" {
		return errors.New("-out is required")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	props, group, version, err := load(dir, pkg, typ)
	if err != nil {
		return fmt.Errorf("type %s of %s: %w", typ, pkg, err)
	}
	text, err := render(props, typ, group, version)
	if err != nil {
		return fmt.Errorf("type %s of %s: %w", typ, pkg, err)
	}
	return os.WriteFile(out, text, 0o644)
}

// load reads the type's schema, references and embedded structs resolved, and the package's group and version.
func load(dir, pkg, typ string) (props apiextensionsv1.JSONSchemaProps, group, version string, err error) {
	roots, err := loader.LoadRootsWithConfig(&packages.Config{Dir: dir}, pkg)
	if err != nil {
		return props, "", "", err
	}
	if len(roots) != 1 {
		return props, "", "", fmt.Errorf("%d packages match, need one", len(roots))
	}
	registry := &markers.Registry{}
	if err := crdmarkers.Register(registry); err != nil {
		return props, "", "", err
	}
	parser := &crd.Parser{
		Collector: &markers.Collector{Registry: registry},
		Checker:   &loader.TypeChecker{NodeFilters: []loader.NodeFilter{crd.Generator{}.CheckFilter()}},
	}
	crd.AddKnownTypes(parser)
	addFileTypes(parser)
	id := crd.TypeIdent{Package: roots[0], Name: typ}
	parser.NeedFlattenedSchemaFor(id)
	if loader.PrintErrors(roots, packages.TypeError) {
		return props, "", "", errors.New("the package has errors, printed above")
	}
	gv := parser.GroupVersions[roots[0]]
	return parser.FlattenedSchemata[id], gv.Group, gv.Version, nil
}

// addFileTypes says how types of the standard library look in JSON, which their Go structure does not tell.
func addFileTypes(parser *crd.Parser) {
	parser.PackageOverrides["net/netip"] = func(p *crd.Parser, pkg *loader.Package) {
		p.Schemata[crd.TypeIdent{Package: pkg, Name: "Addr"}] = apiextensionsv1.JSONSchemaProps{Type: "string"}
		p.Schemata[crd.TypeIdent{Package: pkg, Name: "Prefix"}] = apiextensionsv1.JSONSchemaProps{Type: "string"}
	}
	parser.PackageOverrides["encoding/json"] = func(p *crd.Parser, pkg *loader.Package) {
		// Without a type: the library gives a reference to a slice the type array, which must not collide.
		p.Schemata[crd.TypeIdent{Package: pkg, Name: "RawMessage"}] = apiextensionsv1.JSONSchemaProps{
			XPreserveUnknownFields: new(true),
		}
	}
}

// render prints the schema as JSON Schema draft 7, the newest that common editors support in full. Keys are sorted.
func render(props apiextensionsv1.JSONSchemaProps, typ, group, version string) ([]byte, error) {
	raw, err := json.Marshal(props)
	if err != nil {
		return nil, err
	}
	root := map[string]any{}
	if err := json.Unmarshal(raw, &root); err != nil {
		return nil, err
	}
	if err := closeObjects(root); err != nil {
		return nil, err
	}
	if err := nameKind(root, typ, group+"/"+version); err != nil {
		return nil, err
	}
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = typ
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}
