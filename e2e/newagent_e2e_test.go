//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// Where a host's agent finds its credentials, and where a newer configuration
// says that they are.
const (
	oldCredentials = "/var/lib/kedge/host.creds"
	newCredentials = "/var/lib/kedge/new.creds"
)

// TestTransactionNewAgent: the agent replaces itself; where the new one is not as good as
// the old one, the host goes back, or never goes.
func TestTransactionNewAgent(t *testing.T) {
	t.Parallel()
	agents := t.TempDir()
	newer, crashing := filepath.Join(agents, "kedge-agent-newer"), filepath.Join(agents, "kedge-agent-crashing")
	if err := fleet.BuildAgent(t.Context(), newer, "newer"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(crashing, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(crashing, "bin", "kedge-agent"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var f *fleet.Fleet
	agent := func(dir string) func(h *toplevel.Host) {
		return func(h *toplevel.Host) {
			path, err := f.AddToStore(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			h.Agent = path
		}
	}
	rows := map[string]struct {
		change func(h *toplevel.Host)
		end    end
	}{
		"nowhere":  {fleet.Config(":4222", ":4"), end{proto.PhaseRolledBack, proto.ReasonNoContact}},
		"stranger": {fleet.Config("controller_keys: [", `controller_keys: ["other-1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="] #`), end{proto.PhaseRolledBack, proto.ReasonNoContact}},
		"misspelt": {fleet.Config("caches:", "cashes:"), end{proto.PhaseRolledBack, proto.ReasonNoContact}},
		"garbled":  {func(h *toplevel.Host) { h.AgentConfig = "host: [" }, end{proto.PhaseFailed, proto.ReasonBadConfig}},
		"none":     {func(h *toplevel.Host) { h.Agent = "" }, end{proto.PhaseFailed, proto.ReasonNoAgent}},
		"crashing": {agent(crashing), end{proto.PhaseRolledBack, proto.ReasonNoContact}},
		"newer":    {agent(newer), end{proto.PhaseCommitted, ""}},
		"creds":    {fleet.Config(oldCredentials, newCredentials), end{proto.PhaseCommitted, ""}},
		"no-creds": {fleet.Config(oldCredentials, newCredentials), end{proto.PhaseRolledBack, proto.ReasonNoContact}},
	}
	var names []string
	for name := range rows {
		names = append(names, name)
	}
	f = up(t, names...)
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := map[string]fleet.Facts{}
	for _, h := range f.Hosts() {
		before[h.Name()] = requireOn(t, h, "before")
	}
	f.Host("creds").MustRun(t, "cp", oldCredentials, newCredentials)
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		for name, row := range rows {
			if row.end.reason == proto.ReasonNoContact {
				fleet.Edit(w, soonDecided, name)
			}
			fleet.Edit(w, row.change, name)
		}
	})
	for name, row := range rows {
		h := f.Host(name)
		d := requireEnd(t, h, rev, row.end.phase, row.end.reason)
		if row.end.phase == proto.PhaseCommitted {
			requireOn(t, h, "after")
			v := h.MustAwaitView(t, "a report of the new agent", func(v proto.HostView) bool {
				return name != "newer" || v.Status.Agent == "newer"
			})
			if c := condition(v, proto.ConditionReady); c.Status != proto.StatusTrue {
				t.Errorf("%s: is not ready: %+v", name, c)
			}
			continue
		}
		requireSame(t, h, before[name])
		if got, want := quarantined(t, h, d.Toplevel), row.end.phase == proto.PhaseRolledBack; got != want {
			t.Errorf("%s: quarantined is %t, want %t", name, got, want)
		}
		awaitContact(t, h, d.Serial)
	}
}
