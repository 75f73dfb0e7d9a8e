// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// longestAnswer in bytes; a longer one is no answer.
const longestAnswer = 1024

// Confirm asks a question and reads the answer's line, no byte more. Only y and yes are yes; the end of input is no.
func (s *Screen) Confirm(in io.Reader, question string) (bool, error) {
	p := s.page()
	p.width = max(p.width-1, 0) // for the space before the answer
	p.flow(0, span{s.symbols.prose(question), heading}, span{"[y/N]", dim})
	s.print(strings.TrimSuffix(p.text.String(), "\n") + " ")
	answer, err := readLine(in)
	switch {
	case errors.Is(err, io.EOF):
		s.print("\n") // the answer's own line break is missing
	case err != nil:
		return false, fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

func readLine(in io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for len(line) < longestAnswer {
		n, err := in.Read(b)
		switch {
		case n > 0 && b[0] == '\n':
			return string(line), nil
		case n > 0:
			line = append(line, b[0])
		case err != nil:
			return string(line), err
		}
	}
	return "", fmt.Errorf("longer than %d characters", longestAnswer)
}
