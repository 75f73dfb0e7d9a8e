// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/json"
	"math"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni/plainjson"
)

// encodeRecord writes a record as encoding/json does, mostly without it.
func encodeRecord(r Record) ([]byte, error) {
	if value, plain := encodePlain(r); plain {
		return value, nil
	}
	return json.Marshal(r)
}

// unmarshalRecord reads what encodeRecord has written.
func unmarshalRecord(value []byte) (Record, error) {
	r, plain := decodePlain(value)
	if plain {
		return r, nil
	}
	r = Record{}
	err := json.Unmarshal(value, &r)
	return r, err
}

// decodeHeader reads a header, mostly without encoding/json.
func decodeHeader(value []byte) (header, error) {
	h, plain := decodePlainHeader(value)
	if plain {
		return h, nil
	}
	h = header{}
	err := json.Unmarshal(value, &h)
	return h, err
}

func decodePlainHeader(value []byte) (h header, plain bool) {
	r := plainjson.NewReader(value)
	r.Object(func(key []byte) {
		switch string(key) {
		case "schema":
			h.Schema = int(r.Int(math.MinInt, math.MaxInt))
		case "bootID":
			h.BootID = r.String()
		case "created":
			h.Created = time.Duration(r.Int(math.MinInt64, math.MaxInt64))
		default:
			r.Decline()
		}
	})
	return h, r.Done()
}

// encodePlain is encodeRecord without encoding/json; false for what is not plain, see plainjson.
func encodePlain(r Record) ([]byte, bool) {
	w := &plainjson.Writer{}
	given := func(key, value string) {
		if value != "" {
			w.Key(key)
			w.String(value)
		}
	}
	w.Object(func() {
		w.Key("containerID")
		w.String(r.ContainerID)
		w.Key("ifName")
		w.String(r.IfName)
		given("network", r.Network)
		given("mac", r.MAC)
		w.Key("leases")
		if r.Leases == nil {
			w.Decline()
		}
		w.List(func() {
			for _, l := range r.Leases {
				w.Object(func() {
					w.Key("address")
					w.Text(l.Address)
					given("pool", l.Pool)
				})
			}
		})
		if r.Pod != (Pod{}) {
			w.Key("pod")
			w.Object(func() {
				given("namespace", r.Pod.Namespace)
				given("name", r.Pod.Name)
				given("uid", r.Pod.UID)
			})
		}
		if r.Netns != (Netns{}) {
			w.Key("netns")
			w.Object(func() {
				given("path", r.Netns.Path)
				if r.Netns.Inode != 0 {
					w.Key("inode")
					w.Uint(r.Netns.Inode)
				}
			})
		}
		w.Key("since")
		w.Int(int64(r.Since))
	})
	return w.Bytes()
}

// decodePlain is unmarshalRecord without encoding/json; false for what is not plain.
func decodePlain(value []byte) (Record, bool) {
	var r Record
	read := plainjson.NewReader(value)
	read.Object(func(key []byte) {
		switch string(key) {
		case "containerID":
			r.ContainerID = read.String()
		case "ifName":
			r.IfName = read.String()
		case "network":
			r.Network = read.String()
		case "mac":
			r.MAC = read.String()
		case "leases":
			r.Leases = plainjson.List(read, func() Lease { return readLease(read) })
		case "pod":
			r.Pod = readPod(read)
		case "netns":
			r.Netns = readNetns(read)
		case "since":
			r.Since = time.Duration(read.Int(math.MinInt64, math.MaxInt64))
		default:
			read.Decline()
		}
	})
	return r, read.Done()
}

func readLease(r *plainjson.Reader) (l Lease) {
	r.Object(func(key []byte) {
		switch string(key) {
		case "address":
			r.Text(&l.Address)
		case "pool":
			l.Pool = r.String()
		default:
			r.Decline()
		}
	})
	return l
}

func readPod(r *plainjson.Reader) (p Pod) {
	r.Object(func(key []byte) {
		switch string(key) {
		case "namespace":
			p.Namespace = r.String()
		case "name":
			p.Name = r.String()
		case "uid":
			p.UID = r.String()
		default:
			r.Decline()
		}
	})
	return p
}

func readNetns(r *plainjson.Reader) (n Netns) {
	r.Object(func(key []byte) {
		switch string(key) {
		case "path":
			n.Path = r.String()
		case "inode":
			n.Inode = r.Uint()
		default:
			r.Decline()
		}
	})
	return n
}
