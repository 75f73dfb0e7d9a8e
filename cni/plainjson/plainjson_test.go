// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plainjson

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"testing"
)

type sample struct {
	Text    string     `json:"text"`
	Yes     bool       `json:"yes"`
	Small   int8       `json:"small"`
	Large   int64      `json:"large"`
	Size    uint64     `json:"size"`
	Address netip.Addr `json:"address"`
	List    []string   `json:"list"`
	Inner   []inner    `json:"inner"`
}

type inner struct {
	Number int64 `json:"number"`
}

func read(data []byte) (sample, bool) {
	var s sample
	r := NewReader(data)
	r.Object(func(key []byte) {
		switch string(key) {
		case "text":
			s.Text = r.String()
		case "yes":
			s.Yes = r.Bool()
		case "small":
			s.Small = int8(r.Int(math.MinInt8, math.MaxInt8))
		case "large":
			s.Large = r.Int(math.MinInt64, math.MaxInt64)
		case "size":
			s.Size = r.Uint()
		case "address":
			r.Text(&s.Address)
		case "list":
			s.List = List(r, r.String)
		case "inner":
			s.Inner = List(r, func() (i inner) {
				r.Object(func(key []byte) {
					if string(key) != "number" {
						r.Decline()
					}
					i.Number = r.Int(math.MinInt64, math.MaxInt64)
				})
				return i
			})
		default:
			r.Decline()
		}
	})
	return s, r.Done()
}

func write(s sample) ([]byte, bool) {
	w := &Writer{}
	w.Object(func() {
		w.Key("text")
		w.String(s.Text)
		w.Key("large")
		w.Int(s.Large)
		w.Key("size")
		w.Uint(s.Size)
		w.Key("inner")
		w.List(func() {
			for _, i := range s.Inner {
				w.Object(func() {
					w.Key("number")
					w.Int(i.Number)
				})
			}
		})
	})
	return w.Bytes()
}

// readsAlike says whether data is plain; if so, it must be the same to encoding/json.
func readsAlike(t *testing.T, data []byte) bool {
	t.Helper()
	quick, plain := read(data)
	if !plain {
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var s sample
	if err := decoder.Decode(&s); err != nil || !reflect.DeepEqual(quick, s) || len(bytes.TrimSpace(data[decoder.InputOffset():])) > 0 {
		t.Fatalf("%s\nread as %+v, and by encoding/json as %+v, error %v", data, quick, s, err)
	}
	return true
}

const whole = ` {"text": "a b", "yes":true,"small":-128,"large":-92233720368547758,"size":1844674407370955160,
	"address":"10.0.0.1","list":["x","y"],"inner":[{"number":0},{}] }`

func TestPlain(t *testing.T) {
	for _, text := range []string{whole, `{}`, `{"list":[]}`, `{"list":null}`, `{"address":""}`, `{"yes":false}`, `{"large":-0}`} {
		if !readsAlike(t, []byte(text)) {
			t.Errorf("%s is declined", text)
		}
	}
}

// TestDeclined is what encoding/json has to look at, right or wrong.
func TestDeclined(t *testing.T) {
	for _, text := range []string{
		``, `null`, `[]`, `{`, `{}x`, `{,}`, `{"text":"a",}`, `{"text" "a"}`, `{"text":"a" "yes":true}`, `{"list":["a",]}`, `{"list":[,]}`, `{"list":["a" "b"]}`,
		`{"text":"a","text":"b"}`, `{"Text":"a"}`, `{"other":1}`, `{"text":null}`, `{"text":"\n"}`, "{\"text\":\"\n\"}", `{"text":"ü"}`, `{"text":"a`, `{"text":1}`,
		`{"yes":True}`, `{"yes":tru`, `{"yes":1}`, `{"small":128}`, `{"small":-129}`, `{"small":1.0}`, `{"small":1e1}`, `{"small":01}`, `{"small":- 1}`, `{"small":-}`,
		`{"small":+1}`, `{"large":9223372036854775808}`, `{"size":-1}`, `{"size":18446744073709551616}`, `{"address":"10.0.0"}`, `{"inner":[null]}`, `{"inner":{}}`,
	} {
		if readsAlike(t, []byte(text)) {
			t.Errorf("%s is not declined", text)
		}
	}
}

// FuzzRead: what is not declined is what encoding/json reads, and writing it gives what that writes.
func FuzzRead(f *testing.F) {
	f.Add([]byte(whole))
	for i := range whole {
		f.Add([]byte(whole[:i] + whole[i+1:]))
		f.Add([]byte(whole[:i] + whole[i:i+1] + whole[i:]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !readsAlike(t, data) {
			return
		}
		s, _ := read(data)
		got, plain := write(s)
		want, err := json.Marshal(struct {
			Text  string  `json:"text"`
			Large int64   `json:"large"`
			Size  uint64  `json:"size"`
			Inner []inner `json:"inner"`
		}{s.Text, s.Large, s.Size, append([]inner{}, s.Inner...)})
		if err != nil || !plain || string(got) != string(want) {
			t.Errorf("written as %s (plain: %v), and by encoding/json as %s, error %v", got, plain, want, err)
		}
	})
}
