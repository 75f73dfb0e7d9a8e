// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package pinned

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// newRepository makes a repository with one module, "programs", that pins the program hello, enters it and gives the
// test a cache of its own for built programs.
func newRepository(t *testing.T) Module {
	t.Helper()
	goCache, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(goCache))) // else it would move along with the user's cache
	root := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(root, "cache"))
	t.Setenv("HOME", root)
	for name, content := range map[string]string{
		"go.mod":          "module github.com/underlay-dev/kubectl-underlay\n",
		"programs/go.mod": "module programs\n\ngo 1.26\n",
		"programs/go.sum": "",
		"programs/hello/main.go": "package main\n\nvar who = \"nobody\"\n\n" +
			"func main() { print(\"hello \", who) }\n",
		"programs/broken/main.go": "package main\n\nfunc main() { undefined() }\n",
		"somewhere/below/.keep":   "",
		"Makefile":                "right:\n\ttouch made\nwrong:\n\techo no compiler here; false\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(root, "somewhere", "below"))
	return Module{Dir: "programs", Programs: []Program{
		{Name: "hello", Package: "programs/hello", Version: "v1.0.0", Vars: []string{"main.who=world"}},
		{Name: "broken", Package: "programs/broken", Version: "v1.0.0"},
	}}
}

func TestBuildOnceThenReuse(t *testing.T) {
	module := newRepository(t)
	var first, second bytes.Buffer

	folder, err := module.Build(t.Context(), &first, "hello")
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), filepath.Join(folder, "hello")).CombinedOutput()
	if err != nil || string(output) != "hello world" {
		t.Errorf("the built program says %q, %v; want its variable set by the linker", output, err)
	}
	if want := "building hello v1.0.0 (less than a minute, once) …\n"; !strings.HasPrefix(first.String(), want) {
		t.Errorf("progress of the first call is %q, want it to begin with %q", first.String(), want)
	}

	again, err := module.Build(t.Context(), &second, "hello")
	if err != nil {
		t.Fatal(err)
	}
	if again != folder || second.Len() > 0 {
		t.Errorf("the second call returned %s and said %q, want %s and nothing built", again, second.String(), folder)
	}
}

func TestBuildOnceAmongMany(t *testing.T) {
	module := newRepository(t)
	var callers sync.WaitGroup
	progress := make([]bytes.Buffer, 4)
	for i := range progress {
		callers.Go(func() {
			if _, err := module.Build(t.Context(), &progress[i], "hello"); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	built := 0
	for i := range progress {
		built += strings.Count(progress[i].String(), "built hello")
	}
	if built != 1 {
		t.Errorf("%d of %d parallel callers built the program, want 1", built, len(progress))
	}
}

func TestBuildAfterChange(t *testing.T) {
	tests := map[string]func(t *testing.T, m *Module){
		"another variable": func(_ *testing.T, m *Module) { m.Programs[0].Vars = []string{"main.who=moon"} },
		"another version": func(t *testing.T, _ *Module) {
			if err := os.WriteFile("../../programs/go.mod", []byte("module programs\n\ngo 1.25\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			module := newRepository(t)
			before, err := module.Build(t.Context(), nil, "hello")
			if err != nil {
				t.Fatal(err)
			}
			change(t, &module)
			after, err := module.Build(t.Context(), nil, "hello")
			if err != nil {
				t.Fatal(err)
			}
			if before == after {
				t.Errorf("still kept in %s", after)
			}
		})
	}
}

func TestBuildFailure(t *testing.T) {
	module := newRepository(t)
	_, err := module.Build(t.Context(), nil, "broken")
	if err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("error is %v, want the compiler's message in it", err)
	}
	// What failed leaves nothing behind that a later call could take for a program.
	_, err = module.Build(t.Context(), nil, "broken")
	if err == nil {
		t.Error("the second call succeeded")
	}
	if _, err := module.Build(t.Context(), nil, "absent"); err == nil {
		t.Error("a program which the module does not have was built")
	}
}

func TestMake(t *testing.T) {
	newRepository(t)
	if err := Make(t.Context(), nil, "right"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join("..", "..", "made")); err != nil {
		t.Errorf("the target was not made in the root: %v", err)
	}
	if err := Make(t.Context(), nil, "right", "wrong"); err == nil || !strings.Contains(err.Error(), "make right wrong: ") || !strings.Contains(err.Error(), "no compiler here") {
		t.Errorf("error is %v, want the targets and what make said", err)
	}
}

func TestBuildStopsWaiting(t *testing.T) {
	module := newRepository(t)
	folder, err := module.folder(filepath.Join("..", "..", module.Dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	release, err := lock(t.Context(), folder+".lock", func() { t.Error("waited for a free lock") })
	if err != nil {
		t.Fatal(err)
	}
	defer release()

	ctx, cancel := context.WithCancel(t.Context())
	_, err = module.Build(ctx, writerFunc(func([]byte) { cancel() }), "hello")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v as soon as the caller gives up", err, context.Canceled)
	}
}

// writerFunc is called with everything written to it.
type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		20 * time.Second:  "less than a minute",
		70 * time.Second:  "about a minute",
		200 * time.Second: "about 3 minutes",
	} {
		if got := about(d); got != want {
			t.Errorf("about(%v) = %q, want %q", d, got, want)
		}
	}
}
