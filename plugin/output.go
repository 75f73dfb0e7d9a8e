// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// addOutputFlag adds -o with the values that it may have.
func addOutputFlag(cmd *cobra.Command, output *string, values ...string) {
	cmd.Flags().StringVarP(output, "output", "o", "", "output as "+strings.Join(values, ", "))
	completeWith(cmd, "output", values...)
}

// printValue prints any value as json or yaml.
func printValue(w io.Writer, format string, value any) error {
	var text []byte
	var err error
	switch format {
	case "json":
		text, err = json.MarshalIndent(value, "", "  ")
		text = append(text, '\n')
	case "yaml":
		text, err = yaml.Marshal(value)
	default:
		err = fmt.Errorf("unknown output format %q", format)
	}
	if err != nil {
		return fmt.Errorf("print as %s: %w", format, err)
	}
	_, err = w.Write(text)
	return err
}

// printObjects prints objects as a List in json, or as documents in yaml, ready for `kubectl apply -f -`.
func printObjects(w io.Writer, format string, objects []*unstructured.Unstructured) error {
	if format == "json" {
		return printValue(w, format, listOf(objects))
	}
	for _, object := range objects {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		if err := printValue(w, "yaml", object); err != nil {
			return err
		}
	}
	return nil
}

// listOf gives a v1 List, as kubectl prints several objects.
func listOf(objects []*unstructured.Unstructured) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
	list.Items = make([]unstructured.Unstructured, 0, len(objects))
	for _, object := range objects {
		list.Items = append(list.Items, *object)
	}
	return list
}
