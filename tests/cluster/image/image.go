// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package image makes container images of static programs, without a daemon and without a registry: an archive as
// "docker save" writes it, which containerd imports. The same input gives the same bytes. It imports the standard library
// alone.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Image is an image of one layer for linux/amd64.
type Image struct {
	Name       string // such as example.org/app:1
	Files      []File
	Entrypoint []string
	Env        []string // key=value
}

// File is a file of an image, owned by root.
type File struct {
	Path    string // absolute
	Mode    fs.FileMode
	Content []byte
}

// WriteFile writes an archive of the images.
func WriteFile(name string, images ...Image) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write images: %w", err)
	}
	if err := errors.Join(Write(file, images...), file.Close()); err != nil {
		return fmt.Errorf("write images: %w", err)
	}
	return nil
}

// manifest is an image's entry in the archive's manifest.json.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// config is what an image's own JSON file must have.
type config struct {
	Architecture string     `json:"architecture"`
	OS           string     `json:"os"`
	Config       runConfig  `json:"config"`
	RootFS       rootFS     `json:"rootfs"`
	History      []struct{} `json:"history"`
}

type runConfig struct {
	Entrypoint []string
	Env        []string
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// Write writes an archive of the images.
func Write(w io.Writer, images ...Image) error {
	out := tar.NewWriter(w)
	var manifests []manifest
	for _, image := range images {
		layer, err := image.layer()
		if err != nil {
			return fmt.Errorf("image %s: %w", image.Name, err)
		}
		digest := fmt.Sprintf("%x", sha256.Sum256(layer))
		about, err := json.Marshal(config{
			Architecture: "amd64", OS: "linux",
			Config:  runConfig{Entrypoint: image.Entrypoint, Env: append([]string{"PATH=/usr/local/bin:/usr/bin:/bin:/"}, image.Env...)},
			RootFS:  rootFS{Type: "layers", DiffIDs: []string{"sha256:" + digest}},
			History: []struct{}{{}},
		})
		if err != nil {
			return err
		}
		entry := manifest{
			Config: fmt.Sprintf("%x.json", sha256.Sum256(about)), RepoTags: []string{image.Name}, Layers: []string{digest + "/layer.tar"},
		}
		manifests = append(manifests, entry)
		if err := errors.Join(add(out, entry.Config, 0o644, about), add(out, entry.Layers[0], 0o644, layer)); err != nil {
			return fmt.Errorf("image %s: %w", image.Name, err)
		}
	}
	list, err := json.Marshal(manifests)
	if err != nil {
		return err
	}
	return errors.Join(add(out, "manifest.json", 0o644, list), out.Close())
}

// layer is a tar archive of the files and the folders that they are in.
func (i Image) layer() ([]byte, error) {
	var buffer bytes.Buffer
	out := tar.NewWriter(&buffer)
	made := map[string]bool{".": true, "tmp": true}
	// Programs expect a folder for temporary files that all may write to.
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return nil, err
	}
	for _, file := range i.Files {
		name := strings.TrimPrefix(path.Clean(file.Path), "/")
		for _, folder := range parents(name) {
			if made[folder] {
				continue
			}
			made[folder] = true
			if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755}); err != nil {
				return nil, err
			}
		}
		if err := add(out, name, file.Mode, file.Content); err != nil {
			return nil, fmt.Errorf("file %s: %w", file.Path, err)
		}
	}
	err := out.Close()
	return buffer.Bytes(), err
}

// parents are the folders above the name, the outermost first.
func parents(name string) []string {
	var folders []string
	for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
		folders = append([]string{folder}, folders...)
	}
	return folders
}

func add(out *tar.Writer, name string, mode fs.FileMode, content []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode.Perm()), Size: int64(len(content))}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err := out.Write(content)
	return err
}
