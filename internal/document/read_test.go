// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
)

const header = "apiVersion: underlay.dev/v1alpha1\nkind: Inventory\nprovider: AWS\n"

func utf16With(order binary.AppendByteOrder, text string) string {
	out := order.AppendUint16(nil, 0xfeff)
	for _, unit := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

// TestEncodings reads the walkthrough as other systems write it.
func TestEncodings(t *testing.T) {
	raw, err := os.ReadFile("../../docs/examples/walkthrough.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	want, err := document.ReadInventory("walkthrough.yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, encoded := range map[string]string{
		"Windows line ends":            strings.ReplaceAll(text, "\n", "\r\n"),
		"byte order mark":              "\ufeff" + text,
		"both":                         "\ufeff" + strings.ReplaceAll(text, "\n", "\r\n"),
		"UTF-16, little end first":     utf16With(binary.LittleEndian, text),
		"UTF-16, big end first":        utf16With(binary.BigEndian, text),
		"no line end at the end":       strings.TrimSpace(text),
		"document markers around":      "---\n" + text + "...\n",
		"an empty document before":     "---\n---\n" + text,
		"a directive":                  "%YAML 1.1\n---\n" + text,
		"white space before and after": "\n\n" + text + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := document.ReadInventory("walkthrough.yaml", strings.NewReader(encoded))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
				t.Errorf("differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWindowsLines: places are counted the same whatever the line ends, and a byte order mark is no character.
func TestWindowsLines(t *testing.T) {
	text := "\ufeff" + strings.ReplaceAll(header+"nodes:\n- nam: a\n", "\n", "\r\n")
	_, err := document.ReadInventory("f", strings.NewReader(text))
	if err == nil || !strings.HasPrefix(err.Error(), "f:5:3: nodes[0].nam: unknown field; did you mean name?") {
		t.Errorf("got %v", err)
	}
}

// TestHostileFiles: refused with few words, and without much work or memory.
func TestHostileFiles(t *testing.T) {
	bomb := header + "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 10; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	merges := header + "a0: &a0 {x: 1}\n"
	for i := 1; i < 30; i++ {
		merges += fmt.Sprintf("a%d: &a%d {<<: [*a%d, *a%d]}\n", i, i, i-1, i-1)
	}
	tests := map[string]struct{ text, want string }{
		"aliases of aliases":       {bomb, "aliases (*name) expand to more than 100000 values: write them out"},
		"merges of merges":         {merges, "aliases (*name) expand to more than 100000 values: write them out"},
		"alias that holds itself":  {header + "nodes: &a [*a]\n", "nests deeper than 100 levels"},
		"deep YAML":                {header + "nodes: " + strings.Repeat("[", 500) + strings.Repeat("]", 500), "nests deeper than 100 levels"},
		"deep blocks":              {header + "routeTables:\n" + strings.Repeat("- ", 500) + "a\n", "nests deeper than 100 levels"},
		"deep JSON":                {`{"a":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}", "nests deeper than 100 levels"},
		"very deep JSON":           {`{"a":` + strings.Repeat("[", 200_000), "nests deeper than 100 levels"},
		"deep JSON inside an item": {`{"routeTables":[{"a":` + strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500) + "}]}", "nests deeper than 100 levels"},
		"huge exponent":            {header + "nodes: [{name: a, interfaces: [{mtu: 1e999999999}]}]\n", "f:4:38: nodes[0].interfaces[0].mtu: "},
		"long word":                {header + strings.Repeat("k", 1000) + ": 1\n", "f:4:1: " + strings.Repeat("k", 60) + "…: unknown field; allowed: "},
		"not UTF-8":                {header + "nodes: [{name: \"w\xf6rker\"}]\n", "f:4:18: is not UTF-8 text: save the file as UTF-8"},
		"a picture":                {"\x89PNG\r\n\x1a\n\x00\x00", "f:1:1: is not UTF-8 text"},
		"YAML of another version":  {"%YAML 1.2\n---\n" + header, "remove the %YAML line"},
		"control character":        {header + "nodes: [{name: \"a\x01\"}]\n", "control characters are not allowed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := document.ReadInventory("f", strings.NewReader(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q in it", err, test.want)
			}
			if len(err.Error()) > 10_000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

// endless gives spaces for ever, and counts what was read of them.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func TestSizeLimit(t *testing.T) {
	reader := &endless{}
	_, err := document.ReadInventory("-", reader)
	if err == nil || err.Error() != "stdin: is larger than 64 MiB, the most that is read" {
		t.Errorf("got %v", err)
	}
	if reader.read > 130<<20 { // io.ReadAll's buffer grows in steps
		t.Errorf("read %d bytes", reader.read)
	}
}

// TestReadError: what goes wrong with reading itself is no problem of the file.
func TestReadError(t *testing.T) {
	cause := errors.New("disk on fire")
	for name, read := range map[string]func(io.Reader) error{
		"inventory": func(r io.Reader) error { _, err := document.ReadInventory("-", r); return err },
		"networks":  func(r io.Reader) error { _, err := document.ReadNetworks("-", r); return err },
	} {
		err := read(io.MultiReader(strings.NewReader(header), iotest.ErrReader(cause)))
		if !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), "read stdin: ") {
			t.Errorf("%s: got %v", name, err)
		}
		if _, ok := errors.AsType[*document.Error](err); ok {
			t.Errorf("%s: %v counts as a problem of the file", name, err)
		}
	}
}

// TestProblems: programs get places and fields, and all problems, though only twenty are printed.
func TestProblems(t *testing.T) {
	var text bytes.Buffer
	text.WriteString(header + "nodes:\n")
	for range 30 {
		text.WriteString("- {}\n")
	}
	_, err := document.ReadInventory("f", &text)
	problems, ok := errors.AsType[*document.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if len(problems.Problems) != 30 || strings.Count(err.Error(), "\n") != 20 || !strings.HasSuffix(err.Error(), "f: and 10 more problems") {
		t.Errorf("%d problems, printed as:\n%v", len(problems.Problems), err)
	}
	want := document.Problem{File: "f", Line: 6, Column: 3, Field: "nodes[1].name", Message: "is required: name of the Kubernetes node"}
	if diff := cmp.Diff(want, problems.Problems[1]); diff != "" {
		t.Errorf("second problem differs (-want +got):\n%s", diff)
	}
}

// TestHopelessFile: a file in which everything is wrong takes no more time and memory than its size allows.
func TestHopelessFile(t *testing.T) {
	text := header + "nodes:\n" + strings.Repeat("- {a: 1, b: 2, c: [1, 2, 3]}\n", 100_000)
	_, err := document.ReadInventory("f", strings.NewReader(text))
	problems, ok := errors.AsType[*document.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if len(problems.Problems) > 10_000 {
		t.Errorf("%d problems were collected", len(problems.Problems))
	}
}

// TestLowerMAC: pools are compared with MAC addresses in lower case.
func TestLowerMAC(t *testing.T) {
	inventory, err := document.ReadInventory("f", strings.NewReader(header+
		`nodes: [{name: a, interfaces: [{id: e, macAddress: "02:0A:00:00:00:FF", deviceIndex: 0, subnetID: s}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	if got := inventory.Nodes[0].Interfaces[0].MACAddress; got != "02:0a:00:00:00:ff" {
		t.Errorf("got %s", got)
	}
}

// TestVerbatim: what EC2 prints keeps every field, in order.
func TestVerbatim(t *testing.T) {
	const item = `{"RouteTableId":"rtb-1","Routes":[{"GatewayId":"local","Null":null,"Big":12345678901234567890}],"<a>":"&"}`
	for name, text := range map[string]string{
		"in JSON": `{"apiVersion":"underlay.dev/v1alpha1","kind":"Inventory","provider":"AWS","routeTables":[` + item + `]}`,
		"in YAML": header + "routeTables:\n- " + item + "\n",
	} {
		inventory, err := document.ReadInventory("f", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(inventory.RouteTables[0]); got != item {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// TestNoDefaults: networks are what was written, and no more.
func TestNoDefaults(t *testing.T) {
	networks, err := document.ReadNetworks("f", strings.NewReader(
		"{apiVersion: underlay.dev/v1alpha1, kind: UnderlayNetwork, metadata: {name: a}, spec: {interfaceSelector: {names: [a]}}}"))
	if err != nil {
		t.Fatal(err)
	}
	want := v1alpha1.UnderlayNetworkSpec{InterfaceSelector: v1alpha1.InterfaceSelector{Names: []string{"a"}}}
	if diff := cmp.Diff(want, networks[0].Spec); diff != "" {
		t.Errorf("spec differs (-want +got):\n%s", diff)
	}
}
