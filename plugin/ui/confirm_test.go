// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestConfirm(t *testing.T) {
	for name, tt := range map[string]struct {
		input string
		want  bool
		left  string // what stays unread
	}{
		"yes":                 {"yes\n", true, ""},
		"y":                   {"y\n", true, ""},
		"capitals and spaces": {"  YES \r\n", true, ""},
		"no":                  {"n\n", false, ""},
		"only enter":          {"\n", false, ""},
		"other":               {"yess\n", false, ""},
		"end of input":        {"", false, ""},
		"yes, end of input":   {"y", true, ""},
		"reads one line":      {"y\nnext", true, "next"},
	} {
		t.Run(name, func(t *testing.T) {
			in := strings.NewReader(tt.input)
			var out bytes.Buffer
			got, err := NewScreen(&out, Options{Color: ColorNever}).Confirm(in, "Apply?")
			if err != nil || got != tt.want {
				t.Errorf("Confirm(%q) = %t, %v, want %t", tt.input, got, err, tt.want)
			}
			if left, _ := io.ReadAll(in); string(left) != tt.left {
				t.Errorf("%q is unread, want %q", left, tt.left)
			}
			if !strings.HasPrefix(out.String(), "Apply? [y/N] ") {
				t.Errorf("asked %q", out.String())
			}
		})
	}
}

func TestConfirmFails(t *testing.T) {
	for name, in := range map[string]io.Reader{
		"broken input": iotest.ErrReader(errors.New("broken")),
		"endless line": strings.NewReader(strings.Repeat("y", 5000)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := NewScreen(io.Discard, Options{}).Confirm(in, "Apply?")
			if err == nil || got {
				t.Errorf("Confirm = %t, %v, want an error", got, err)
			}
		})
	}
}
