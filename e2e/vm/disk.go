package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"kedge/e2e/internal/command"
	"kedge/e2e/toplevel/bootloader"
)

// Places on the disk, in MiB. The image is sparse.
const (
	diskSize  = 2048
	bootStart = 1 // the EFI system partition
	rootStart = 129
	rootSize  = diskSize - rootStart - 1 // the last one has the second partition table
)

func (c *Computer) disk() string      { return filepath.Join(c.dir, "disk") }
func (c *Computer) variables() string { return filepath.Join(c.dir, "variables") }

// guestUnit starts the program that the harness talks to, as early as any unit.
const guestUnit = `[Unit]
Description=Does what the test harness asks
DefaultDependencies=no

[Service]
ExecStart=/usr/sbin/e2e-guest
Environment=PATH=/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LANG=C.UTF-8
Restart=always
`

// installGuest puts the program and its unit on the machine's disk, beside what belongs to systemd itself: no system that is
// activated changes it.
func (c *Computer) installGuest(ctx context.Context) error {
	program := filepath.Join(c.dir, "guest")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "kedge/e2e/vm/cmd/guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the guest's program: %w\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	const units = "/usr/lib/systemd/system/"
	if err := c.options.Machine.WriteFile("/usr/sbin/e2e-guest", content, 0o755); err != nil {
		return err
	}
	if err := c.options.Machine.WriteFile(units+"e2e-guest.service", []byte(guestUnit), 0o644); err != nil {
		return err
	}
	_, err = c.options.Machine.RunOffline(ctx, "ln", "-s", "../e2e-guest.service", units+"sysinit.target.wants/e2e-guest.service")
	return err
}

// makeDisk makes the disk of what is on the machine's. What was where the EFI system partition is mounted is then there only.
func (c *Computer) makeDisk(ctx context.Context) error {
	root := c.options.Machine.Root()
	mountPoint := filepath.Join(root, "boot", "efi")
	if _, err := os.Stat(mountPoint); errors.Is(err, fs.ErrNotExist) {
		mountPoint = filepath.Dir(mountPoint)
	}
	boot, err := filepath.Glob(filepath.Join(mountPoint, "*"))
	if err != nil {
		return err
	}
	if err := makeSparse(c.disk(), diskSize<<20); err != nil {
		return err
	}
	partition := fmt.Sprintf("%s@@%dM", c.disk(), bootStart)
	for _, argv := range [][]string{
		{
			"sgdisk",
			fmt.Sprintf("--new=1:%dM:%dM", bootStart, rootStart-1), "--typecode=1:ef00",
			fmt.Sprintf("--new=2:%dM:+%dM", rootStart, rootSize), "--typecode=2:8304",
			c.disk(),
		},
		{"mformat", "-i", partition, "-F", "-T", fmt.Sprint((rootStart - bootStart - 1) << 11), "-h", "255", "-s", "63", "-c", "1", "::"},
		append(append([]string{"mcopy", "-s", "-i", partition}, boot...), "::/"),
		append([]string{"rm", "-r"}, boot...),
		{"mkfs.ext4", "-q", "-F", "-L", bootloader.GRUBLabel, "-E", fmt.Sprintf("offset=%d", rootStart<<20), "-d", root, c.disk(), fmt.Sprintf("%dM", rootSize)},
	} {
		if _, err := command.Run(ctx, command.Command{Args: argv}); err != nil {
			return fmt.Errorf("make disk: %w", err)
		}
	}
	return nil
}

// makeVariables gives the firmware variables of its own, as they come from the factory.
func (c *Computer) makeVariables(context.Context) error {
	content, err := os.ReadFile(firmwareMemory)
	if err != nil {
		return fmt.Errorf("make the firmware's variables: %w", err)
	}
	return os.WriteFile(c.variables(), content, 0o644)
}

// makeSparse makes a file of that many bytes that takes no room yet.
func makeSparse(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		_ = f.Close() // nothing was written
		return err
	}
	return f.Close()
}
