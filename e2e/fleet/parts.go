package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"kedge/e2e/hosts"
	"kedge/e2e/toplevel"
)

// Parts is what every machine of a fleet is made of.
type Parts struct {
	Rootfs string // of every machine
	Bin    string // kedge, kedge-agent, kedge-controller
	Agent  string // a directory with bin/kedge-agent, to go into stores
	Tools  string // a directory with the toplevels' programs

	layers  layers
	scratch *hosts.Scratch // all but the root file system
}

// MakeParts installs what this machine lacks, makes the root file system
// unless it is there, and builds Kedge and the toplevels' programs. log hears
// what is being done while it takes long. Whoever made the parts removes them;
// else [hosts.Sweep] does, which knows them by their name, one as of a fleet.
func MakeParts(ctx context.Context, name string, log func(string)) (p Parts, err error) {
	scratch, err := hosts.NewScratch(ctx, name)
	if err != nil {
		return p, err
	}
	p = Parts{
		Bin:     filepath.Join(scratch.Dir, "kedge", "bin"),
		Agent:   filepath.Join(scratch.Dir, "kedge-agent"),
		Tools:   filepath.Join(scratch.Dir, "tools"),
		scratch: scratch,
	}
	var built, prepared error
	var wg sync.WaitGroup
	wg.Go(func() { built = p.build(ctx, log) })
	wg.Go(func() { p.Rootfs, prepared = hosts.Prepare(ctx, log) })
	wg.Wait()
	err = errors.Join(prepared, built)
	if err == nil {
		p.layers, err = p.makeLayers(ctx, name+"-l", scratch.Dir)
	}
	if err != nil {
		return p, errors.Join(err, p.Remove())
	}
	return p, nil
}

// Remove removes the parts, but for the root file system. Fleets that are up
// are of no use from then on.
func (p Parts) Remove() error { return p.scratch.Remove() }

func (p Parts) build(ctx context.Context, log func(string)) error {
	log("build kedge, kedge-agent, kedge-controller")
	if err := goBuild(ctx, p.Bin, "-trimpath", "./cmd/..."); err != nil {
		return err
	}
	if err := toplevel.BuildTools(ctx, p.Tools); err != nil {
		return err
	}
	return p.pack()
}

// pack makes the directory that becomes the agent's store path.
func (p Parts) pack() error {
	bin := filepath.Join(p.Agent, "bin")
	b, err := os.ReadFile(filepath.Join(p.Bin, "kedge-agent"))
	if err == nil {
		err = os.MkdirAll(bin, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(bin, "kedge-agent"), b, 0o755)
	}
	if err != nil {
		return fmt.Errorf("pack the agent: %w", err)
	}
	return nil
}

// BuildAgent builds another agent, which says that it is of that version, into
// dir, to go into a store as [Parts.Agent] does. With the build tag next it
// writes what a later version may write.
func BuildAgent(ctx context.Context, dir, version string, tags ...string) error {
	return goBuild(ctx, filepath.Join(dir, "bin"), "-trimpath", "-tags="+strings.Join(tags, ","), "-ldflags=-X main.version="+version, "./cmd/kedge-agent")
}

// goBuild builds programs of Kedge into dir.
func goBuild(ctx context.Context, dir string, args ...string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("build Kedge: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", dir + "/"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build Kedge: %w: %s", err, out)
	}
	return nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
