// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/tests/scratch"
)

// tailLines is how much of each log an error shows.
const tailLines = 10

// files is the temporary folder of one control plane: its data, certificates and logs.
type files struct {
	*scratch.Folder
	etcd      *os.File // what etcd prints
	apiserver *os.File // what kube-apiserver prints
}

func newFiles() (*files, error) {
	folder, err := scratch.New("kubectl-underlay-controlplane-")
	if err != nil {
		return nil, fmt.Errorf("start the control plane: %w", err)
	}
	f := &files{Folder: folder}
	if err := f.fill(); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the control plane's folder: %w", err), f.remove())
	}
	return f, nil
}

// fill makes what the processes expect in the folder.
func (f *files) fill() error {
	var err error
	if f.etcd, err = os.Create(f.Path("etcd.log")); err != nil {
		return err
	}
	if f.apiserver, err = os.Create(f.Path("apiserver.log")); err != nil {
		return err
	}
	for _, name := range []string{"etcd", "apiserver", "launchers"} {
		if err := os.Mkdir(f.Path(name), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the folder.
func (f *files) remove() error {
	err := f.Remove()
	for _, file := range []*os.File{f.etcd, f.apiserver} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}

// lastWords returns how the logs end, kube-apiserver's last since it is the one that mostly says why.
func (f *files) lastWords() string {
	var words strings.Builder
	for _, log := range []*os.File{f.etcd, f.apiserver} {
		content, err := os.ReadFile(log.Name())
		if err != nil {
			content = []byte(err.Error())
		}
		lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
		lines = lines[max(0, len(lines)-tailLines):]
		fmt.Fprintf(&words, "\n--- end of %s\n%s", filepath.Base(log.Name()), bytes.Join(lines, []byte("\n")))
	}
	return words.String()
}

// launcher returns the path of a program that becomes the given one, to be killed by the kernel when the thread that
// started it ends. envtest cannot be told to ask for that itself. Elsewhere than on Linux, where the kernel offers
// nothing alike, it is the program itself.
func (f *files) launcher(program string) (string, error) {
	if runtime.GOOS != "linux" {
		return program, nil
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return "", fmt.Errorf("find setpriv, which ties the control plane to this process (package util-linux): %w", err)
	}
	path := filepath.Join(f.Path("launchers"), filepath.Base(program))
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' --pdeathsig KILL -- '%s' \"$@\"\n", setpriv, program)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		return "", fmt.Errorf("write the launcher of %s: %w", program, err)
	}
	return path, nil
}
