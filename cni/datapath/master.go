// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Missing says why the node has no link with this MAC that could carry pods; nil if it has one.
func (d *Datapath) Missing(mac string) error {
	_, err := d.master(mac)
	return err
}

// master finds the node's link with a MAC among those that are not on others: each ipvlan child carries its master's MAC.
func (d *Datapath) master(mac string) (link, error) {
	if l, ok := d.masters[mac]; ok {
		return l, nil
	}
	l, known, err := d.remembered(mac)
	if err != nil {
		return link{}, err
	}
	if !known {
		if l, err = d.search(mac); err != nil {
			return link{}, err
		}
	}
	d.masters[mac] = l
	return l, nil
}

// firstOrLater finds the node's interface. The first pod on it since boot prepares much for all: others, who may come by the hundred after a boot, wait
// until it calls done, and find that there is nothing to do. They wait for the folder's lock, which nobody else takes.
func (a *application) firstOrLater() (done func(), err error) {
	done = func() {}
	a.links.master, err = a.master(a.endpoint.MAC)
	if err != nil || a.links.master.remembered {
		return done, err
	}
	if fd, err := unix.Open(a.options.Folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil { // else the hint cannot be written either
		done = func() { _ = unix.Close(fd) }
		for errors.Is(unix.Flock(fd, unix.LOCK_EX), unix.EINTR) {
		}
		delete(a.masters, a.endpoint.MAC)
		a.links.master, err = a.master(a.endpoint.MAC)
		if err != nil || a.links.master.remembered {
			done()
			return func() {}, err
		}
	}
	a.fresh = true
	return done, nil
}

// search looks at all links.
func (d *Datapath) search(mac string) (link, error) {
	found, err := d.links(func(l *link) bool { return l.carries(mac) })
	if err != nil {
		return link{}, err
	}
	switch len(found) {
	case 0:
		return link{}, &MasterError{MAC: mac, Reason: "is not on this machine: it was detached, or the node file is another machine's; the underlay agent writes it anew"}
	case 1:
		return found[0], nil
	}
	names := []string{found[0].Name, found[1].Name}
	slices.Sort(names)
	return link{}, &MasterError{MAC: mac, Reason: fmt.Sprintf("is there twice, as %s and %s: one of them must get another MAC", names[0], names[1])}
}

// carries says whether the link is the interface with a MAC: a physical one, or, where the node itself is a container, an end of a veth pair.
func (l *link) carries(mac string) bool {
	return (l.kind == "" || l.kind == kindVeth && !strings.HasPrefix(l.Name, LinkPrefix)) && l.MAC.String() == mac
}

// The folder of masters has a file for each interface that was seen to be fit for pods since boot; it holds the link's index. It saves each ADD the
// list of all links, and the look into all namespaces for children of another mode. It is only a hint: the index is verified.

// remembered finds the link by the index that an earlier call has written down.
func (d *Datapath) remembered(mac string) (link, bool, error) {
	data, err := os.ReadFile(d.hint(mac))
	if err != nil {
		return link{}, false, nil //nolint:nilerr // no hint
	}
	index, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || index <= 0 {
		return link{}, false, nil //nolint:nilerr // no hint
	}
	answers, err := d.node.ask(getLinkByIndex(index))
	if err != nil || answers[0] == nil {
		return link{}, false, err
	}
	l, err := parseLink(answers[0])
	l.remembered = true
	return l, err == nil && l.carries(mac), err
}

func (d *Datapath) hint(mac string) string {
	return filepath.Join(d.options.Folder, "masters", strings.ReplaceAll(mac, ":", "-"))
}

// rememberedMasters are the indexes of all interfaces that carried pods since boot.
func (d *Datapath) rememberedMasters() []int {
	folder := d.hint("")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // none did
	}
	var indexes []int
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			continue
		}
		if index, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && index > 0 {
			indexes = append(indexes, index)
		}
	}
	return indexes
}

// remember writes the hint. Remove finds the filters of pods by it, so an ADD whose hint cannot be written fails before it makes one. The file is never
// cut short, not for a moment: another call may read it meanwhile, and this one may be killed.
func (d *Datapath) remember(master link) error {
	if master.remembered {
		return nil
	}
	mac := master.MAC.String()
	path := d.hint(mac)
	content := fmt.Appendf(nil, "%-10d\n", master.index) // as long as the longest index
	err := overwrite(path, content)
	if errors.Is(err, fs.ErrNotExist) && os.MkdirAll(filepath.Dir(path), 0o700) == nil {
		err = overwrite(path, content)
	}
	if err != nil {
		return &FolderError{Path: path, Err: err}
	}
	master.remembered = true
	d.masters[mac] = master
	return nil
}

// overwrite writes over the beginning of a file.
func overwrite(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// prepareMaster checks that the link can carry pods, and brings it up. It returns the MTU of the pod's interface. Where no pod was on the link since boot
// it is fresh.
func (d *Datapath) prepareMaster(master *link, mtu int, fresh bool) (int, error) {
	mac := master.MAC.String()
	if master.bridge != 0 {
		return 0, &MasterError{MAC: mac, Name: master.Name, Reason: "is a port of a bridge or bond: it cannot carry pods too; take it out, or choose another interface"}
	}
	if fresh {
		if err := d.refuseForeign(*master); err != nil {
			return 0, err
		}
		// This one stays. The kernel rewrites its own code when the machine's first place for filters comes and when its last one goes, which takes ten times
		// as long as the place itself: no pod's is the first or the last then.
		if err := d.node.do(addFilterPoint(master.index)); err != nil {
			return 0, fmt.Errorf("interface %s: %w", master.Name, err)
		}
	}
	up := 0
	if mtu != 0 && !master.up {
		up = mtu // the agent sets it as long as it lives; after a boot ADD may come first
	}
	if !master.up {
		// As the agent does: else the host would get a second default route by router advertisement.
		if err := set([]sysctl{ipv6Setting(master.Name, "accept_ra", "0")}); err != nil {
			return 0, fmt.Errorf("interface %s: %w", master.Name, err)
		}
		if err := d.node.do(linkUp(*master, up)); err != nil {
			return 0, fmt.Errorf("interface %s: %w", master.Name, err)
		}
		master.up = true
		if up != 0 {
			master.MTU = up
		}
		d.masters[mac] = *master
	}
	switch {
	case mtu == 0:
		mtu = master.MTU
	case mtu > master.MTU:
		// The kernel would accept it, and frames would be lost.
		return 0, &MasterError{MAC: mac, Name: master.Name,
			Reason: fmt.Sprintf("has MTU %d, and the network wants %d for its pods: raise the interface's MTU, or lower spec.mtu of the UnderlayNetwork", master.MTU, mtu)}
	}
	return mtu, nil
}

// refuseForeign looks into all namespaces for children of the master that would break ours or be broken by ours: mode and flags are the master's, so
// a new child of another mode flips its siblings.
func (d *Datapath) refuseForeign(master link) error {
	found, err := d.obstacles([]link{master})
	if err != nil {
		return err
	}
	if obstacle, ok := found[master.MAC.String()]; ok {
		return obstacle
	}
	return nil
}

func privateError(master link, where string) error {
	return &MasterError{MAC: master.MAC.String(), Name: master.Name, Reason: "carries ipvlan with the flag private or vepa " + where + ", which keeps pods from each other; remove those links first"}
}

// explainBusy says why the kernel gave EBUSY: it does not say itself.
func explainBusy(master link, err error) error {
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	return &MasterError{MAC: master.MAC.String(), Name: master.Name, Reason: "carries macvlan links, or is a port of a bridge: ipvlan cannot share it; remove those first, or choose another interface"}
}
