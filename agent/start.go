package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
)

// UnitFile is where NixOS has the agent's unit.
const UnitFile = "/etc/systemd/system/kedge-agent.service"

// A Start is what an agent's process was started with: its configuration and its
// unit. A deployment restarts the agent, and so does a boot; a person who switches the
// system does not (restartIfChanged = false in nixos-module/agent-unit.nix, for the
// sake of deployments). So that what the host's configuration says holds then, too,
// such as which keys are trusted, an agent that has been started with something else
// ends, and systemd starts it again.
//
// The zero value knows nothing, and never asks for that.
type Start struct {
	config string            // path of the configuration
	was    map[string][]byte // content of files, by path
	valid  func() error
}

// NoteStart notes the files. Call it before the configuration is read. valid reads the
// configuration again, and says what is wrong with it.
func NoteStart(config, unit string, valid func() error) Start {
	s := Start{config: config, was: map[string][]byte{}, valid: valid}
	for _, file := range []string{config, unit} {
		s.was[file], _ = os.ReadFile(file) // what is not there has no content
	}
	return s
}

// outdated says which files are others now; nothing if the agent need not start again.
// What is gone is nothing to start with. It fails if the configuration alone is
// another, and no agent would start with it.
func (s Start) outdated() (files []string, err error) {
	for _, file := range slices.Sorted(maps.Keys(s.was)) {
		if is, err := os.ReadFile(file); err == nil && !bytes.Equal(is, s.was[file]) {
			files = append(files, file)
		}
	}
	if slices.Equal(files, []string{s.config}) {
		if err := s.valid(); err != nil {
			return nil, fmt.Errorf("%s was changed; the agent goes on with what it was started with: %w", s.config, err)
		}
	}
	return files, nil
}

// errOutdated ends an agent that is to be started again.
var errOutdated = errors.New("started with something else than the host has now")

// outdated reports whether the agent is to end, because it was started with something
// else than the host has for it now. That counts once what runs is proven: until then
// the proven system's policies do. Nothing that would have to be done again is
// interrupted for it, nor somebody's switch: what that writes is not complete. One that
// could not act because of whose state it has ends once that is mended.
func (a *Agent) outdated(ctx context.Context) bool {
	if a.fetch != nil || a.hooking != nil || a.Systems.Switching() {
		return false
	}
	d := readDisk(a.Files, a.Systems.Systems, a.Now())
	if d.err != nil || d.record.InTransaction() {
		return false
	}
	if a.freed() {
		a.Log.InfoContext(ctx, "the agent ends, to be started as this host: it is known now whose state it has")
		return true
	}
	if drifted(d.systems, d.proven) {
		return false
	}
	files, err := a.Start.outdated()
	a.tell(ctx, slog.LevelError, "the agent does not start again", err)
	if len(files) > 0 {
		a.Log.InfoContext(ctx, "the agent ends, to be started with what the host has for it now", "changed", strings.Join(files, ", "))
	}
	return len(files) > 0
}
