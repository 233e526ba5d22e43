package closure

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A Volume is what a file system says of itself.
type Volume struct {
	ID uint64 // tells file systems apart
	// Free counts the bytes that anybody may still write. What ext4 keeps for
	// root on top of that is there to keep a full host alive, not for us.
	Free uint64
	// Inodes counts those that are free, of Files in all. A file system that
	// makes them as it needs them, such as btrfs, has zero Files.
	Inodes, Files uint64
	ReadOnly      bool
}

// VolumeOf returns the file system that path is on.
func VolumeOf(path string) (Volume, error) {
	var fs unix.Statfs_t
	var file unix.Stat_t
	if err := unix.Statfs(path, &fs); err != nil { // first: it mounts what is mounted on demand
		return Volume{}, fmt.Errorf("ask the file system of %s: %w", path, err)
	}
	if err := unix.Stat(path, &file); err != nil {
		return Volume{}, fmt.Errorf("look at %s: %w", path, err)
	}
	return Volume{
		ID:       file.Dev,
		Free:     fs.Bavail * uint64(fs.Bsize),
		Inodes:   fs.Ffree,
		Files:    fs.Files,
		ReadOnly: fs.Flags&unix.ST_RDONLY != 0,
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
