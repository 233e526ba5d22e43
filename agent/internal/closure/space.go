package closure

import "kedge/agent/internal/bootdir"

// What a [Space] is for.
const (
	SpaceStore = "store"
	SpaceBoot  = "boot"
)

// A Space is a file system that deployments write to.
type Space struct {
	Use string // SpaceStore or SpaceBoot
	Dir string
	Volume
}

// Spaces are the file systems of the store, and of boot partitions that are none of
// the root's. Those that cannot be asked are left out.
type Spaces struct {
	// Root is the directory that everything is looked for in; empty is /.
	Root string
	// Volume returns the file system of a path below Root; defaults to [VolumeOf].
	Volume func(path string) (Volume, error)
}

// Look asks them all, now.
func (s Spaces) Look() (all []Space) {
	host := hostVolumes{root: s.Root, ask: s.Volume}
	if v, err := host.volume(storeDir); err == nil {
		all = append(all, Space{SpaceStore, storeDir, v})
	}
	root, err := host.volume("/")
	if err != nil {
		return all
	}
	dirs, err := bootdir.Find(s.Root)
	if err != nil {
		return all
	}
	for _, dir := range dirs {
		if v, err := host.volume(dir); err == nil && v.ID != root.ID {
			all = append(all, Space{SpaceBoot, dir, v})
		}
	}
	return all
}
