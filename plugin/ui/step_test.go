// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// terminal is a screen of 60 columns that redraws, without colour.
func terminal(out *bytes.Buffer) *Screen {
	env := map[string]string{"TERM": "xterm", "LANG": "C.UTF-8"}
	return NewScreen(out, Options{
		Color: ColorNever, Getenv: func(name string) string { return env[name] },
		Terminal: func() (int, bool) { return 60, true },
	})
}

// seen is what stood on the lines of a terminal, one entry for each drawing.
func seen(out *bytes.Buffer) []string {
	text := strings.NewReplacer(eraseLine, "\n", "\n", "\n").Replace(out.String())
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

func TestStepOnTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := terminal(&out)
		st := s.Step("Wait for pools")
		st.Update("1 of 4")
		st.Update("2 of 4") // too soon after the first to be drawn
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		st.Update(strings.Repeat("long ", 20))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		st.Done("4 pools")
		st.Done("again")   // has no effect
		st.Update("later") // nor has this
		want := []string{
			"· Wait for pools",
			"· Wait for pools  2 of 4",
			"· Wait for pools  long long long long long long long long …",
			"· Wait for pools  long long long long long long long l…  1s",
			"· Wait for pools  long long long long long long long l…  2s",
			"✓ Wait for pools  4 pools  2s",
		}
		if diff := cmp.Diff(want, seen(&out)); diff != "" {
			t.Error(diff)
		}
		if !strings.HasSuffix(out.String(), eraseLine+"✓ Wait for pools  4 pools  2s\n") {
			t.Errorf("the last line does not take the place of the one drawn: %q", out.String())
		}
	})
}

func TestStepMakesRoomForViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := terminal(&out)
		st := s.Step("Apply")
		s.Note("a conflict was resolved")
		st.Fail(errors.New("the API server said no\nand so did\x1b[31m a webhook"))
		want := eraseLine + "· Apply" +
			eraseLine + "i a conflict was resolved\n· Apply" +
			eraseLine + "✗ Apply: the API server said no\n  and so did\\x1b[31m a webhook\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStepBesideAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := terminal(&out)
		first, second := s.Step("first"), s.Step("second")
		first.Done("")
		second.Done("")
		want := eraseLine + "· first\n" + eraseLine + "· second" + eraseLine + "✓ first\n· second" + eraseLine + "✓ second\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStepInPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := NewScreen(&out, Options{Getenv: func(string) string { return "" }})
		st := s.Step("Apply")
		for range 1000 { // ten seconds
			time.Sleep(10 * time.Millisecond)
			st.Update("pool " + time.Now().Format("05.00"))
		}
		st.Done("1,000 pools")
		want := "Apply\nApply: pool 05.00  5s\nApply: pool 10.00  10s\nok Apply  1,000 pools  10s\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1999 * time.Millisecond:      "1s",
		59 * time.Second:             "59s",
		65 * time.Second:             "1m05s",
		2*time.Hour + 3*time.Minute:  "2h03m",
		26*time.Hour + 3*time.Minute: "26h03m",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) = %s, want %s", d, got, want)
		}
	}
}
