// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is whom the image's programs run as unless the pod says otherwise; the agent's does.
const user = "65532:65532"

// file is a regular file of the image.
type file struct {
	mode    int64
	content []byte
}

// content gives the files of the image by their paths: the programs, which are in the folder, and the little that they look for.
func content(programs []program, folder string) (map[string]file, error) {
	files := map[string]file{
		"etc/passwd":                        {0o644, []byte("root:x:0:0:root:/:/sbin/nologin\nunderlay:x:65532:65532:underlay:/:/sbin/nologin\n")},
		"etc/group":                         {0o644, []byte("root:x:0:\nunderlay:x:65532:\n")},
		"etc/ssl/certs/ca-certificates.crt": {0o644, roots()},
	}
	for _, p := range programs {
		binary, err := os.ReadFile(filepath.Join(folder, p.name))
		if err != nil {
			return nil, err
		}
		files[p.path] = file{0o755, binary}
	}
	return files, nil
}

// roots gives the certificates that Mozilla trusts, as PEM, where Go looks for them. They come from the module that Go's
// own developers keep up to date, so that go.mod alone says which they are, and not the machine that builds. Roots that
// are trusted only under conditions are left out, since a file cannot say these.
func roots() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.Bytes()
}

// image makes the image of one architecture.
func (b build) image(arch string, files map[string]file) (v1.Image, error) {
	created, err := time.Parse(time.RFC3339, b.date)
	if err != nil {
		return nil, fmt.Errorf("-date: %w", err)
	}
	layer, err := layerOf(files)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: arch, Created: v1.Time{Time: created.UTC()},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: user,
			Cmd:  []string{"/usr/local/bin/underlay-operator"},
			Env:  []string{"PATH=/usr/local/bin"},
			Labels: map[string]string{
				"org.opencontainers.image.title":       "kubectl underlay",
				"org.opencontainers.image.description": "Operator, node agent and CNI of kubectl underlay",
				"org.opencontainers.image.source":      "https://github.com/underlay-dev/kubectl-underlay",
				"org.opencontainers.image.licenses":    "Apache-2.0",
				"org.opencontainers.image.version":     b.version,
				"org.opencontainers.image.revision":    b.commit,
				"org.opencontainers.image.created":     created.UTC().Format(time.RFC3339),
			},
		},
	})
	if err != nil {
		return nil, err
	}
	return mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: created.UTC()}, CreatedBy: "make image"}})
}

// layerOf packs the files, in order and without times or owners of their own.
func layerOf(files map[string]file) (v1.Layer, error) {
	var b bytes.Buffer
	archive := tar.NewWriter(&b)
	folders := map[string]bool{".": true}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := addFolder(archive, folders, path.Dir(name)); err != nil {
			return nil, err
		}
		f := files[name]
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: f.mode, Size: int64(len(f.content)), ModTime: time.Unix(0, 0)}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer),
		tarball.WithCompressionLevel(gzip.BestSpeed), // a tenth larger than the best, in a fraction of the time
		tarball.WithCompressedCaching,
	)
}

// addFolder adds a folder and those above it, unless they are there.
func addFolder(archive *tar.Writer, there map[string]bool, name string) error {
	if there[name] {
		return nil
	}
	if err := addFolder(archive, there, path.Dir(name)); err != nil {
		return err
	}
	there[name] = true
	return archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: time.Unix(0, 0)})
}

// archive writes the image, unless the file holds it already. A file under its final name is complete.
func (b build) archive(path string, image v1.Image) error {
	config, err := image.ConfigName()
	if err != nil {
		return err
	}
	if current(path, b.name, config) {
		fmt.Fprintf(os.Stderr, "%s is current: %s\n", path, b.name)
		return nil
	}
	tag, err := name.NewTag(b.name, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("the image's name: %w", err)
	}
	if err := tarball.WriteToFile(path+".tmp", tag, image); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s: %s, %d MB, %s\n", path, b.name, info.Size()/1_000_000, config)
	return nil
}

// current says whether the archive holds the image of this name and content. A config names the content of its layers.
func current(path, image string, config v1.Hash) bool {
	tag, err := name.NewTag(image)
	if err != nil {
		return false
	}
	there, err := tarball.ImageFromPath(path, &tag)
	if err != nil {
		return false
	}
	has, err := there.ConfigName()
	return err == nil && has == config
}
