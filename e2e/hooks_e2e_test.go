//go:build e2e

package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// hooksConfig runs hookScript at every point.
const hooksConfig = `hooks:
  pre_fetch: [{exec: [/bin/sh, /etc/hook]}]
  pre_activate: [{exec: [/bin/sh, /etc/hook, drain], timeout: 2s}]
  post_commit: [{exec: [/bin/sh, /etc/hook]}]
  post_rollback: [{exec: [/bin/sh, /etc/hook]}]
  pre_reboot: [{exec: [/bin/sh, /etc/hook]}]
  reboot_cancelled: [{exec: [/bin/sh, /etc/hook]}]
log:
`

// hookScript keeps its environment in /run/hooks, notes on the disk that it ran, and
// does as a scenario asks.
const hookScript = `set -e
mkdir -p /run/hooks
env | grep '^KEDGE_' | sort > /run/hooks/new
mv /run/hooks/new "/run/hooks/$KEDGE_HOOK"
echo "$KEDGE_HOOK" >> /var/lib/hooks
if test "$KEDGE_HOOK" = pre-reboot && test -e /run/guest; then echo "a guest stays" > /run/kedge/inhibit.d/guest; fi
if test "$1" = drain && test -e /run/refuse; then echo "it still has guests"; exit 1; fi
if test "$1" = drain && test -e /run/hang; then echo "it waits"; sleep 600; fi
if test "$KEDGE_HOOK" = post-rollback; then echo "the pager is down" >&2; exit 1; fi
`

// TestTransactionHooks: a hook that fails or hangs before the activation refuses it; after
// an end hooks are told what came of it, and one that fails is reported.
func TestTransactionHooks(t *testing.T) {
	t.Parallel()
	f := up(t, "web1")
	h := f.Host("web1")
	bare := h.MustFacts(t)
	rev := commit(t, f, "hooks", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.Config("log:\n", hooksConfig))
		fleet.Edit(w, func(h *toplevel.Host) { h.Etc = map[string]string{"hook": hookScript} })
		fleet.Edit(w, fleet.App("hooked"))
	})
	before := requireOn(t, h, "hooked")
	requireSays(t, "the hook after the commit", awaitHook(t, h, "post-commit"),
		"KEDGE_HOOK=post-commit", "KEDGE_HOST=web1", "KEDGE_TOPLEVEL="+before.Current, "KEDGE_PROVEN="+bare.Current,
		"KEDGE_REVISION="+rev.String(), "KEDGE_VERDICT=succeeded", "KEDGE_REASON=\n", "KEDGE_DEPLOYMENT=")

	for file, says := range map[string]string{"/run/refuse": "it still has guests", "/run/hang": "it did not end within 2s: it waits"} {
		h.MustRun(t, "touch", file)
		rev := f.MustPush(t, file, func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App(file)) })
		d := requireEnd(t, h, rev, proto.PhaseFailed, proto.ReasonHookRefused)
		requireSays(t, "the end", d.Message, "pre-activate hook sh", says)
		requireSame(t, h, before)
		h.MustRun(t, "rm", file)
	}
	if out := h.MustRun(t, "sh", "-c", "pgrep -x sleep || true"); strings.TrimSpace(out) != "" {
		t.Errorf("of the hook that hung runs on: %s", out)
	}

	rev = f.MustPush(t, "bad", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("bad"))
		fleet.Edit(w, fleet.AddUnit("bad.service", toplevel.FailsToStart("no")))
	})
	d := requireEnd(t, h, rev, proto.PhaseRolledBack, proto.ReasonUnitsFailed)
	requireSame(t, h, before)
	requireSays(t, "the hook after the rollback", awaitHook(t, h, "post-rollback"),
		"KEDGE_DEPLOYMENT="+d.ID+"\n", "KEDGE_TOPLEVEL="+d.Toplevel.String(), "KEDGE_PROVEN="+before.Current,
		"KEDGE_REVISION="+rev.String(), "KEDGE_VERDICT=rolled-back", "KEDGE_REASON=units-failed")
	e := h.MustAwaitEvent(t, "the event of the hook that failed", func(e proto.Event) bool {
		return e.Deployment == d.ID && e.Reason == proto.ReasonHookFailed
	})
	requireSays(t, "the event", e.Message, "post-rollback hook sh", "the pager is down")
	testRebootCancelled(t, f, h)
}

// testRebootCancelled drains the host for a reboot that somebody then holds back.
func testRebootCancelled(t *testing.T, f *fleet.Fleet, h *fleet.Host) {
	t.Helper()
	commit(t, f, "rebooting", func(w *toplevel.Fleet) {
		fleet.Edit(w, func(h *toplevel.Host) { delete(h.Units, "bad.service") })
		fleet.Edit(w, fleet.App("rebooting"))
		fleet.Edit(w, rebooting("reboot"))
	})
	before := requireOn(t, h, "rebooting")
	h.MustRun(t, "sh", "-c", "rm /var/lib/hooks && touch /run/guest")
	rev := f.MustPush(t, "booted", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("booted")) })
	v := awaitHeld(t, h, rev, proto.ReasonInhibited)
	requireSays(t, "the hook that undoes it", awaitHook(t, h, "reboot-cancelled"),
		"KEDGE_DEPLOYMENT="+v.Status.Deployment.ID+"\n", "KEDGE_TOPLEVEL="+v.Status.Deployment.Toplevel.String())
	requireSame(t, h, before)
	h.MustRun(t, "sh", "-c", "rm /run/guest /run/kedge/inhibit.d/guest")
	requireEnd(t, h, rev, proto.PhaseCommitted, "")
	if facts := requireOn(t, h, "booted"); facts.Booted != facts.Current || h.Boots() != 2 {
		t.Errorf("booted %s, runs %s, booted %d times", facts.Booted, facts.Current, h.Boots())
	}
	awaitHook(t, h, "post-commit")
	ran := strings.Fields(h.MustRun(t, "cat", "/var/lib/hooks"))
	if want := []string{"pre-fetch", "pre-activate", "pre-reboot", "reboot-cancelled", "pre-reboot", "post-commit"}; !slices.Equal(ran, want) {
		t.Errorf("the hooks that ran are %q, want %q", ran, want)
	}
}

// awaitHook waits until a hook has run on the host, and returns its environment.
func awaitHook(t *testing.T, h *fleet.Host, point string) string {
	t.Helper()
	return h.MustRun(t, "sh", "-c", `while ! test -e "$0"; do sleep 0.05; done; cat "$0"`, "/run/hooks/"+point)
}
