package hosts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"kedge/e2e/rootfs"
)

// Prepare installs what this machine lacks to run hosts, checks that it can, and returns the root file system, which it makes
// unless it is there. log hears what is being done while it takes long.
func Prepare(ctx context.Context, log func(string)) (dir string, err error) {
	return prepare(ctx, log, rootfs.Ensure)
}

// PrepareNix is Prepare for hosts with the Nix of another Debian release; see [rootfs.EnsureNix].
func PrepareNix(ctx context.Context, log func(string), release string) (dir string, err error) {
	return prepare(ctx, log, func(ctx context.Context, log func(string)) (string, error) {
		return rootfs.EnsureNix(ctx, log, release)
	})
}

func prepare(ctx context.Context, log func(string), ensure func(context.Context, func(string)) (string, error)) (dir string, err error) {
	if err := rootfs.EnsureTools(ctx, log); err != nil {
		return "", err
	}
	if err := Check(ctx); err != nil {
		return "", err
	}
	return ensure(ctx, log)
}

// checkFleets begins the names of what [Check] makes.
const checkFleets = "check-"

// Check tries everything that hosts need of the machine and its kernel, and leaves nothing behind. Its error has everything
// that is missing, each with what to do about it. It must run as root, with the tools of rootfs.EnsureTools.
func Check(ctx context.Context) error {
	if err := checkCgroups(checkFleet()); err != nil { // nothing works without
		return err
	}
	if _, err := Sweep(ctx, checkFleets); err != nil {
		return err
	}
	return errors.Join(checkOverlay(ctx, checkFleet()), checkNetwork(ctx, checkFleet()))
}

// checkFleet returns a name that nothing had before: the sweep of another check may still be at what had the name and is
// not claimed any more.
func checkFleet() string { return checkFleets + newMachineID()[:maxLabel-len(checkFleets)] }

// checkCgroups makes a cgroup and removes it.
func checkCgroups(fleet string) error {
	const cure = "mount one that can be written to (mount -t cgroup2 none /sys/fs/cgroup/unified); in a container, run it privileged"
	group := cgroup(markOf(fleet))
	dir, err := group.make()
	if err != nil {
		return fmt.Errorf("hosts need a cgroup v2 hierarchy: %w; %s", err, cure)
	}
	return errors.Join(dir.Close(), os.Remove(dir.Name()))
}

// checkOverlay makes a disk and removes it.
func checkOverlay(ctx context.Context, fleet string) error {
	const cure = "mount there what is neither read-only nor an overlay itself (mount -t tmpfs none " + Dir + "); in a container, run it privileged"
	if err := tryOverlay(ctx, fleet); err != nil {
		return fmt.Errorf("hosts need overlays below %s: %w; %s", Dir, err, cure)
	}
	return nil
}

func tryOverlay(ctx context.Context, fleet string) (err error) {
	scratch, err := NewScratch(ctx, fleet)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scratch.Remove()) }()
	d := disk{dir: filepath.Join(scratch.Dir, "disk"), lower: []string{filepath.Join(scratch.Dir, "lower")}}
	if err := os.Mkdir(d.lower[0], 0o755); err != nil {
		return err
	}
	return errors.Join(d.mount(ctx), d.remove())
}

// checkNetwork makes a network with a router and removes it.
func checkNetwork(ctx context.Context, fleet string) error {
	const cure = "load the modules bridge, veth, nf_tables, nft_chain_nat and nft_masq (modprobe -a); in a container, run it privileged"
	n, err := New(ctx, NetworkOptions{Fleet: fleet, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = errors.Join(n.addRouter(ctx, n.wan+".router", 0, true), n.Destroy(ctx))
	}
	if err != nil {
		return fmt.Errorf("hosts need network namespaces, bridges and routers that masquerade: %w; %s", err, cure)
	}
	return nil
}
