//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestPublish: an admin publishes toplevels by hand, and waits for what becomes
// of them.
func TestPublish(t *testing.T) {
	t.Parallel()
	f := up(t, "web1", "web2")
	web1, web2 := f.Host("web1"), f.Host("web2")
	commit(t, f, "older", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("older")) })
	older := requireOn(t, web1, "older")

	// A system that web1 never sees: it is off while two revisions pass.
	if err := web1.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}
	broken := f.MustPush(t, "broken", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("broken"))
		fleet.Edit(w, fleet.AddUnit("broken.service", toplevel.FailsToStart("no")), "web1")
	})
	web2.MustAwaitPhase(t, broken, proto.PhaseCommitted)
	brokenSystem := requirePublished(t, web1, broken).Toplevel
	newer := f.MustPush(t, "newer", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("newer"))
		fleet.Edit(w, func(h *toplevel.Host) { delete(h.Units, "broken.service") }, "web1")
	})
	web2.MustAwaitPhase(t, newer, proto.PhaseCommitted)
	if err := web1.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	web1.MustAwaitPhase(t, newer, proto.PhaseCommitted)
	requireOn(t, web1, "newer")
	events, err := web1.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Revision == broken {
			t.Errorf("web1: deployed what was overtaken while it was off: %+v", e)
		}
	}

	t.Run("a system that was built here before", func(t *testing.T) {
		out := f.MustKedge(t, "publish", "web1="+older.Current, "--wait")
		requireSays(t, "`kedge publish`", out, "web1: published as serial", "web1: succeeded")
		if again := requireOn(t, web1, "older"); again.Current != older.Current {
			t.Errorf("web1: runs %s, want %s", again.Current, older.Current)
		}
		requireOn(t, web2, "newer")
	})
	t.Run("a system that is rolled back", func(t *testing.T) {
		before := web1.MustFacts(t)
		out, err := f.Kedge(t.Context(), "publish", "web1="+brokenSystem.String(), "--wait")
		code, stderr := exitCode(t, err)
		if code != 3 {
			t.Errorf("`kedge publish --wait` ended with %d, want 3: %s", code, stderr)
		}
		requireSays(t, "`kedge publish`", out+stderr, "web1", "rolled-back", "units-failed", "broken.service")
		requireSame(t, web1, before)
	})
}

// TestPublishRefused: what cannot be vouched for is refused whole, with every
// problem named, and nothing changes.
func TestPublishRefused(t *testing.T) {
	t.Parallel()
	f := up(t, "web1", "web2")
	rev := commit(t, f, "good", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("good")) })
	good := requireOn(t, f.Host("web2"), "good")
	if _, err := f.Commit(t.Context(), "built by somebody else", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("somebody else's")) }); err != nil {
		t.Fatal(err)
	}
	unsigned, err := f.BuildCommitted(t.Context(), "web1")
	if err != nil {
		t.Fatal(err)
	}
	file := strings.TrimSpace(f.MustRunOnBuild(t, "nix-store", "--add", "/etc/hostname"))
	const absent = "/nix/store/00000000000000000000000000000000-absent"

	for _, row := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{
			"a system that nobody signed",
			[]string{"publish", "web1=" + unsigned.String()},
			1,
			[]string{"web1", "signed by no trusted key", unsigned.String(), "nothing was published"},
		},
		{
			"everything that is wrong, also for hosts that come later",
			[]string{"publish", "web1=" + unsigned.String(), "web2=" + file, "ghost=" + good.Current, "ghost2=" + absent},
			1,
			[]string{"nothing was published", "web1: ", "signed by no trusted key", "web2: " + file + " is not a NixOS toplevel", "ghost: is not a known host", "ghost2: is not a known host", absent},
		},
		{
			"a good one beside a bad one",
			[]string{"publish", "web2=" + good.Current, "web1=" + file},
			1,
			[]string{"nothing was published", "web1: " + file},
		},
		{
			"what cannot be parsed",
			[]string{"publish", "Bad_Name=" + good.Current, "web1=/etc/passwd", "web2"},
			2,
			[]string{"Bad_Name", "/etc/passwd", `"web2" is neither HOST=STOREPATH nor a signed file`},
		},
		{"a host with a bad name", []string{"host", "add", "Bad_Name"}, 2, []string{"Bad_Name"}},
		{"credentials over a file", []string{"host", "add", "web3", "--out", "/etc/hostname"}, 1, []string{"/etc/hostname", "exists"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := f.Kedge(t.Context(), row.args...)
			code, stderr := exitCode(t, err)
			if code != row.code {
				t.Errorf("kedge %q ended with %d, want %d", row.args, code, row.code)
			}
			requireSays(t, "kedge", stderr, row.says...)
		})
	}

	if name := f.MustRunOnBuild(t, "cat", "/etc/hostname"); name != "build\n" {
		t.Errorf("/etc/hostname was overwritten: %q", name)
	}
	if strings.Contains(f.MustKedge(t, "host", "list"), "web3") {
		t.Error("web3 was enrolled although its credentials could not be written")
	}
	for _, h := range f.Hosts() {
		requirePublished(t, h, rev)
		requireOn(t, h, "good")
	}
}
