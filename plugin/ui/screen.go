// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"io"
	"os"
	"sync"

	"github.com/charmbracelet/x/term"
)

// Options say how a screen looks. The zero value finds everything out by itself.
type Options struct {
	// Color is what --color asks for; empty means auto.
	Color Color
	// Width in columns; 0 takes the terminal's own, else COLUMNS, else unlimited.
	Width int
	// Getenv looks up the environment; nil means os.Getenv.
	Getenv func(string) string
	// Terminal says whether the output is a terminal, and its width (0: unknown); nil asks the output itself.
	Terminal func() (width int, ok bool)
}

// Screen is where views are drawn. Each view is one write. It may be used by several goroutines.
type Screen struct {
	width       int // columns; 0 is unlimited
	interactive bool
	symbols     symbols
	palette     palette

	mu   sync.Mutex // guards the rest
	out  io.Writer
	err  error // the first failure to write
	step *Step // the one whose line is being redrawn
}

// unknownWidth is taken for a terminal that does not know its width, as a serial line.
const unknownWidth = 80

// NewScreen is a screen on out.
func NewScreen(out io.Writer, opts Options) *Screen {
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	if opts.Terminal == nil {
		opts.Terminal = func() (int, bool) { return terminalWidth(out) }
	}
	columns, terminal := opts.Terminal()
	env := environment{get: opts.Getenv, terminal: terminal}
	s := &Screen{
		out:         out,
		width:       env.width(opts.Width, columns),
		interactive: terminal && !env.dumb(),
		symbols:     newSymbols(env.unicode()),
	}
	if env.color(opts.Color) {
		s.palette = newPalette()
	}
	if f, ok := out.(*os.File); ok && terminal {
		enableEscapes(f)
	}
	return s
}

// Interactive says whether the screen is a terminal that can redraw a line.
func (s *Screen) Interactive() bool { return s.interactive }

// Err is the first failure to write, as of a full disk or a closed pipe.
func (s *Screen) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// IsTerminal says whether a stream, such as standard input, is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(f.Fd())
}

func terminalWidth(out io.Writer) (int, bool) {
	f, ok := out.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(f.Fd()) {
		return 0, false
	}
	width, _, err := term.GetSize(f.Fd())
	if err != nil {
		return 0, true
	}
	return width, true
}

// print writes a finished view. A step that is being drawn makes room and comes back below.
func (s *Screen) print(view string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.step == nil {
		s.write(view)
		return
	}
	s.write(eraseLine + view + s.step.drawn)
}

func (s *Screen) write(text string) {
	if _, err := io.WriteString(s.out, text); err != nil && s.err == nil {
		s.err = err
	}
}
