// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
)

// Color says when to use colour. It is a flag's value: Set, String and Type.
type Color string

// The values of --color.
const (
	// ColorAuto: on a terminal, unless the environment says otherwise.
	ColorAuto Color = "auto"
	// ColorAlways: also in a pipe, whatever the environment says.
	ColorAlways Color = "always"
	// ColorNever: not at all.
	ColorNever Color = "never"
)

// Set reads a flag's value.
func (c *Color) Set(value string) error {
	switch v := Color(value); v {
	case ColorAuto, ColorAlways, ColorNever:
		*c = v
		return nil
	}
	return fmt.Errorf("must be %s, %s or %s", ColorAuto, ColorAlways, ColorNever)
}

// String is the flag's value.
func (c *Color) String() string {
	if *c == "" {
		return string(ColorAuto)
	}
	return string(*c)
}

// Type names the value in a flag's help.
func (c *Color) Type() string { return "when" }

// environment is what the surroundings say about an output.
type environment struct {
	get      func(string) string
	terminal bool
}

// dumb says whether the terminal understands no escape sequences. Windows sets no TERM.
func (e environment) dumb() bool {
	name := e.get("TERM")
	return name == "dumb" || name == "" && runtime.GOOS != "windows"
}

// color follows no-color.org and bixense.com/clicolors; a flag wins over both.
func (e environment) color(flag Color) bool {
	switch {
	case flag == ColorAlways:
		return true
	case flag == ColorNever, e.get("NO_COLOR") != "":
		return false
	case e.get("CLICOLOR_FORCE") != "" && e.get("CLICOLOR_FORCE") != "0":
		return true
	case e.get("CLICOLOR") == "0", e.dumb():
		return false
	}
	return e.terminal
}

// unicode says whether symbols beyond ASCII will be read as such.
func (e environment) unicode() bool {
	if e.get("TERM") == "dumb" {
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(e.get(name)); locale != "" {
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return runtime.GOOS == "windows"
}

// width in columns; 0 is unlimited.
func (e environment) width(asked, terminal int) int {
	switch {
	case asked > 0:
		return asked
	case terminal > 0:
		return terminal
	}
	if columns, err := strconv.Atoi(e.get("COLUMNS")); err == nil && columns > 0 {
		return columns
	}
	if e.terminal {
		return unknownWidth
	}
	return 0
}
