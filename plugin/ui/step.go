// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"fmt"
	"time"
)

const (
	// eraseLine goes to the start of the line and clears it.
	eraseLine = "\r\x1b[K"
	// redrawEvery is how often a line is drawn again, if it changed.
	redrawEvery = 100 * time.Millisecond
	// reportEvery is the least time between two lines about how far a step is, where no line can be redrawn.
	reportEvery = 5 * time.Second
	// showElapsedFrom: what takes less needs no figure.
	showElapsedFrom = time.Second
)

// Step is something that takes a while. On a terminal it is one line that is drawn anew. Elsewhere its start and its end
// are a line each, and so is what it says in between, if it takes long. End it with Done or Fail.
type Step struct {
	screen *Screen
	name   string
	start  time.Time
	stop   chan struct{} // closed at the end; nil if nothing is redrawn

	// The rest is guarded by screen.mu.
	message string
	spoken  time.Time // when the last line was written
	drawn   string    // what stands on the line
	ended   bool
}

// Step begins a step. On a terminal one step is drawn at a time: the line of one that has not ended stays as it is.
func (s *Screen) Step(name string) *Step {
	st := &Step{screen: s, name: s.symbols.prose(name), start: time.Now(), spoken: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.interactive {
		p := s.page()
		p.line(span{st.name, plain})
		s.write(p.text.String())
		return st
	}
	if s.step != nil {
		s.write("\n")
	}
	s.step = st
	st.stop = make(chan struct{})
	st.draw()
	go st.redraw(st.stop)
	return st
}

// Update says how far the step is. It may be called as often as it pleases.
func (st *Step) Update(message string) {
	s := st.screen
	message = s.symbols.prose(message)
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.ended || message == st.message {
		return
	}
	st.message = message
	if !s.interactive && time.Since(st.spoken) >= reportEvery {
		p := s.page()
		p.line(span{st.name + ":", plain}, span{message, plain}, span{}, st.elapsed())
		s.write(p.text.String())
		st.spoken = time.Now()
	}
}

// Done ends the step well; the message may be empty.
func (st *Step) Done(message string) {
	s := st.screen
	p := s.page()
	spans := []span{{s.symbols.ok, good}, {st.name, plain}}
	if message = s.symbols.prose(message); message != "" {
		spans = append(spans, span{}, span{message, dim})
	}
	p.line(append(spans, span{}, st.elapsed())...)
	st.end(p)
}

// Fail ends the step with the reason why it could not be done.
func (st *Step) Fail(err error) {
	s := st.screen
	p := s.page()
	p.failure(err, span{s.symbols.failed, bad}, span{st.name + ":", plain})
	st.end(p)
}

func (st *Step) end(p *page) {
	s := st.screen
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.ended {
		return
	}
	st.ended = true
	if st.stop != nil {
		close(st.stop)
	}
	switch s.step {
	case nil:
		s.write(p.text.String())
	case st:
		s.step = nil
		s.write(eraseLine + p.text.String())
	default: // another is drawn, below
		s.write(eraseLine + p.text.String() + s.step.drawn)
	}
}

func (st *Step) redraw(stop <-chan struct{}) {
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			st.screen.mu.Lock()
			if st.screen.step == st {
				st.draw()
			}
			st.screen.mu.Unlock()
		}
	}
}

// draw writes the step's line if it changed; the screen is locked. The line is one column short of the width, as some
// terminals begin a new line when the last column is written.
func (st *Step) draw() {
	s := st.screen
	p := s.page()
	text := st.name
	if st.message != "" {
		text += "  " + st.message
	}
	lead, elapsed := s.symbols.running+" ", st.elapsed().text
	room := s.width - 1 - width(lead)
	if elapsed != "" {
		room -= gap + width(elapsed)
	}
	text = s.symbols.cut(text, max(room, 1))
	p.paint(lead, dim)
	p.paint(text[:min(len(st.name), len(text))], plain)
	p.paint(text[min(len(st.name), len(text)):], dim)
	if elapsed != "" {
		p.paint("  "+elapsed, dim)
	}
	if line := p.text.String(); line != st.drawn {
		s.write(eraseLine + line)
		st.drawn = line
	}
}

func (st *Step) elapsed() span {
	d := time.Since(st.start)
	if d < showElapsedFrom {
		return span{}
	}
	return span{duration(d), dim}
}

// duration in the two largest units: 7s, 1m05s, 2h03m.
func duration(d time.Duration) string {
	d = d.Truncate(time.Second)
	hours, minutes, seconds := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case hours > 0:
		return fmt.Sprintf("%dh%02dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%02ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}
