package hosts

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kedge/e2e/internal/command"
	"kedge/e2e/internal/mounts"
)

// A disk is what a machine keeps without power: a writable layer over the shared root file system.
type disk struct {
	dir   string   // of this disk
	lower []string // the layers that others share, down to the root file system; never written to
	size  int64    // bytes; 0 means that the layer is a directory of this machine's file system
}

func (d disk) root() string { return filepath.Join(d.dir, "root") }

// volume is the directory that has the writable layer.
func (d disk) volume() string { return filepath.Join(d.dir, "volume") }

// upper is the writable layer.
func (d disk) upper() string { return filepath.Join(d.volume(), "upper") }

// mount makes the disk and mounts it at root.
func (d disk) mount(ctx context.Context) error {
	if err := errors.Join(os.MkdirAll(d.root(), 0o755), os.MkdirAll(d.volume(), 0o755)); err != nil {
		return fmt.Errorf("make disk: %w", err)
	}
	if d.size != 0 {
		if err := d.mountVolume(ctx); err != nil {
			return err
		}
	}
	upper, work := d.upper(), filepath.Join(d.volume(), "work")
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
		return fmt.Errorf("make disk: %w", err)
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(d.lower, ":"), upper, work)
	if err := unix.Mount("overlay", d.root(), "overlay", 0, layers); err != nil {
		return fmt.Errorf("mount disk %s (overlay of %s): %w", d.root(), d.lower, err)
	}
	return nil
}

// mountVolume makes a file system of the disk's size and mounts it as the volume.
func (d disk) mountVolume(ctx context.Context) error {
	image := filepath.Join(d.dir, "image")
	f, err := os.Create(image)
	if err != nil {
		return fmt.Errorf("make disk: %w", err)
	}
	if err := errors.Join(f.Truncate(d.size), f.Close()); err != nil {
		return fmt.Errorf("make disk of %d bytes: %w", d.size, err)
	}
	for _, argv := range [][]string{
		{"mkfs.ext4", "-q", "-F", "-m", "0", image},
		{"mount", "-o", "loop", image, d.volume()},
	} {
		if _, err := command.Run(ctx, command.Command{Args: argv}); err != nil {
			return fmt.Errorf("make disk of %d bytes: %w", d.size, err)
		}
	}
	return nil
}

// freeze unmounts the disk, which is of no use from then on, and moves its writable layer to dir.
func (d disk) freeze(dir string) error {
	if err := mounts.Detach(d.dir); err != nil {
		return err
	}
	if err := os.Rename(d.upper(), dir); err != nil {
		return fmt.Errorf("freeze disk: %w", err)
	}
	return nil
}

// remove unmounts the disk and deletes it. It is no error if it does not exist.
func (d disk) remove() error {
	if err := mounts.Detach(d.dir); err != nil {
		return err
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("remove disk: %w", err)
	}
	return nil
}

// newMachineID returns a random id in the form of /etc/machine-id.
func newMachineID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}
