// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// build builds the image into the folder and gives the archive's path.
func build(t *testing.T, out string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "-C", "../../internal/tools/image", "run", ".",
		"-out", out, "-version", "v1.2.3", "-commit", "abcdef", "-date", "2026-01-02T03:04:05+02:00")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return filepath.Join(out, "underlay.tar")
}

// archive is what is in the file that container runtimes import.
type archive struct {
	tags    []string
	config  config
	diffIDs []string         // hashes of the layers as they are
	files   map[string]entry // by absolute path, of all layers
}

type config struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Created      string `json:"created"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"` // hashes of the unpacked layers
	} `json:"rootfs"`
	Config struct {
		User   string            `json:"User"`
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
}

type entry struct {
	header  *tar.Header
	content []byte
}

func read(t *testing.T, path string) archive {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	outer := map[string][]byte{}
	for _, e := range entries(t, file) {
		outer[e.header.Name] = e.content
	}
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	decode(t, outer["manifest.json"], &manifest)
	if len(manifest) != 1 {
		t.Fatalf("the archive holds %d images", len(manifest))
	}
	a := archive{tags: manifest[0].RepoTags, files: map[string]entry{}}
	decode(t, outer[manifest[0].Config], &a.config)
	for _, layer := range manifest[0].Layers {
		reader, err := gzip.NewReader(bytes.NewReader(outer[layer]))
		if err != nil {
			t.Fatalf("layer %s: %v", layer, err)
		}
		unpacked, err := io.ReadAll(reader)
		if err != nil {
			t.Fatalf("layer %s: %v", layer, err)
		}
		a.diffIDs = append(a.diffIDs, fmt.Sprintf("sha256:%x", sha256.Sum256(unpacked)))
		for _, e := range entries(t, bytes.NewReader(unpacked)) {
			a.files[filepath.Join("/", e.header.Name)] = e
		}
	}
	return a
}

func entries(t *testing.T, r io.Reader) []entry {
	t.Helper()
	var all []entry
	for reader := tar.NewReader(r); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{header, content})
	}
}

func decode(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
}
