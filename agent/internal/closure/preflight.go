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

// Check returns nil if the running system can be switched to toplevel, an agent
// will be there to tell, and the boot loader has room for it. Every error is a [*Rejection].
func (p Preflight) Check(toplevel proto.StorePath) error {
	for _, check := range []func(proto.StorePath) error{p.isToplevel, p.hasAgent, p.sameInit, p.noInhibitor, p.writable, p.bootFits} {
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

// sameInit checks that systemd can take the new system over while it runs.
func (p Preflight) sameInit(toplevel proto.StorePath) error {
	want, err := os.ReadFile(filepath.Join(p.in(toplevel), initFile))
	if err != nil {
		return err
	}
	have, err := os.ReadFile(filepath.Join(p.Root, currentSystem, initFile))
	if errors.Is(err, fs.ErrNotExist) {
		have = nil // switch-to-configuration takes a missing one for an empty one
	} else if err != nil {
		return err
	}
	if w, h := strings.TrimSpace(string(want)), strings.TrimSpace(string(have)); w != h {
		return &Rejection{Reason: proto.ReasonRebootNeeded, Err: fmt.Errorf("its init interface is %q, and the running system's is %q", w, h)}
	}
	return nil
}

// noInhibitor checks that no component changes of which the new system says
// that it must not be changed while it runs.
func (p Preflight) noInhibitor(toplevel proto.StorePath) error {
	have := inhibitors(filepath.Join(p.Root, currentSystem))
	want := inhibitors(p.in(toplevel))
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if old, both := have[name]; both && old != want[name] {
			changed = append(changed, fmt.Sprintf("%s from %q to %q", name, old, want[name]))
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return &Rejection{Reason: proto.ReasonRebootNeeded, Err: fmt.Errorf("it changes what must not change in a running system: %s", strings.Join(changed, ", "))}
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

// writable looks once more: what is present was not fetched.
func (p Preflight) writable(proto.StorePath) error { return p.host().writable() }

func (p Preflight) host() hostVolumes { return hostVolumes{root: p.Root, ask: p.Volume} }

func (p Preflight) in(toplevel proto.StorePath) string {
	return filepath.Join(p.Root, toplevel.String())
}
