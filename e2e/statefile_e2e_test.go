//go:build e2e

package e2e_test

import (
	"path"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestTransactionStateUnreadable: a host whose memory is torn, or of a newer agent, says so
// and is left alone until somebody has mended it.
func TestTransactionStateUnreadable(t *testing.T) {
	t.Parallel()
	torn := func(b []byte) []byte { return b[:len(b)/2] }
	newer := func([]byte) []byte { return []byte(`{"format": 99}`) }
	damages := map[string]struct {
		file   string
		damage func([]byte) []byte
	}{
		"record":  {"deployment.json", torn},
		"record2": {"deployment.json", newer},
		"floors":  {"floors.json", newer},
		"proven":  {"proven.json", torn},
	}
	var names []string
	for name := range damages {
		names = append(names, name)
	}
	f := up(t, names...)
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := map[string]fleet.Facts{}
	whole := map[string][]byte{}
	for _, h := range f.Hosts() {
		name, d := h.Name(), damages[h.Name()]
		before[name] = requireOn(t, h, "before")
		h.MustRun(t, "systemctl", "stop", "kedge-agent.service")
		var err error
		if whole[name], err = h.ReadFile(path.Join(stateDir, d.file)); err != nil {
			t.Fatal(err)
		}
		if err := h.WriteFile(path.Join(stateDir, d.file), d.damage(whole[name]), 0o600); err != nil {
			t.Fatal(err)
		}
		h.MustRun(t, "systemctl", "start", "kedge-agent.service")
	}

	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("after")) })
	for _, h := range f.Hosts() {
		v := h.MustAwaitView(t, "the newest revision, and an invalid state", func(v proto.HostView) bool {
			read := v.Status != nil && (v.Status.Serial == v.Want.Serial || condition(v, proto.ConditionAccepted).Reason == proto.ReasonStateUnreadable)
			return v.Want.Revision == rev && read && condition(v, proto.ConditionStateValid).Status == proto.StatusFalse
		})
		c := condition(v, proto.ConditionStateValid)
		if c.Reason != proto.ReasonStateUnreadable {
			t.Errorf("%s: state is invalid because of %q, want %q", h.Name(), c.Reason, proto.ReasonStateUnreadable)
		}
		file := damages[h.Name()].file
		requireSays(t, "`kedge status "+h.Name()+"`", f.MustKedge(t, "status", h.Name()), "StateValid", string(proto.ReasonStateUnreadable), file)
		requireSame(t, h, before[h.Name()])
		if b, err := h.ReadFile(path.Join(stateDir, file)); err != nil || string(b) != string(damages[h.Name()].damage(whole[h.Name()])) {
			t.Errorf("%s: %s was written over: %q (%v)", h.Name(), file, b, err)
		}
	}

	for _, h := range f.Hosts() {
		if err := h.WriteFile(path.Join(stateDir, damages[h.Name()].file), whole[h.Name()], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.MustKedge(t, append([]string{"reconcile"}, names...)...)
	for _, h := range f.Hosts() {
		h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireOn(t, h, "after")
		awaitReason(t, h, proto.ConditionStateValid, proto.StatusTrue, "")
	}
}

// stateDir is the agent's memory on a host.
const stateDir = "/var/lib/kedge"
