// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package image

import (
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/pem"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/underlay-dev/kubectl-underlay/manifests"
)

func TestImage(t *testing.T) {
	folder := t.TempDir()
	path := build(t, folder)
	image := read(t, path)
	t.Run("metadata", func(t *testing.T) { metadata(t, image) })
	t.Run("files", func(t *testing.T) { files(t, image) })
	t.Run("programs", func(t *testing.T) { programs(t, image) })
	t.Run("certificates", func(t *testing.T) { certificates(t, image) })
	t.Run("commands of the manifests", func(t *testing.T) { commands(t, image) })
	t.Run("again", func(t *testing.T) { again(t, folder, path) })
}

func metadata(t *testing.T, image archive) {
	if want := []string{manifests.Repository + ":v1.2.3"}; !slices.Equal(image.tags, want) {
		t.Errorf("tags are %q, want %q", image.tags, want)
	}
	want := config{Architecture: "amd64", OS: "linux", Created: "2026-01-02T01:04:05Z"}
	want.RootFS.Type, want.RootFS.DiffIDs = "layers", image.diffIDs
	want.Config.User = "65532:65532"
	want.Config.Labels = map[string]string{
		"org.opencontainers.image.title":       "kubectl underlay",
		"org.opencontainers.image.description": "Operator, node agent and CNI of kubectl underlay",
		"org.opencontainers.image.source":      "https://github.com/underlay-dev/kubectl-underlay",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     "v1.2.3",
		"org.opencontainers.image.revision":    "abcdef",
		"org.opencontainers.image.created":     "2026-01-02T01:04:05Z",
	}
	if diff := cmp.Diff(want, image.config); diff != "" {
		t.Errorf("the config differs (-want +got):\n%s", diff)
	}
}

// binaries are the programs that the image must hold: each main of ours but the plugin's, portmap and loopback.
func binaries(t *testing.T) []string {
	t.Helper()
	mains, err := filepath.Glob("../../cmd/underlay-*")
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"/opt/underlay/bin/loopback", "/opt/underlay/bin/portmap", "/opt/underlay/bin/underlay"}
	for _, main := range mains {
		paths = append(paths, "/usr/local/bin/"+filepath.Base(main))
	}
	return paths
}

func files(t *testing.T, image archive) {
	want := append(binaries(t), "/etc/group", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt")
	slices.Sort(want)
	var got []string
	for _, path := range slices.Sorted(maps.Keys(image.files)) {
		header := image.files[path].header
		mode := int64(0o755)
		if header.Typeflag != 'g' && !strings.HasSuffix(header.Name, "/") {
			got = append(got, path)
			if strings.HasPrefix(path, "/etc/") {
				mode = 0o644
			}
		}
		if header.Mode != mode || header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("%s: mode %o, owner %d:%d, time %s; want mode %o, root's and no time", path, header.Mode, header.Uid, header.Gid, header.ModTime, mode)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files differ (-want +got):\n%s", diff)
	}
	if !bytes.Contains(image.files["/etc/passwd"].content, []byte("\nunderlay:x:65532:65532:")) {
		t.Errorf("no user 65532:\n%s", image.files["/etc/passwd"].content)
	}
}

// programs runs each program as a node would, though without its libraries: there are none.
func programs(t *testing.T, image archive) {
	for _, path := range binaries(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			content := image.files[path].content
			binary, err := elf.NewFile(bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			for _, segment := range binary.Progs {
				if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
					t.Errorf("is not static: it has a segment %s", segment.Type)
				}
			}
			if binary.Machine != elf.EM_X86_64 {
				t.Errorf("is for %s", binary.Machine)
			}
			if runtime.GOARCH != "amd64" {
				return // all that can be seen without running it
			}
			file := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(file, content, 0o755); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(path, "/opt/") {
				answersVersion(t, file)
				return
			}
			out, err := exec.CommandContext(t.Context(), file, "-version").CombinedOutput()
			if want := filepath.Base(path) + " v1.2.3\n"; err != nil || string(out) != want {
				t.Errorf("-version says %q, error %v, want %q", out, err, want)
			}
		})
	}
}

// answersVersion asks a CNI plugin which versions of CNI it knows.
func answersVersion(t *testing.T, file string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), file)
	cmd.Env = []string{"CNI_COMMAND=VERSION"}
	cmd.Stdin = strings.NewReader(`{"cniVersion": "1.0.0"}`)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ SupportedVersions []string }
	decode(t, out, &answer)
	if !slices.Contains(answer.SupportedVersions, "1.0.0") || !slices.Contains(answer.SupportedVersions, "1.1.0") {
		t.Errorf("knows versions %v, want 1.0.0 and 1.1.0 among them", answer.SupportedVersions)
	}
}

// certificates looks for the authority that AWS's own endpoints present, among the others that users may need.
func certificates(t *testing.T, image archive) {
	var names []string
	for block, rest := pem.Decode(image.files["/etc/ssl/certs/ca-certificates.crt"].content); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, certificate.Subject.CommonName)
	}
	if len(names) < 100 || !slices.Contains(names, "Amazon Root CA 1") {
		t.Errorf("%d authorities, want more than a hundred, and Amazon's: %q", len(names), names)
	}
}

// commands finds in the image what the manifests run.
func commands(t *testing.T, image archive) {
	objects, err := manifests.Install(manifests.Options{})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, object := range objects {
		containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range containers {
			command, _, err := unstructured.NestedStringSlice(c.(map[string]any), "command") //nolint:errcheck // a container is an object
			if err != nil || len(command) == 0 {
				t.Fatalf("%s: command is %v, error %v", object.GetName(), command, err)
			}
			found++
			if _, ok := image.files[command[0]]; !ok {
				t.Errorf("%s runs %s, which is not in the image", object.GetName(), command[0])
			}
		}
	}
	if found != 2 {
		t.Errorf("%d containers, want the operator's and the agent's", found)
	}
}

// again builds once more: elsewhere, the same bytes; in the same place, nothing is written, unless it is damaged.
func again(t *testing.T, folder, path string) {
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(build(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the same source gives different archives")
	}
	build(t, folder)
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("an archive that is current was written again (error %v)", err)
	}
	if err := os.Truncate(path, before.Size()/2); err != nil {
		t.Fatal(err)
	}
	build(t, folder)
	if third, err := os.ReadFile(path); err != nil || !bytes.Equal(first, third) {
		t.Errorf("a damaged archive was taken for current (error %v)", err)
	}
}
