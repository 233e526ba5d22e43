package closure

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/proto"
)

const (
	// generations are the links of the system profile.
	generations = "/nix/var/nix/profiles/system-*-link"
	// spareBoot is for boot entries, and for the clusters that files end in.
	spareBoot = 256 << 10
)

// bootFits checks that the host can be written to, as what is present was not
// fetched, and that every boot partition has room for the kernels and initrds
// of toplevel that no generation has: a boot loader's installer writes the new
// ones before it removes old ones. Without a partition of its own /boot has the
// kernels in the store, or is as big as everything.
func (p Preflight) bootFits(toplevel proto.StorePath) error {
	dirs, err := p.host().boot()
	if err != nil {
		return err
	}
	if err := p.host().writable(dirs); err != nil {
		return err
	}
	root, err := p.host().volume("/")
	if err != nil {
		return rejectIO(err)
	}
	for _, dir := range dirs {
		boot, err := p.host().volume(dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && boot.ID == root.ID {
			continue
		}
		if err != nil {
			return rejectIO(err)
		}
		need, err := p.newBootFiles(toplevel)
		if err != nil {
			return rejectIO(err)
		}
		if need > 0 && boot.Free < need+spareBoot {
			return full("the boot partition, %s, has %s free, and the new kernel and initrd need %s: remove old generations, or have boot.loader keep fewer",
				dir, size(boot.Free), size(need+spareBoot))
		}
	}
	return nil
}

// newBootFiles returns the size in bytes of toplevel's boot files that no
// generation has.
func (p Preflight) newBootFiles(toplevel proto.StorePath) (need uint64, err error) {
	links, err := filepath.Glob(filepath.Join(p.Root, generations))
	if err != nil {
		return 0, err
	}
	have := map[string]bool{}
	for _, link := range links {
		system, err := os.Readlink(link)
		if errors.Is(err, fs.ErrNotExist) {
			continue // collected just now
		}
		if err != nil {
			return 0, err
		}
		for _, file := range p.bootFiles(system) {
			have[file] = true
		}
	}
	for _, file := range p.bootFiles(toplevel.String()) {
		if have[file] {
			continue
		}
		have[file] = true
		info, err := os.Stat(file)
		if err != nil {
			return 0, err
		}
		need += uint64(info.Size())
	}
	return need, nil
}

// bootFiles returns what a boot loader may copy of a system and of its
// specialisations, as paths without links. A system that has none, such as a
// container's, is not booted by a loader.
func (p Preflight) bootFiles(system string) (files []string) {
	dir := filepath.Join(p.Root, system)
	for _, pattern := range []string{"kernel", "initrd", "specialisation/*/kernel", "specialisation/*/initrd"} {
		links, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			continue // the name of a store path is no bad pattern
		}
		for _, link := range links {
			if file, ok := p.resolve(link); ok {
				files = append(files, file)
			}
		}
	}
	return files
}

// resolve follows link, which leads into the store below p.Root.
func (p Preflight) resolve(link string) (file string, ok bool) {
	target, err := os.Readlink(link)
	switch {
	case err != nil:
		target = link
	case filepath.IsAbs(target):
		target = filepath.Join(p.Root, target)
	default:
		target = filepath.Join(filepath.Dir(link), target)
	}
	file, err = filepath.EvalSymlinks(target)
	return file, err == nil
}
