package closure

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kedge/agent/internal/bootdir"
	"kedge/proto"
)

// A Volume is what a file system says of itself.
type Volume struct {
	ID uint64 // tells file systems apart
	// Free counts the bytes that anybody may still write. What ext4 keeps for
	// root on top of that is there to keep a full host alive, not for us.
	Free uint64
	Size uint64 // bytes in all
	// Inodes counts those that are free, of Files in all. A file system that
	// makes them as it needs them, such as btrfs, has zero Files.
	Inodes, Files uint64
	ReadOnly      bool
}

// VolumeOf returns the file system that path is on.
func VolumeOf(path string) (Volume, error) {
	var space unix.Statfs_t
	var file unix.Stat_t
	if err := unix.Statfs(path, &space); err != nil { // first: it mounts what is mounted on demand
		return Volume{}, fmt.Errorf("ask the file system of %s: %w", path, err)
	}
	if err := unix.Stat(path, &file); err != nil {
		return Volume{}, fmt.Errorf("look at %s: %w", path, err)
	}
	return Volume{
		ID:       file.Dev,
		Free:     space.Bavail * uint64(space.Bsize),
		Size:     space.Blocks * uint64(space.Bsize),
		Inodes:   space.Ffree,
		Files:    space.Files,
		ReadOnly: space.Flags&unix.ST_RDONLY != 0,
	}, nil
}

// size writes a number of bytes as people read it.
func size(bytes uint64) string {
	const unit = 1 << 20
	if bytes < unit {
		return fmt.Sprintf("%d KiB", (bytes+1<<10-1)>>10)
	}
	return fmt.Sprintf("%d MiB", (bytes+unit-1)/unit)
}

// stateDir has Nix's database, profiles and roots.
const stateDir = "/nix/var/nix"

// hostVolumes are the file systems of a host.
type hostVolumes struct {
	root string
	ask  func(path string) (Volume, error) // defaults to VolumeOf
}

// volume returns the file system of path below the root.
func (h hostVolumes) volume(path string) (Volume, error) {
	ask := h.ask
	if ask == nil {
		ask = VolumeOf
	}
	return ask(filepath.Join("/", h.root, path))
}

// boot returns the directories that have kernels. To ask for them is some work for
// a kernel that has much mounted.
func (h hostVolumes) boot() ([]string, error) {
	dirs, err := bootdir.Find(h.root)
	if err != nil {
		return nil, rejectIO(err)
	}
	return dirs, nil
}

// writable checks what is written to besides the store: stateDir, and boot. The
// store itself cannot be asked: on NixOS it is mounted read-only for everybody, and
// Nix makes it writable in a namespace of its own.
func (h hostVolumes) writable(boot []string) error {
	for _, dir := range append([]string{stateDir}, boot...) {
		v, err := h.volume(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a container has no /boot; Nix makes what it lacks
		}
		if err != nil {
			return rejectIO(err)
		}
		if v.ReadOnly {
			return &Rejection{Reason: proto.ReasonReadOnly, Err: fmt.Errorf(
				"the file system of %s is read-only: look for errors of the disk in the kernel's log, or mount it writable", dir)}
		}
	}
	return nil
}
