package closure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kedge/proto"
)

// What a toplevel has, below it.
const (
	switchProgram  = "bin/switch-to-configuration"
	versionFile    = "nixos-version"
	initFile       = "init-interface-version"
	inhibitorsFile = "switch-inhibitors"
	agentUnit      = "etc/systemd/system/kedge-agent.service"
	agentConfig    = "etc/kedge/agent.yaml"
	trialUnit      = "etc/systemd/system/kedge-trial.service"
	trialWant      = "etc/systemd/system/sysinit.target.wants/kedge-trial.service"
)

// currentSystem is the running system.
const currentSystem = "/run/current-system"

// A Preflight is the second half of the preflight: whether the host can be
// switched to a toplevel that is present. It changes nothing.
type Preflight struct {
	// Root is the directory that everything is looked for in; empty is /.
	Root string
	// Volume returns the file system of a path below Root; defaults to
	// [VolumeOf].
	Volume func(path string) (Volume, error)
}

// NewConfigPath returns where toplevel has its agent's configuration.
func NewConfigPath(toplevel proto.StorePath) string {
	return filepath.Join(toplevel.String(), agentConfig)
}

// Check returns nil if toplevel is a system, an agent will be there to tell, and
// the boot loader has room for it. Whether it can be switched to without a
// reboot is for [Preflight.Inhibitors] to say. Every error is a [*Rejection].
func (p Preflight) Check(toplevel proto.StorePath) error {
	for _, check := range []func(proto.StorePath) error{p.isToplevel, p.hasAgent, p.bootFits} {
		if err := check(toplevel); err != nil {
			if r, ok := errors.AsType[*Rejection](err); ok {
				return &Rejection{Reason: r.Reason, Err: fmt.Errorf("%s: %w", toplevel, r.Err)}
			}
			return &Rejection{Reason: proto.ReasonNotAToplevel, Err: fmt.Errorf("%s: %w", toplevel, err)}
		}
	}
	return nil
}

// isToplevel checks that it is a NixOS system that can be switched to.
func (p Preflight) isToplevel(toplevel proto.StorePath) error {
	dir := p.in(toplevel)
	for _, name := range []string{versionFile, initFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("it has no %s, so it is not the toplevel of a NixOS system", name)
		}
	}
	info, err := os.Stat(filepath.Join(dir, switchProgram))
	if err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("it has no %s, so it cannot be switched to (system.switch.enable = false?)", switchProgram)
	}
	if info.Mode()&0o111 == 0 {
		return fmt.Errorf("its %s is not executable", switchProgram)
	}
	return nil
}

// hasAgent checks that somebody will be there to make contact.
func (p Preflight) hasAgent(toplevel proto.StorePath) error {
	info, err := os.Stat(filepath.Join(p.in(toplevel), agentUnit))
	switch {
	case err != nil:
		return &Rejection{Reason: proto.ReasonNoAgent, Err: fmt.Errorf("it has no %s: the host could not be reached any more", agentUnit)}
	case !info.Mode().IsRegular(): // a link to /dev/null
		return &Rejection{Reason: proto.ReasonNoAgent, Err: fmt.Errorf("its %s is masked: the host could not be reached any more", agentUnit)}
	}
	return nil
}

// Inhibitors returns why the running system must not be switched to toplevel
// while it runs: its init has another interface, or it says so itself of a
// component that changes. None means that it may be.
func (p Preflight) Inhibitors(toplevel proto.StorePath) (why []string, err error) {
	want, err := os.ReadFile(filepath.Join(p.in(toplevel), initFile))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", toplevel, err)
	}
	have, err := os.ReadFile(filepath.Join(p.Root, currentSystem, initFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // switch-to-configuration takes a missing one for an empty one
		return nil, fmt.Errorf("compare with the running system: %w", err)
	}
	if w, h := strings.TrimSpace(string(want)), strings.TrimSpace(string(have)); w != h {
		why = append(why, fmt.Sprintf("init interface from %q to %q", h, w))
	}
	running, next := inhibitors(filepath.Join(p.Root, currentSystem)), inhibitors(p.in(toplevel))
	for _, name := range slices.Sorted(maps.Keys(next)) {
		if before, both := running[name]; both && before != next[name] {
			why = append(why, fmt.Sprintf("%s from %q to %q", name, before, next[name]))
		}
	}
	return why, nil
}

// Trial returns why nobody would judge toplevel in a boot, or nil.
func (p Preflight) Trial(toplevel proto.StorePath) error {
	for _, name := range []string{trialUnit, trialWant} {
		info, err := os.Stat(filepath.Join(p.in(toplevel), name))
		if err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("it has no %s: nobody would judge it in its trial boot", name)
		}
	}
	return nil
}

// inhibitors returns a system's switch inhibitors. As NixOS' own check does, it
// takes a file that is missing or invalid for none.
func inhibitors(system string) map[string]string {
	b, err := os.ReadFile(filepath.Join(system, inhibitorsFile))
	if err != nil {
		return nil
	}
	var all map[string]string
	if err := json.Unmarshal(b, &all); err != nil {
		return nil
	}
	return all
}

func (p Preflight) host() hostVolumes { return hostVolumes{root: p.Root, ask: p.Volume} }

func (p Preflight) in(toplevel proto.StorePath) string {
	return filepath.Join(p.Root, toplevel.String())
}
