//go:build e2e

package e2e_test

import (
	"path"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestTransactionCacheUnreachable: a host that cannot fetch says so, stays as it is, and
// tries again by itself.
func TestTransactionCacheUnreachable(t *testing.T) {
	t.Parallel()
	f := up(t, "web1")
	h := f.Host("web1")
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := requireOn(t, h, "before")
	if err := f.CutHTTP(t.Context()); err != nil {
		t.Fatal(err)
	}
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("after")) })
	requireEnd(t, h, rev, proto.PhaseFailed, proto.ReasonCacheUnreachable)
	awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonRetrying)
	requireSame(t, h, before)
	if err := f.MendHTTP(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, h, "after")
}

// TestTransactionCacheTampered: a cache that lies is found out, whatever it lies about.
func TestTransactionCacheTampered(t *testing.T) {
	t.Parallel()
	tampers := map[string]struct {
		tamper func(t *testing.T, f *fleet.Fleet, n, older fleet.NarInfo)
		reason proto.Reason
	}{
		"bytes":     {tamperNAR, proto.ReasonDigestMismatch},
		"hash":      {tamperField("NarHash", "sha256:0000000000000000000000000000000000000000000000000000"), proto.ReasonUntrustedPath},
		"signature": {tamperField("Sig", ""), proto.ReasonUntrustedPath},
		"refs":      {tamperField("References", ""), proto.ReasonUntrustedPath},
	}
	var names []string
	for name := range tampers {
		names = append(names, name)
	}
	f := up(t, names...)
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := map[string]fleet.Facts{}
	for _, h := range f.Hosts() {
		before[h.Name()] = requireOn(t, h, "before")
		h.MustRun(t, "systemctl", "stop", "kedge-agent.service")
	}
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("after")) })
	whole := map[string][]byte{}
	for _, h := range f.Hosts() {
		v := h.MustAwaitView(t, "a publication", func(v proto.HostView) bool { return v.Want.Revision == rev })
		n, err := f.NarInfo(v.Want.Toplevel)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{n.File, path.Join(fleet.CacheDir, n.Field("URL"))} {
			if whole[file], err = f.Build().ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
		system, err := proto.ParseStorePath(before[h.Name()].Current)
		if err != nil {
			t.Fatal(err)
		}
		older, err := f.NarInfo(system)
		if err != nil {
			t.Fatal(err)
		}
		tampers[h.Name()].tamper(t, f, n, older)
		h.MustRun(t, "systemctl", "start", "kedge-agent.service")
	}
	for _, h := range f.Hosts() {
		d := requireEnd(t, h, rev, proto.PhaseFailed, tampers[h.Name()].reason)
		t.Logf("%s: %s", h.Name(), d.Message)
		requireSame(t, h, before[h.Name()])
	}

	for file, content := range whole {
		if err := f.Build().WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f.MustKedge(t, append([]string{"reconcile"}, names...)...)
	for _, h := range f.Hosts() {
		h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireOn(t, h, "after")
	}
}

// tamperNAR delivers an older system's archive in the place of the new one's: a
// good archive with other bytes in it.
func tamperNAR(t *testing.T, f *fleet.Fleet, n, older fleet.NarInfo) {
	t.Helper()
	b, err := f.Build().ReadFile(path.Join(fleet.CacheDir, older.Field("URL")))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Build().WriteFile(path.Join(fleet.CacheDir, n.Field("URL")), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// tamperField makes a field of the description say something else; nothing, if
// value is empty.
func tamperField(name, value string) func(t *testing.T, f *fleet.Fleet, n, older fleet.NarInfo) {
	return func(t *testing.T, f *fleet.Fleet, n, _ fleet.NarInfo) {
		t.Helper()
		was := name + ": " + n.Field(name)
		if n.Field(name) == "" {
			t.Fatalf("%s has no %s: %s", n.File, name, n.Text)
		}
		text := strings.Replace(n.Text, was, name+": "+value, 1)
		if value == "" {
			text = strings.Replace(n.Text, was+"\n", "", 1)
		}
		if err := f.Build().WriteFile(n.File, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
