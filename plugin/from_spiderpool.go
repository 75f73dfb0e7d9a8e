// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// migrating says from whom networks are taken over, and from which files instead of the cluster.
type migrating struct {
	from   string
	files  []string
	report string
}

func (m *migrating) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.from, "from", "", "whose networks to take over: spiderpool")
	cmd.Flags().StringSliceVar(&m.files, "from-file", nil, "with --from: read its objects from this file or folder, or - for standard input, not from the cluster")
	cmd.Flags().StringVar(&m.report, "report", "", "with --from: print what becomes of each object as yaml or json, and apply nothing")
	completeWith(cmd, "from", forSpiderpool)
	completeWith(cmd, "report", "yaml", "json")
}

func (m *migrating) validate(cmd *cobra.Command, to target) error {
	usage := func(format string, args ...any) error {
		return usageError{cmd.CommandPath(), fmt.Errorf(format, args...)}
	}
	switch {
	case m.from == "" && len(m.files) > 0:
		return usage("--from-file goes with --from %s", forSpiderpool)
	case m.from == "" && m.report != "":
		return usage("--report goes with --from %s", forSpiderpool)
	case m.from != "" && to.name == forSpiderpool:
		return usage("--from %s and --for %s exclude each other", forSpiderpool, forSpiderpool)
	}
	return errors.Join(oneOf(cmd, "from", m.from, "", forSpiderpool), oneOf(cmd, "report", m.report, "", "yaml", "json"))
}

// migrate puts the networks that take the place of Spiderpool's objects into the world.
func (g *global) migrate(ctx context.Context, w *world, from migrating) error {
	var objects []*unstructured.Unstructured
	for _, name := range from.files {
		files, err := filesOf(name)
		if err != nil {
			return err
		}
		for _, file := range files {
			read, err := readFile(g.env.In, file, readObjects)
			if err != nil {
				return err
			}
			objects = append(objects, read...)
		}
	}
	if len(from.files) == 0 {
		if w.cluster == nil {
			return noClusterError{", or read Spiderpool's objects from a file with --from-file FILE"}
		}
		var err error
		if objects, err = w.cluster.Spiderpool(ctx); err != nil {
			return err
		}
	}
	if len(objects) == 0 {
		return fmt.Errorf("there is no SpiderIPPool and no SpiderMultusConfig to take over; --from-file FILE reads them from elsewhere")
	}
	m, err := plan.FromSpiderpool(objects, w.inventory)
	if err != nil {
		return err
	}
	w.migrated, w.proposing = &m, false
	w.networks = override(w.networks, m.Networks)
	return nil
}

// withMigrated puts the pools of Manual networks that were taken over into a plan; the inventory need not list them.
func (w *world) withMigrated(p plan.Plan, findings []plan.Finding) (plan.Plan, []plan.Finding) {
	if w.migrated == nil || len(w.migrated.Pools) == 0 {
		return p, findings
	}
	names := map[string]bool{}
	for i := range w.migrated.Pools {
		names[w.migrated.Pools[i].Name] = true
	}
	p.Pools = append(slices.DeleteFunc(p.Pools, func(pool v1alpha1.UnderlayPool) bool { return names[pool.Name] }), w.migrated.Pools...)
	findings = slices.DeleteFunc(findings, func(f plan.Finding) bool { return f.ID == plan.IDInterfaceWithoutAddresses })
	return p, findings
}

// filesOf a name: itself, or the yaml and json files of a folder.
func filesOf(name string) ([]string, error) {
	if name == "-" {
		return []string{name}, nil
	}
	about, err := os.Stat(name)
	if err != nil || !about.IsDir() {
		return []string{name}, err
	}
	var out []string
	for _, pattern := range []string{"*.yaml", "*.yml", "*.json"} {
		found, err := filepath.Glob(filepath.Join(name, pattern))
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no yaml or json file is in this folder", name)
	}
	slices.Sort(out)
	return out, nil
}

// readObjects reads all documents of a file, and what lists in it hold.
func readObjects(name string, r io.Reader) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(r, 4096)
	for {
		var content map[string]any
		err := decoder.Decode(&content)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("%s: document %d: %w", name, len(out)+1, err)
		case len(content) == 0:
			continue
		}
		object := &unstructured.Unstructured{Object: content}
		if !object.IsList() {
			out = append(out, object)
			continue
		}
		list, err := object.ToList()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for i := range list.Items {
			out = append(out, &list.Items[i])
		}
	}
}
