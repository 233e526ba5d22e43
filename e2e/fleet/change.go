package fleet

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"kedge/e2e/toplevel"
	"kedge/proto"
)

// Edit changes the systems of the hosts named, or of all if none is.
func Edit(w *toplevel.Fleet, change func(h *toplevel.Host), names ...string) {
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(w.Hosts))
	}
	for _, name := range names {
		h := w.Hosts[name]
		// What a change adds to one system must not appear in an earlier one.
		h.Units, h.Etc, h.Activation = maps.Clone(h.Units), maps.Clone(h.Etc), maps.Clone(h.Activation)
		change(&h)
		w.Hosts[name] = h
	}
}

// App makes the app of a system answer text.
func App(text string) func(h *toplevel.Host) {
	return func(h *toplevel.Host) { h.App = &toplevel.App{Text: text} }
}

// AddUnit adds a unit to a system.
func AddUnit(name string, u toplevel.Unit) func(h *toplevel.Host) {
	return func(h *toplevel.Host) {
		if h.Units == nil {
			h.Units = map[string]toplevel.Unit{}
		}
		h.Units[name] = u
	}
}

// A Change replaces a text in a file of the example, which must have it, as somebody
// with an editor does.
type Change struct {
	File          string // below [Worktree]
	Before, After string
}

// PushChanges is [Fleet.Push] in the example.
func (f *Fleet) PushChanges(ctx context.Context, message string, changes ...Change) (proto.Revision, error) {
	for _, c := range changes {
		file := path.Join(Worktree, c.File)
		text, err := f.build.ReadFile(file)
		if err != nil {
			return proto.Revision{}, err
		}
		if !strings.Contains(string(text), c.Before) {
			return proto.Revision{}, fmt.Errorf("change %s: it does not say %q", c.File, c.Before)
		}
		if err := f.build.WriteFile(file, []byte(strings.Replace(string(text), c.Before, c.After, 1)), 0o644); err != nil {
			return proto.Revision{}, err
		}
	}
	rev, err := f.build.commitAll(ctx, f.build.Run, message)
	if err != nil {
		return rev, err
	}
	return rev, f.PushCommitted(ctx)
}

// Config replaces a text in the configuration of a system's agent, which must
// have it: else that configuration becomes one that cannot be read.
func Config(before, after string) func(h *toplevel.Host) {
	return func(h *toplevel.Host) {
		if !strings.Contains(h.AgentConfig, before) {
			h.AgentConfig = "the scenario wants to replace what is not there: " + before
			return
		}
		h.AgentConfig = strings.Replace(h.AgentConfig, before, after, 1)
	}
}
