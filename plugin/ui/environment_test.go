// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestColorAndSymbols(t *testing.T) {
	type env map[string]string
	for name, tt := range map[string]struct {
		env         env
		flag        Color
		terminal    bool
		color       bool
		unicode     bool
		interactive bool
	}{
		"terminal":                  {env: env{"TERM": "xterm", "LANG": "en_US.UTF-8"}, terminal: true, color: true, unicode: true, interactive: true},
		"pipe":                      {env: env{"TERM": "xterm", "LANG": "en_US.UTF-8"}, unicode: true},
		"dumb terminal":             {env: env{"TERM": "dumb", "LANG": "en_US.UTF-8"}, terminal: true},
		"terminal without a name":   {env: env{"LANG": "C.utf8"}, terminal: true, unicode: true},
		"no locale":                 {env: env{"TERM": "xterm"}, terminal: true, color: true, interactive: true},
		"LC_ALL wins over LANG":     {env: env{"TERM": "xterm", "LC_ALL": "C", "LANG": "C.UTF-8"}, terminal: true, color: true, interactive: true},
		"NO_COLOR":                  {env: env{"TERM": "xterm", "NO_COLOR": "1"}, terminal: true, interactive: true},
		"NO_COLOR, whatever value":  {env: env{"TERM": "xterm", "NO_COLOR": "0"}, terminal: true, interactive: true},
		"NO_COLOR, empty":           {env: env{"TERM": "xterm", "NO_COLOR": ""}, terminal: true, color: true, interactive: true},
		"CLICOLOR=0":                {env: env{"TERM": "xterm", "CLICOLOR": "0"}, terminal: true, interactive: true},
		"CLICOLOR_FORCE in a pipe":  {env: env{"TERM": "xterm", "CLICOLOR_FORCE": "1"}, color: true},
		"CLICOLOR_FORCE=0":          {env: env{"TERM": "xterm", "CLICOLOR_FORCE": "0"}},
		"NO_COLOR and CLICOLOR_…":   {env: env{"TERM": "xterm", "NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, terminal: true, interactive: true},
		"always wins over NO_COLOR": {env: env{"TERM": "dumb", "NO_COLOR": "1"}, flag: ColorAlways, color: true},
		"never wins over the force": {env: env{"TERM": "xterm", "CLICOLOR_FORCE": "1"}, flag: ColorNever, terminal: true, interactive: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			s := NewScreen(&out, Options{
				Color: tt.flag, Getenv: func(name string) string { return tt.env[name] },
				Terminal: func() (int, bool) { return 80, tt.terminal },
			})
			s.Findings(nil)
			if got := strings.Contains(out.String(), "\x1b"); got != tt.color {
				t.Errorf("colour: %t, want %t", got, tt.color)
			}
			if got := strings.Contains(out.String(), "✓"); got != tt.unicode {
				t.Errorf("unicode: %t, want %t", got, tt.unicode)
			}
			if got := s.Interactive(); got != tt.interactive {
				t.Errorf("interactive: %t, want %t", got, tt.interactive)
			}
		})
	}
}

func TestWidth(t *testing.T) {
	for name, tt := range map[string]struct {
		asked    int
		columns  string // the environment variable
		terminal int
		isOne    bool
		want     int
	}{
		"pipe":                         {want: 0},
		"terminal":                     {terminal: 120, isOne: true, columns: "90", want: 120},
		"terminal of unknown width":    {isOne: true, want: 80},
		"terminal of unknown, COLUMNS": {isOne: true, columns: "90", want: 90},
		"pipe, COLUMNS":                {columns: "90", want: 90},
		"COLUMNS is no number":         {columns: "wide", want: 0},
		"COLUMNS is negative":          {columns: "-3", want: 0},
		"asked for":                    {asked: 70, terminal: 120, isOne: true, columns: "90", want: 70},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewScreen(&bytes.Buffer{}, Options{
				Width: tt.asked, Terminal: func() (int, bool) { return tt.terminal, tt.isOne },
				Getenv: func(name string) string { return map[string]string{"COLUMNS": tt.columns}[name] },
			})
			if s.width != tt.want {
				t.Errorf("width %d, want %d", s.width, tt.want)
			}
		})
	}
}

func TestColorFlag(t *testing.T) {
	var c Color
	if c.String() != "auto" {
		t.Errorf("default is %s", c.String())
	}
	for _, value := range []string{"auto", "always", "never"} {
		if err := c.Set(value); err != nil || c.String() != value {
			t.Errorf("Set(%s) = %v, value %s", value, err, c.String())
		}
	}
	if err := c.Set("sometimes"); err == nil || c != ColorNever {
		t.Errorf("Set(sometimes) = %v, value %s", err, c)
	}
}

type brokenPipe struct{ left int }

func (b *brokenPipe) Write(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		return 0, errors.New("broken pipe")
	}
	return len(p), nil
}

func TestErrKeepsTheFirstFailure(t *testing.T) {
	s := NewScreen(&brokenPipe{left: 1}, Options{})
	s.Note("arrives")
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	s.Note("is lost")
	if err := s.Err(); err == nil || err.Error() != "broken pipe" {
		t.Errorf("Err = %v", err)
	}
}

func TestClearOnlyOnTerminals(t *testing.T) {
	for terminal, want := range map[bool]string{true: "\x1b[H\x1b[2J", false: ""} {
		var out bytes.Buffer
		NewScreen(&out, Options{
			Getenv:   func(string) string { return "xterm" },
			Terminal: func() (int, bool) { return 80, terminal },
		}).Clear()
		if out.String() != want {
			t.Errorf("on a terminal %t: %q, want %q", terminal, out.String(), want)
		}
	}
}
