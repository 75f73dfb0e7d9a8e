// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// anyText is what a cluster or a file may hold: mostly ordinary, at times wide, hostile or very long.
func anyText() *rapid.Generator[string] {
	word := rapid.OneOf(
		rapid.SampledFrom([]string{
			"", "master", "ip-10-0-0-10.eu-central-1.compute.internal", "节点-一", "ノード", "é", "e\u0301", "👩\u200d💻", "❤\ufe0f",
			"\x1b[31m", "\x1b]0;title\a", "\x1b[2J\x1b[H", "\r", "\n", "\t", "\u202e", "\u009b31m", "\xff\xfe", "\u0301", "\u3000", " ", "  ",
			"2406:da1e:c4:ed01:c57d::/80", `["10.0.0.0/28","10.0.0.16/28"]`, "a, b, c", ", ",
		}),
		rapid.String(),
		rapid.StringMatching(`[a-z0-9.-]{1,60}`),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) }),
	)
	return rapid.Map(rapid.SliceOfN(word, 0, 6), func(words []string) string { return strings.Join(words, " ") })
}

func anyPool() *rapid.Generator[v1alpha1.UnderlayPool] {
	return rapid.Custom(func(t *rapid.T) v1alpha1.UnderlayPool {
		text := func(label string) string { return anyText().Draw(t, label) }
		number := func(label string) int64 { return rapid.Int64Range(0, 1<<53-1).Draw(t, label) }
		status := func(label string) metav1.ConditionStatus {
			return rapid.SampledFrom([]metav1.ConditionStatus{"True", "False", "Unknown"}).Draw(t, label)
		}
		p := pool(text("network"), text("node"), rapid.Int32().Draw(t, "device"), v1alpha1.IPFamily(text("family")), text("subnet"),
			text("gateway"), rapid.SliceOfN(anyText(), 0, 5).Draw(t, "ranges")...)
		p.Name = text("name")
		p.Spec.Interface.ID = text("id")
		p.Spec.Allocation = v1alpha1.Allocation(text("allocation"))
		if rapid.Bool().Draw(t, "observed") {
			p.Status.Usage = v1alpha1.Usage{Capacity: number("capacity"), Allocated: number("allocated"), Available: number("available")}
			p.Status.Cooling = number("cooling")
			p.Status.Conditions = []metav1.Condition{{Type: "Valid", Status: status("valid")}, {Type: "InSync", Status: status("synced")}}
		}
		return p
	})
}

func anyInventory() *rapid.Generator[v1alpha1.Inventory] {
	address := rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) netip.Addr {
		if b[0]%2 == 0 {
			return netip.AddrFrom4([4]byte(b))
		}
		return netip.AddrFrom16([16]byte(b))
	})
	prefix := rapid.Map(address, func(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 28) })
	return rapid.Custom(func(t *rapid.T) v1alpha1.Inventory {
		text := func(label string) string { return anyText().Draw(t, label) }
		inventory := v1alpha1.Inventory{OtherIPAM: []v1alpha1.OtherIPAM{v1alpha1.OtherIPAM(text("ipam"))}}
		for range rapid.IntRange(0, 3).Draw(t, "nodes") {
			node := v1alpha1.Node{
				Name: text("name"), InstanceID: text("instance"), InstanceType: text("type"), Kernel: text("kernel"),
				Labels: map[string]string{zoneLabel: text("zone")},
			}
			for range rapid.IntRange(0, 3).Draw(t, "interfaces") {
				node.Interfaces = append(node.Interfaces, v1alpha1.Interface{
					ID: text("id"), Name: text("link"), SubnetID: "subnet-1", DeviceIndex: rapid.Int32().Draw(t, "device"),
					PrimaryIPv4: address.Draw(t, "primary"), SecondaryIPv4: rapid.SliceOfN(address, 0, 5).Draw(t, "secondary"),
					IPv4Prefixes: rapid.SliceOfN(prefix, 0, 5).Draw(t, "prefixes"),
				})
			}
			inventory.Nodes = append(inventory.Nodes, node)
		}
		if rapid.Bool().Draw(t, "known") {
			inventory.Subnets = []v1alpha1.Subnet{subnet("subnet-1", "a", "10.0.0.0/16", "fd00::/64")}
		}
		return inventory
	})
}

func anyFinding() *rapid.Generator[plan.Finding] {
	return rapid.Custom(func(t *rapid.T) plan.Finding {
		text := func(label string) string { return anyText().Draw(t, label) }
		severity := rapid.OneOf(rapid.SampledFrom([]string{"error", "warning", "info"}), anyText()).Draw(t, "severity")
		return plan.Finding{
			ID: text("id"), Severity: plan.Severity(severity), Object: text("object"), Message: text("message"), Remedy: text("remedy"),
		}
	})
}

func anyChange() *rapid.Generator[plan.Change] {
	return rapid.Custom(func(t *rapid.T) plan.Change {
		text := func(label string) string { return anyText().Draw(t, label) }
		c := plan.Change{
			Action: rapid.SampledFrom([]plan.Action{plan.Create, plan.Update, plan.Delete, plan.Unchanged}).Draw(t, "action"),
			Kind:   rapid.OneOf(rapid.Just("UnderlayPool"), anyText()).Draw(t, "kind"), Namespace: text("namespace"), Name: text("name"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "fields") {
			common := text("common")
			c.Fields = append(c.Fields, plan.FieldChange{
				Path: text("path"), Old: common + text("old") + common, New: common + text("new") + common,
			})
		}
		return c
	})
}

func anyStatus() *rapid.Generator[Status] {
	return rapid.Custom(func(t *rapid.T) Status {
		text := func(label string) string { return anyText().Draw(t, label) }
		workload := func(label string) *Workload {
			if !rapid.Bool().Draw(t, label) {
				return nil
			}
			return &Workload{Ready: rapid.Int32().Draw(t, "ready"), Desired: rapid.Int32().Draw(t, "desired"), Image: text("image"), Leader: text("leader")}
		}
		st := Status{Operator: workload("operator"), Agents: workload("agents"), Findings: rapid.SliceOfN(anyFinding(), 0, 3).Draw(t, "findings")}
		for range rapid.IntRange(0, 3).Draw(t, "networks") {
			n := NetworkStatus{Name: text("name"), Ready: text("ready"), Default: rapid.Bool().Draw(t, "default"), Nodes: rapid.Int().Draw(t, "nodes")}
			for range rapid.IntRange(0, 2).Draw(t, "families") {
				n.Usage = append(n.Usage, FamilyUse{
					Family: v1alpha1.IPFamily(text("family")), Pools: rapid.IntRange(0, 9).Draw(t, "pools"), Capacity: rapid.Int64Range(0, 1<<53-1).Draw(t, "capacity"),
					Allocated: rapid.Int64Range(0, 1<<53-1).Draw(t, "allocated"), Available: rapid.Int64Range(0, 1<<53-1).Draw(t, "available"),
				})
			}
			st.Networks = append(st.Networks, n)
		}
		return st
	})
}

// drawAny draws one view of random content.
func drawAny(t *rapid.T, s *Screen) {
	text := func(label string) string { return anyText().Draw(t, label) }
	// A command may be wider than the screen only where quotes forbid a break.
	command := func(label string) string { return strings.Map(unquoted, text(label)) }
	views := map[string]func(){
		"pools": func() {
			s.Pools(rapid.SliceOfN(anyPool(), 0, 8).Draw(t, "pools"), PoolOptions{
				Wide: rapid.Bool().Draw(t, "wide"),
				Link: func(string, string) string { return text("link") },
			})
		},
		"inventory": func() { s.Inventory(anyInventory().Draw(t, "inventory")) },
		"findings":  func() { s.Findings(rapid.SliceOfN(anyFinding(), 0, 8).Draw(t, "findings")) },
		"changes": func() {
			changes := rapid.SliceOfN(anyChange(), 0, 8).Draw(t, "changes")
			for range rapid.SampledFrom([]int{0, summariseFrom + 1}).Draw(t, "more") {
				changes = append(changes, plan.Change{Action: plan.Create, Kind: text("kind"), Name: text("name")})
			}
			s.Changes(changes, ChangeOptions{Hint: text("hint"), All: rapid.Bool().Draw(t, "all")})
		},
		"checks": func() {
			s.Checks([]CheckRow{{text("id"), plan.Severity(text("severity")), text("title")}, {"a", "b", "c"}})
		},
		"status": func() { s.Status(anyStatus().Draw(t, "status")) },
		"next":   func() { s.Next(Command{command("line"), text("why")}, Command{command("line"), text("why")}) },
		"say": func() {
			s.Note(text("note"))
			s.Changes(nil, ChangeOptions{Title: text("title")})
		},
		"step": func() {
			st := s.Step(text("step"))
			st.Update(text("update"))
			st.Done(text("done"))
			s.Step(text("step")).Fail(errors.New(text("failure")))
		},
		"confirm": func() { _, _ = s.Confirm(strings.NewReader("no"), text("question")) },
	}
	views[rapid.SampledFrom([]string{
		"pools", "inventory", "findings", "changes", "checks", "status", "next", "say", "step", "confirm",
	}).Draw(t, "view")]()
}

func unquoted(r rune) rune {
	if r == '\'' || r == '"' {
		return -1
	}
	return r
}

// TestNothingIsWider: whatever the content, no line is wider than the screen, and no escape sequence or control
// character comes from the content.
func TestNothingIsWider(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(40, 200).Draw(t, "width")
		env := rapid.SampledFrom([]map[string]string{
			{"LANG": "C.UTF-8", "TERM": "xterm"}, {"LANG": "C", "TERM": "xterm"},
		}).Draw(t, "environment")
		var out bytes.Buffer
		s := NewScreen(&out, Options{
			Width:  columns,
			Color:  rapid.SampledFrom([]Color{ColorAlways, ColorNever}).Draw(t, "color"),
			Getenv: func(name string) string { return env[name] },
		})
		drawAny(t, s)
		for line := range strings.Lines(withoutPalette(s, out.String())) {
			line = strings.TrimSuffix(line, "\n")
			if w := ansi.StringWidth(line); w > columns {
				t.Fatalf("%d columns in %d: %q", w, columns, line)
			}
			if strings.HasSuffix(line, " ") && !strings.HasSuffix(line, "[y/N] ") {
				t.Fatalf("space at the end of %q", line)
			}
			if i := strings.IndexFunc(line, unprintable); i >= 0 {
				t.Fatalf("control character in %q", line)
			}
			if env["LANG"] == "C" && strings.IndexFunc(line, func(r rune) bool { return r > unicode.MaxASCII }) >= 0 {
				t.Fatalf("not ASCII: %q", line)
			}
		}
	})
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// withoutPalette takes the screen's own escape sequences away, no others.
func withoutPalette(s *Screen, text string) string {
	for _, look := range s.palette {
		if look.on != "" {
			text = strings.ReplaceAll(strings.ReplaceAll(text, look.on, ""), look.off, "")
		}
	}
	return text
}

// TestColorChangesNothingElse: colour only adds escape sequences.
func TestColorChangesNothingElse(t *testing.T) {
	for view, draw := range views() {
		t.Run(view, func(t *testing.T) {
			render := func(color Color) (*Screen, string) {
				var out bytes.Buffer
				s := NewScreen(&out, Options{Width: 100, Color: color, Getenv: func(string) string { return "" }})
				draw(s)
				return s, out.String()
			}
			_, uncolored := render(ColorNever)
			s, colored := render(ColorAlways)
			if got := withoutPalette(s, colored); got != uncolored {
				t.Errorf("without its colours the view is\n%s\nand not\n%s", got, uncolored)
			}
			if colored == uncolored && view != "pools-none" {
				t.Error("no colour")
			}
		})
	}
}

// TestPipeIsWhole: without a width nothing is cut.
func TestPipeIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z0-9:/.-]{1,300}`)
		node, ranges := word.Draw(t, "node"), rapid.SliceOfN(word, 1, 128).Draw(t, "ranges")
		message := strings.Join(rapid.SliceOfN(word, 1, 20).Draw(t, "message"), " ")
		var out bytes.Buffer
		s := NewScreen(&out, Options{Getenv: func(string) string { return "" }})
		s.Pools([]v1alpha1.UnderlayPool{pool("n", node, 0, "IPv4", "10.0.0.0/8", "10.0.0.1", ranges...)}, PoolOptions{})
		s.Findings([]plan.Finding{{ID: "a", Severity: plan.Error, Object: "b", Message: message, Remedy: message}})
		s.Changes([]plan.Change{{Action: plan.Update, Name: node, Fields: []plan.FieldChange{{Path: "p", Old: message, New: node}}}}, ChangeOptions{})
		for _, want := range []string{node, strings.Join(ranges, ", "), "b: " + message + "\n", "-> " + message + "\n", message + " -> " + node} {
			if !strings.Contains(out.String(), want) {
				t.Fatalf("%q is missing in\n%s", want, out.String())
			}
		}
	})
}
