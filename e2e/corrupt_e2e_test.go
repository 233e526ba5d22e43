//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"path"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestTransactionCorrupt: the power is lost, and with it what a file of the running system
// had in it. The agent finds that out and mends it; after an orderly end it does
// not even look.
func TestTransactionCorrupt(t *testing.T) {
	t.Parallel()
	f := up(t, "web1")
	h := f.Host("web1")
	commit(t, f, "first", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("first")) })
	file := strings.TrimSpace(h.MustRun(t, "readlink", "--canonicalize", "/etc/systemd/system/app.service"))
	whole, err := h.ReadFile(file)
	if err != nil || len(whole) == 0 {
		t.Fatalf("%s is %q, %v", file, whole, err)
	}
	if err := h.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}
	// As a file system may leave what it had not written yet.
	if err := h.WriteFile(file, make([]byte, len(whole)), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	object := strings.Join(strings.Split(file, "/")[:4], "/")
	h.MustAwaitEvent(t, "the corrupt path", func(e proto.Event) bool {
		return e.Reason == proto.ReasonStoreCorrupt && strings.Contains(e.Message, object)
	})
	h.MustAwaitEvent(t, "that it was mended", func(e proto.Event) bool { return strings.Contains(e.Message, "mended "+object) })
	awaitReason(t, h, proto.ConditionStoreValid, proto.StatusTrue, "")
	if got, err := h.ReadFile(file); err != nil || string(got) != string(whole) {
		t.Errorf("%s is %q, %v now, want it mended to %q", file, got, err, whole)
	}
	const verified = "store verified after a boot that had no orderly end"
	requireSays(t, "the journal of the boot after the power was lost", h.MustRun(t, "journalctl", "--boot", "--unit=kedge-agent.service"), verified)

	before := h.MustFacts(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := h.Reboot(ctx); err != nil {
		t.Fatal(err)
	}
	commit(t, f, "second", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("second")) })
	if log := h.MustRun(t, "journalctl", "--boot", "--unit=kedge-agent.service"); strings.Contains(log, verified) {
		t.Errorf("the store was verified after an orderly end:\n%s", log)
	}
	b, err := h.ReadFile(path.Join(stateDir, "boot.json"))
	if err != nil {
		t.Fatal(err)
	}
	var known struct{ Sound string }
	if err := json.Unmarshal(b, &known); err != nil || known.Sound != before.Current {
		t.Errorf("known of this boot is %s, %v, want %s to be sound, with which it began", b, err, before.Current)
	}
}
