// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// Options of a store.
type Options struct {
	// Folder of the store, /run/underlay; made with mode 0700 where it is missing.
	Folder string
	// Found lists the addresses that live network namespaces hold. It is asked when a store is made, for whatever reason: at boot, after the
	// file was removed, and after a damaged one was set aside. If it fails, no store is made.
	Found func() ([]Found, error)
	// Log hears of things that people should know, such as a store that was set aside; nil drops them.
	Log func(message string)
	// Now is the time since boot, suspended time included; CLOCK_BOOTTIME if nil. Wall clocks jump, and a store lives for one boot.
	Now func() time.Duration
	// BootID of the kernel; read from /proc if empty.
	BootID string
	// Patience is how long Open waits at most; 0 for as long as its context lasts. A timer begins only where somebody else has the lock.
	Patience time.Duration
}

// Found is an address that a live network namespace holds.
type Found struct {
	Address netip.Addr
	IfName  string
	Netns   Netns
	// MAC of the interface that carries it; may be empty.
	MAC string
}

// Store is the allocation store, opened and locked.
//
// Invariants: the lock is held from Open to Close, so no other process sees or changes the store meanwhile, and the holder may read or write the
// node file. Each method is one transaction: when it returned without error, all of it is in the file, and a process killed before that leaves
// nothing of it. A Store is for one goroutine.
type Store struct {
	options Options
	lock    *lock
	db      *bbolt.DB
	// file is what db has open: closed by hand when db is in no state to be.
	file *os.File
}

// Open locks the store, waiting until ctx or the patience ends, and opens it. Hold it for milliseconds: every ADD and DEL of the node waits.
func Open(ctx context.Context, options Options) (*Store, error) {
	if options.Found == nil {
		return nil, errors.New("the allocation store needs to know how to find the addresses of live namespaces")
	}
	if options.Now == nil {
		options.Now = sinceBoot
	}
	if options.Log == nil {
		options.Log = func(string) {}
	}
	if options.BootID == "" {
		id, err := bootID()
		if err != nil {
			return nil, err
		}
		options.BootID = id
	}
	l, err := acquire(ctx, lockPath(options.Folder), options.Patience)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(options.Folder, 0o700); err != nil {
			return nil, explain("make the allocation store's folder", options.Folder, err)
		}
		l, err = acquire(ctx, lockPath(options.Folder), options.Patience)
	}
	if err != nil {
		return nil, err
	}
	s := &Store{options: options, lock: l}
	if err := s.open(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Close closes the store and gives back its lock.
func (s *Store) Close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
		s.db, s.file = nil, nil
	}
	return errors.Join(err, s.lock.release())
}

// bootID is the kernel's random name for this boot, 36 characters.
func bootID() (string, error) {
	const path = "/proc/sys/kernel/random/boot_id"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	id := make([]byte, 64)
	n, err := unix.Read(fd, id)
	if closeErr := unix.Close(fd); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return strings.TrimSpace(string(id[:n])), nil
}

func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // Linux has had this clock since 2.6.39
	}
	return time.Duration(ts.Nano())
}

func (s *Store) path() string { return filepath.Join(s.options.Folder, "store.db") }

// open opens the store of this boot, or makes one.
func (s *Store) open() error {
	err := s.openExisting()
	var other *otherBootError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.create()
	case errors.As(err, &other):
		return s.create()
	case isDamaged(err):
		return s.replace(err)
	}
	return err
}

// otherBootError says that a store is of another boot: its sandboxes are gone, and so are its records' reasons.
type otherBootError struct{ bootID string }

func (e *otherBootError) Error() string { return "the allocation store is of boot " + e.bootID }

func (s *Store) openExisting() error {
	info, err := os.Lstat(s.path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil:
		return explain("inspect the allocation store", s.path(), err)
	case !info.Mode().IsRegular():
		return explain("open the allocation store", s.path(), unix.EISDIR)
	case info.Size() == 0:
		return damaged("the file is empty") // bbolt would take it for a new one
	}
	if err := s.openDB(s.path()); err != nil {
		return err
	}
	err = s.checkMetas()
	if err == nil {
		err = s.attempt(false, func(tx *bbolt.Tx) (bool, error) { return false, s.checkHeader(tx) })
	}
	if err != nil {
		s.abandon()
	}
	return err
}

// openDB opens the bbolt file at path. Nothing is ever synced: nobody needs the store after a power cut, and the kernel keeps what a killed process wrote.
func (s *Store) openDB(path string) error {
	return guard(func() error {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:         time.Second, // our own lock is in front: only a stranger, such as a debugging tool, can hold bbolt's
			NoSync:          true,
			NoGrowSync:      true,
			InitialMmapSize: initialMmap,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				fd, err := unix.Open(name, flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(mode)) // as acquire does, for the same reason
				if err != nil {
					return nil, &fs.PathError{Op: "open", Path: name, Err: err}
				}
				s.file = os.NewFile(uintptr(fd), name)
				return s.file, nil
			},
		})
		if err != nil {
			return classify(path, err)
		}
		s.db = db
		return nil
	})
}

// initialMmap is how much is mapped at first, in bytes: address space alone, so that a transaction that grows the file does not map it anew.
const initialMmap = 16 << 20

// classify tells a file that is damaged from a file system that fails.
func classify(path string, err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return &BusyError{Path: path, Err: err}
	case errors.As(err, &errno):
		return explain("open the allocation store", path, err)
	}
	return damaged("%w", err)
}

// abandon lets go of a database that may be in any state: closing it properly could block or fault. Its mapping is lost to this process, and would keep
// bbolt's lock if that were not given back by hand.
func (s *Store) abandon() {
	if s.file != nil {
		_ = unix.Flock(int(s.file.Fd()), unix.LOCK_UN)
		_ = s.file.Close()
	}
	s.db, s.file = nil, nil
}

// update runs fn in a transaction and commits it if fn changed something and gave no error. A damaged store is replaced, and fn run again.
func (s *Store) update(fn func(b *book) error) error { return s.run(true, fn) }

// view runs fn in a transaction that changes nothing.
func (s *Store) view(fn func(b *book) error) error { return s.run(false, fn) }

func (s *Store) run(writable bool, fn func(b *book) error) error {
	inBook := func(tx *bbolt.Tx) (commit bool, err error) {
		b, err := openBook(tx)
		if err != nil {
			return false, err
		}
		err = fn(b)
		return b.changed, err
	}
	err := s.attempt(writable, inBook)
	if !isDamaged(err) {
		return err
	}
	if err := s.replaceDamaged(err); err != nil {
		return err
	}
	return s.attempt(writable, inBook)
}

// attempt runs fn in one transaction, committed if fn says so and gives no error. A damaged store is closed then: after a panic bbolt's own locks may be
// taken for ever, and closing it properly would wait for them.
func (s *Store) attempt(writable bool, fn func(tx *bbolt.Tx) (commit bool, err error)) error {
	if s.db == nil {
		return errors.New("the allocation store is closed")
	}
	err := guard(func() error {
		tx, err := s.db.Begin(writable)
		if err != nil {
			return err
		}
		commit, err := fn(tx)
		if err != nil || !commit || !writable {
			return errors.Join(err, tx.Rollback())
		}
		return s.commit(tx)
	})
	if isDamaged(err) {
		s.abandon()
	}
	return err
}

// reservedPages is more than what two transactions write, of about ten pages each.
const reservedPages = 32

// reserve makes sure that there is space for what an allocation writes and for a release after it: bbolt writes new pages before it frees old ones, so
// on a full file system nothing could be released, and DEL would fail for ever. Releases need no reserve of their own: each frees what it used.
func (s *Store) reserve(b *book) error {
	missing := int64(reservedPages - s.db.Stats().FreePageN)
	if missing <= 0 {
		return nil
	}
	// Beyond the end, where bbolt goes next. Where the last reserve is left, it is not made again: the file has no holes.
	const block = 512 // bytes, of Stat_t
	end := b.records.Tx().Size()
	missing *= int64(os.Getpagesize())
	var has unix.Stat_t
	if unix.Fstat(int(s.file.Fd()), &has) == nil && has.Blocks*block >= end+missing {
		return nil
	}
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) { // Go's runtime sends itself signals, and a tmpfs then gives up what it has begun
		err = unix.Fallocate(int(s.file.Fd()), unix.FALLOC_FL_KEEP_SIZE, end, missing)
	}
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return explain("reserve space for the allocation store", s.path(), err)
	}
	return nil
}

// commit tells a file system that fails from a wrong list of free pages, which bbolt meets only here: it gives pages that are in use, which panics, or
// asks for a place that no file can have.
func (s *Store) commit(tx *bbolt.Tx) error {
	err := guard(tx.Commit)
	var errno syscall.Errno
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &errno), errno == unix.EFBIG, errno == unix.EINVAL:
		return &damagedError{err: err, certain: true}
	}
	return explain("write the allocation store", s.path(), err)
}

// guard turns panics and faults of reading a damaged file into an error. (A mapped file that was cut short raises SIGBUS.)
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged("%v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}
