// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

func (w *world) path() string { return filepath.Join(w.options.Folder, "store.db") }

// finds makes the world's namespaces hold addresses: "namespace interface address".
func (w *world) finds(list ...string) {
	w.options.Found = func() ([]Found, error) {
		var found []Found
		for _, s := range list {
			fields := strings.Fields(s)
			found = append(found, Found{
				Address: netip.MustParseAddr(fields[2]),
				IfName:  fields[1],
				Netns:   Netns{Path: "/run/netns/" + fields[0], Inode: 4026530000 + uint64(fields[0][0])},
			})
		}
		return found, nil
	}
}

func TestFilesOfTheStore(t *testing.T) {
	w := newWorld(t, ipv4())
	w.options.Folder = filepath.Join(w.options.Folder, "run", "underlay")
	w.add("a")
	got := map[string]fs.FileMode{}
	entries, err := os.ReadDir(w.options.Folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range append(entries, must(fileInfo(w.options.Folder))) {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = info.Mode()
	}
	want := map[string]fs.FileMode{"lock": 0o600, "store.db": 0o600, "underlay": fs.ModeDir | 0o700}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func fileInfo(path string) (fs.DirEntry, error) {
	info, err := os.Stat(path)
	return fs.FileInfoToDirEntry(info), err
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestOtherBoot(t *testing.T) {
	w := newWorld(t, ipv4())
	w.add("a")
	w.options.BootID = "boot-2"
	w.now = time.Second
	w.want(w.records(), "")
	w.want(w.add("b"), "10.0.1.0")
	if entries, _ := os.ReadDir(w.options.Folder); len(entries) != 2 {
		t.Errorf("the folder holds %v: a store of another boot is worth nothing", entries)
	}
}

func TestRemovedStore(t *testing.T) {
	w := newWorld(t, ipv4())
	w.add("a")
	w.add("b")
	w.finds("a eth0 10.0.1.0", "b eth0 10.0.1.1")
	if err := os.RemoveAll(w.options.Folder); err != nil {
		t.Fatal(err)
	}
	w.want(w.add("c"), "10.0.1.2")
}

// What is found in live namespaces is held, comes back to its owner, and is freed by DEL with the namespace's path or by the agent's collection.
func TestFoundAddresses(t *testing.T) {
	w := newWorld(t, dual())
	w.finds("a eth0 10.0.1.0", "a eth0 fd00::10", "b eth0 10.0.1.1", "b net1 10.0.1.2", "c eth0 10.0.1.1", "d eth0 192.0.2.1")
	w.want(w.add("x"), "10.0.1.3,fd00::11")
	w.wantPart(strings.Join(w.logged, "\n"), "address 10.0.1.1 is held twice or is none: namespace /run/netns/c, interface eth0")
	w.store(func(s *Store) {
		u := must(s.Usage(w.node))
		if u.Pools[0].Held != 4 || len(u.Stranded) != 1 || u.Stranded[0].Address.String() != "192.0.2.1" {
			t.Errorf("usage: %+v", u)
		}
	})

	r := request("a") // the runtime asks again for a sandbox which it knows, and the store does not
	r.Netns = Netns{Path: "/run/netns/a", Inode: 4026530000 + 'a'}
	w.want(w.addRequest(r), "10.0.1.0,fd00::10")
	w.want(w.add("a"), "10.0.1.0,fd00::10")

	r = request("d") // its address is of no pool of ours
	r.Netns = Netns{Path: "/run/netns/d", Inode: 4026530000 + 'd'}
	w.wantPart(w.addRequest(r), "4 addresses, 4 held")

	w.store(func(s *Store) {
		for path, want := range map[string]int{"": 0, "/run/netns/other": 0, "/var/run/netns//b": 1} {
			if freed := must(s.Release(owner("b"), path)); len(freed) != want {
				t.Errorf("DEL with path %q freed %v", path, freed)
			}
		}
	})
	w.now += time.Hour
	if freed := must(Collect(t.Context(), w.options, Collection{Network: "net", Alive: func(Record) (bool, error) { return false, nil }})); len(freed) != 2 {
		t.Errorf("the verb freed %v, want a and x", freed)
	}
	if freed := must(Collect(t.Context(), w.options, Collection{Alive: func(Record) (bool, error) { return false, nil }})); len(freed) != 2 {
		t.Errorf("the agent freed %v, want b net1 and d", freed)
	}
	w.want(w.records(), "")
	w.now += time.Hour
	for _, id := range []string{"p", "q", "r", "s"} {
		w.wantPart(w.add(id), "10.0.1.")
	}
}

func TestNoStoreWithoutKnowingWhatIsHeld(t *testing.T) {
	w := newWorld(t, ipv4())
	w.options.Found = func() ([]Found, error) { return nil, errors.New("cannot list namespaces") }
	for range 2 {
		if _, err := Open(t.Context(), w.options); err == nil || !strings.Contains(err.Error(), "so none is handed out: cannot list namespaces") {
			t.Errorf("got %v", err)
		}
	}
	w.options.Found = nil
	if _, err := Open(t.Context(), w.options); err == nil {
		t.Error("a store was opened without a way to find what is held")
	}
}

// wounds are ways to damage a store.
func wounds() map[string]func(w *world) {
	rewrite := func(change func(data []byte) []byte) func(w *world) {
		return func(w *world) {
			if err := os.WriteFile(w.path(), change(must(os.ReadFile(w.path()))), 0o600); err != nil {
				w.Fatal(err)
			}
		}
	}
	inside := func(change func(tx *bbolt.Tx) error) func(w *world) {
		return func(w *world) {
			db := must(bbolt.Open(w.path(), 0o600, nil))
			if err := errors.Join(db.Update(change), db.Close()); err != nil {
				w.Fatal(err)
			}
		}
	}
	bucket := func(tx *bbolt.Tx, name string) *bbolt.Bucket { return tx.Bucket([]byte(name)) }
	list := map[string]func(w *world){
		"empty":                   rewrite(func([]byte) []byte { return nil }),
		"zeros":                   rewrite(func(d []byte) []byte { return make([]byte, len(d)) }),
		"text":                    rewrite(func([]byte) []byte { return []byte("half a store") }),
		"one page":                rewrite(func(d []byte) []byte { return d[:4096] }),
		"cut in the middle":       rewrite(func(d []byte) []byte { return d[:len(d)/2/4096*4096] }),
		"no pages but the meta":   rewrite(func(d []byte) []byte { clear(d[2*4096:]); return d }),
		"both metas damaged":      rewrite(func(d []byte) []byte { d[20]++; d[4096+20]++; return d }),
		"the first meta damaged":  rewrite(func(d []byte) []byte { d[16+40]++; return d }),
		"the second meta damaged": rewrite(func(d []byte) []byte { d[4096+16+40]++; return d }),
		"a bolt file of others": func(w *world) {
			_ = os.Remove(w.path())
			inside(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err })(w)
		},
		"another schema": inside(func(tx *bbolt.Tx) error {
			return bucket(tx, "header").Put(headerKey(), []byte(`{"schema": 2, "bootID": "boot-1"}`))
		}),
		"a header of nothing": inside(func(tx *bbolt.Tx) error { return bucket(tx, "header").Put(headerKey(), nil) }),
		"a record of nothing": inside(func(tx *bbolt.Tx) error { return bucket(tx, "records").Put([]byte(recordKey(owner("a"))), []byte("{")) }),
		"an entry of nothing": inside(func(tx *bbolt.Tx) error {
			return bucket(tx, "waiting").Put(addressKey(netip.MustParseAddr("10.0.1.0")), []byte("x"))
		}),
		"lost runs": inside(func(tx *bbolt.Tx) error {
			return bucket(tx, "runs").Delete(addressKey(netip.MustParseAddr("10.0.1.0")))
		}),
		"a false run": inside(func(tx *bbolt.Tx) error { return bucket(tx, "runs").Put([]byte("4abcd"), []byte("4abcc")) }),
	}
	for _, s := range []state{released, quarantined} {
		list[fmt.Sprintf("an address queued as %c that does not wait", s)] = func(w *world) {
			w.pool(0).Ranges = mustRanges("10.0.1.0-10.0.1.4")
			for _, id := range []string{"d", "e"} { // none is fresh then
				w.add(id)
				w.del(id)
			}
			w.now += time.Hour
			inside(func(tx *bbolt.Tx) error {
				return bucket(tx, "queue").Put(queueKey(s, 1, 0, addressKey(netip.MustParseAddr("10.0.1.9"))), nil)
			})(w)
		}
	}
	for _, name := range bucketNames() {
		list["without "+name] = inside(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(name)) })
	}
	return list
}

func TestDamagedStore(t *testing.T) {
	for name, wound := range wounds() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oneNode(onePool(nodefile.IPv4, "10.0.1.0/28")))
			for _, id := range []string{"a", "b", "c"} {
				w.add(id)
			}
			w.finds("a eth0 10.0.1.0", "b eth0 10.0.1.1", "c eth0 10.0.1.2")
			wound(w)
			// Whatever a command needs of the store, one of these meets the damage.
			held := map[string]bool{"10.0.1.0": true, "10.0.1.1": true, "10.0.1.2": true}
			s, err := Open(t.Context(), w.options)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"x", "y"} {
				a, err := s.Allocate(w.node, request(id))
				if err != nil {
					t.Fatal(err)
				}
				if held[addresses(a)] {
					t.Errorf("%s is held by a live namespace, and was handed out", addresses(a))
				}
				held[addresses(a)] = true
			}
			if _, err := s.Release(owner("a"), "/run/netns/a"); err != nil {
				t.Error(err)
			}
			if _, err := s.Usage(w.node); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			w.store(func(*Store) {}) // the checker finds nothing
			note, err := os.ReadFile(w.path() + ".bad-1.txt")
			if err != nil || !bytes.Contains(note, []byte("Set aside")) || len(w.logged) != 1 {
				t.Errorf("note %q, %v; logged %v", note, err, w.logged)
			}
			if _, err := os.Stat(w.path() + ".bad-1"); err != nil {
				t.Error(err)
			}
		})
	}
}

// Random bytes in random pages: the program neither crashes nor hands out an address that a live namespace holds.
func TestRandomDamage(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 7))
	for i := range 100 {
		w := newWorld(t, oneNode(onePool(nodefile.IPv4, "10.0.1.0/24")))
		var found []string
		w.store(func(s *Store) {
			for j := range 40 {
				id := fmt.Sprintf("c%02d", j)
				a := must(s.Allocate(w.node, request(id)))
				if j%4 == 0 {
					_ = must(s.Release(owner(id), ""))
					continue
				}
				found = append(found, id+" eth0 "+addresses(a))
			}
		})
		w.finds(found...)
		data := must(os.ReadFile(w.path()))
		for range 1 + random.IntN(30) {
			data[random.IntN(len(data))] = byte(random.IntN(256))
		}
		if err := os.WriteFile(w.path(), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), w.options)
		if err != nil {
			t.Fatalf("damage %d: %v", i, err)
		}
		a, err := s.Allocate(w.node, request("new"))
		if err != nil {
			t.Fatalf("damage %d: %v", i, err)
		}
		if slices.ContainsFunc(found, func(f string) bool { return strings.HasSuffix(f, " "+addresses(a)) }) {
			t.Errorf("damage %d: %s is held, and was handed out", i, addresses(a))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFewDamagedStoresAreKept(t *testing.T) {
	w := newWorld(t, ipv4())
	for range 6 {
		if err := os.WriteFile(w.path(), []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.store(func(*Store) {})
	}
	var names []string
	for _, e := range must(os.ReadDir(w.options.Folder)) {
		names = append(names, e.Name())
	}
	want := "lock store.db store.db.bad-4 store.db.bad-4.txt store.db.bad-5 store.db.bad-5.txt store.db.bad-6 store.db.bad-6.txt"
	w.want(strings.Join(names, " "), want)
}

// A store that is consistent is never set aside for a mistake of the program.
func TestOwnMistakesKeepTheStore(t *testing.T) {
	w := newWorld(t, ipv4())
	w.add("a")
	w.store(func(s *Store) {
		for _, mistake := range []func(b *book) error{
			func(*book) error { panic("a mistake") },
			func(*book) error { return damaged("a mistake") },
			func(b *book) error { return b.addToRuns(netip.MustParseAddr("10.0.1.0")) },
		} {
			if err := s.update(mistake); err == nil || !strings.Contains(err.Error(), "an error of this program") {
				t.Errorf("got %v", err)
			}
		}
	})
	w.want(w.records(), "a/eth0")
}

func TestSomethingElseAtThePath(t *testing.T) {
	w := newWorld(t, ipv4())
	if err := os.MkdirAll(w.path(), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), w.options)
	var storage *StorageError
	if !errors.As(err, &storage) || !strings.Contains(err.Error(), "something else is in the way") {
		t.Errorf("folder: %v", err)
	}
	_ = os.Remove(w.path())
	if err := os.Symlink("/dev/null", w.path()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), w.options); !errors.As(err, &storage) {
		t.Errorf("link: %v", err)
	}
	w.options.Folder = "/proc/underlay"
	if _, err := Open(t.Context(), w.options); !errors.As(err, &storage) || !strings.Contains(err.Error(), "/proc/underlay") {
		t.Errorf("no folder: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.options.Folder = file
	if _, err := Open(t.Context(), w.options); !errors.As(err, &storage) || !strings.Contains(err.Error(), "something else is in the way") {
		t.Errorf("file as folder: %v", err)
	}
}

func TestExplain(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "no space left on device: its file system is full",
		syscall.EDQUOT: "its file system is full",
		syscall.EACCES: "permission denied: CNI and agent must run as root",
		syscall.EPERM:  "CNI and agent must run as root",
		syscall.EROFS:  "mounted read-only",
		syscall.EIO:    "write the allocation store /run/underlay/store.db: input/output error",
	} {
		err := explain("write the allocation store", "/run/underlay/store.db", &fs.PathError{Op: "write", Path: "store.db", Err: errno})
		if !strings.Contains(err.Error(), want) || !errors.Is(err, errno) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
