//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// With what the operator signs, and what says that this counts, on the build host.
const (
	signingKey = "/root/signing-key"
	signers    = "/root/signers"
)

// TestGitOps: a repository on a forge that nobody watches, which the controller
// reaches by ssh and over https alone and hears of by webhooks alone, also of far too
// many; two channels; a revert; a forge that lets nobody in; commits that must be
// signed; a branch that is pushed over; a build host that is not there; and submodules.
func TestGitOps(t *testing.T) {
	t.Parallel()
	f := up(t, "web1", "db1")
	web1, db1 := f.Host("web1"), f.Host("db1")
	startForge(t, f)
	first := commit(t, f, "first", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("first")) })
	configure := sourcesOf(t, f)
	ssh, https := overSSH(fleet.Repository), overHTTPS(fleet.Repository)

	t.Run("a webhook", func(t *testing.T) {
		configure(t, channel("main", "all", ssh))
		awaitSource(t, f, "main", "an end of the first look", settledOn(first))
		second := f.MustPush(t, "second", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("second")) })
		looked := source(t, f, "main")
		requireHook(t, f, "main", "main", "what a thief guesses", "401")
		requireHook(t, f, "main", "other", hookPassword, "200")
		requireSays(t, "the controller's metrics", controllerMetrics(t, f), hooks("main", "refused", 1), hooks("main", "ignored", 1), hooks("main", "looked", 0))
		if after := source(t, f, "main"); after != looked || after.Revision != first {
			t.Errorf("what no webhook told of was looked at: %+v, was %+v", after, looked)
		}
		requireHook(t, f, "main", "main", hookPassword, "202")
		for _, h := range f.Hosts() {
			h.MustAwaitPhase(t, second, proto.PhaseCommitted)
			requireOn(t, h, "second")
		}
		requireSays(t, "the controller's metrics", controllerMetrics(t, f), hooks("main", "looked", 1))
	})

	t.Run("two channels, one by ssh and one over https", func(t *testing.T) {
		pushTo(t, f, "testing")
		configure(t, channel("main", "web1", ssh), channel("testing", "db1", https))
		for name, h := range map[string]*fleet.Host{"main": web1, "testing": db1} {
			h.MustAwaitView(t, "the channel "+name, func(v proto.HostView) bool { return v.Channel == name })
			awaitSource(t, f, name, "an end of the first look", settledOn(requirePublishedAny(t, h).Revision))
		}
		web1Before, web1Told := requireOn(t, web1, "second"), requirePublishedAny(t, web1)
		trial := commitOnly(t, f, "trial")
		pushTo(t, f, "testing")
		requireHook(t, f, "testing", "testing", hookPassword, "202")
		db1.MustAwaitPhase(t, trial, proto.PhaseCommitted)
		requireOn(t, db1, "trial")
		awaitSource(t, f, "testing", "an end of the trial", settledOn(trial))
		requireUntouched(t, web1, web1Before, web1Told)

		db1Before, db1Told := requireOn(t, db1, "trial"), requirePublished(t, db1, trial)
		stable := commitOnly(t, f, "stable")
		pushTo(t, f, "main")
		requireHook(t, f, "main", "main", hookPassword, "202")
		web1.MustAwaitPhase(t, stable, proto.PhaseCommitted)
		requireOn(t, web1, "stable")
		awaitSource(t, f, "main", "an end of the stable one", settledOn(stable))
		requireUntouched(t, db1, db1Before, db1Told)
	})

	t.Run("a storm of webhooks", func(t *testing.T) { requireStorm(t, f, db1) })

	t.Run("a revert", func(t *testing.T) {
		before, told := requireOn(t, web1, "stable"), requirePublishedAny(t, web1)
		worse := commitOnly(t, f, "worse")
		pushTo(t, f, "main")
		requireHook(t, f, "main", "main", hookPassword, "202")
		web1.MustAwaitPhase(t, worse, proto.PhaseCommitted)
		requireOn(t, web1, "worse")
		inWorktree(t, f, "revert", "--no-edit", "HEAD", "HEAD~1") // what the storm brought, too
		reverted := head(t, f)
		pushTo(t, f, "main")
		requireHook(t, f, "main", "main", hookPassword, "202")
		web1.MustAwaitPhase(t, reverted, proto.PhaseCommitted)
		if now := requireOn(t, web1, "stable"); now.Current != before.Current || requirePublished(t, web1, reverted).Toplevel != told.Toplevel {
			t.Errorf("web1: runs %s after the revert, want %s as before", now.Current, before.Current)
		}
	})

	t.Run("a repository that is gone", func(t *testing.T) {
		move := func(from, to string) func() { return func() { f.MustRunOnBuild(t, "mv", from, to) } }
		requireCut(t, f, "moved back", move(fleet.Repository, "/srv/away.git"), move("/srv/away.git", fleet.Repository), map[string][]string{
			"main":    {"does not appear to be a git repository", "was it moved? see url"},
			"testing": {"not found", "see url"},
		})
	})

	t.Run("a repository that wants another key", func(t *testing.T) {
		const otherKey = "/root/other-key"
		makeKey(t, f, otherKey)
		requireCut(t, f, "with another key", func() {
			f.MustRunOnBuild(t, "cp", otherKey+".pub", authorizedKeys)
			f.MustRunOnBuild(t, "sed", "--in-place", "s/.*/"+secondToken+"/", theirToken)
		}, func() {
			f.MustRunOnBuild(t, "cp", otherKey, forgeKey)
			f.MustRunOnBuild(t, "cp", otherKey+".pub", forgeKey+".pub") // ssh believes it
			f.MustRunOnBuild(t, "cp", theirToken, forgeToken)
		}, map[string][]string{"main": {"Permission denied", "see ssh_key_file"}, "testing": {"Authentication failed", "see token_file"}})
	})

	t.Run("signed commits", func(t *testing.T) {
		makeSigner(t, f)
		configure(t, channel("main", "web1", ssh, signed), channel("testing", "db1", https))
		before, told := requireOn(t, web1, "with another key"), requirePublishedAny(t, web1)
		awaitSource(t, f, "main", "an end of the first look", settledOn(told.Revision))
		unsigned := commitOnly(t, f, "unsigned")
		requireRefused(t, f, unsigned, proto.ReasonUnsigned, "Operator <operator@example.org>")
		requireUntouched(t, web1, before, told)

		inWorktree(t, f, "config", "commit.gpgsign", "true")
		onTop := commitOnly(t, f, "signed on top of it")
		requireRefused(t, f, onTop, proto.ReasonUnsigned, unsigned.String()[:10])
		requireUntouched(t, web1, before, told)

		inWorktree(t, f, "reset", "--quiet", "--hard", told.Revision.String())
		good := commitOnly(t, f, "signed")
		pushTo(t, f, "main")
		requireHook(t, f, "main", "main", hookPassword, "202")
		web1.MustAwaitPhase(t, good, proto.PhaseCommitted)
		requireOn(t, web1, "signed")
	})

	t.Run("pushed over", func(t *testing.T) {
		configure(t, channel("main", "web1", ssh, signed, "force_push: refuse"), channel("testing", "db1", https))
		before, told := requireOn(t, web1, "signed"), requirePublishedAny(t, web1)
		awaitSource(t, f, "main", "an end of the first look", settledOn(told.Revision))
		inWorktree(t, f, "reset", "--quiet", "--hard", "HEAD~1")
		over := commitOnly(t, f, "over it")
		requireRefused(t, f, over, proto.ReasonForcePushed, told.Revision.Short())
		requireUntouched(t, web1, before, told)

		configure(t, channel("main", "web1", ssh, signed, "force_push: accept"), channel("testing", "db1", https))
		web1.MustAwaitPhase(t, over, proto.PhaseCommitted)
		requireOn(t, web1, "over it")
	})

	t.Run("build host unreachable", func(t *testing.T) {
		setBuildHost(t, f)
		before, told := requireOn(t, web1, "over it"), requirePublishedAny(t, web1)
		awaitSource(t, f, "main", "an end of the first look", settledOn(told.Revision))
		elsewhere := commitOnly(t, f, "built elsewhere")
		requireRefused(t, f, elsewhere, proto.ReasonNoBuildHost, "the build host cannot be reached")
		requireUntouched(t, web1, before, told)

		f.MustRunOnBuild(t, "sh", "-c", startBuildHost)
		f.MustKedge(t, "reconcile")
		web1.MustAwaitPhase(t, elsewhere, proto.PhaseCommitted)
		requireOn(t, web1, "built elsewhere")
		f.MustRunOnBuild(t, "test", "-e", "/srv/big"+requirePublishedAny(t, web1).Toplevel.String())
	})

	t.Run("submodules by ssh", func(t *testing.T) {
		rev := pushAround(t, f, commitOnly(t, f, "in a submodule"))
		configure(t, channel("main", "web1", overSSH(aroundRepository), "submodules: true", "subdir: fleet"), channel("testing", "db1", https))
		web1.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireOn(t, web1, "in a submodule")
	})
}

// aroundRepository has that of the fleet, which is beside it, as a submodule, and nothing else.
const aroundRepository = "/srv/git/around.git"

// pushAround makes it, with the fleet's at a revision.
func pushAround(t *testing.T, f *fleet.Fleet, fleets proto.Revision) proto.Revision {
	t.Helper()
	pushTo(t, f, "main")
	out := f.MustRunOnBuild(t, "sh", "-ec", `
git init --quiet --bare --initial-branch=main "$0"
git clone --quiet "$0" /root/around
cd /root/around
git config --file .gitmodules submodule.fleet.path fleet
git config --file .gitmodules submodule.fleet.url "../$1"
git add .gitmodules
git update-index --add --cacheinfo "160000,$2,fleet"
git commit --quiet -m around
git push --quiet origin HEAD:main
git rev-parse HEAD`, aroundRepository, filepath.Base(fleet.Repository), fleets.String())
	return parseRevision(t, out)
}

// startBuildHost starts an SSH server whose sessions have a Nix store of their own.
const startBuildHost = `mkdir -p /srv/big/nix
systemd-run --quiet --unit=big --service-type=notify --property=BindPaths=/srv/big/nix:/nix /usr/sbin/sshd -D -p 2299 -o PidFile=none`

// setBuildHost has the controller build on a machine that is not there: another port of
// this one, with the key of the forge.
func setBuildHost(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	f.MustRunOnBuild(t, "sh", "-c", `sed --in-place 's/^127.0.0.1 .*/&\n[127.0.0.1]:2299 &/; s/:2299 127.0.0.1/:2299/' "$0"`, knownHosts)
	f.MustRunOnBuild(t, "sed", "--in-place", `s|^build:$|&\n  host: ssh-ng://root@127.0.0.1:2299\n  ssh_key_file: `+forgeKey+`\n  known_hosts_file: `+knownHosts+`|`, controllerConfig)
	f.MustRunOnBuild(t, "systemctl", "restart", "kedge-controller.service")
}

// signed has a channel's commits signed by [signingKey].
const signed = "signatures: {required: true, allowed_signers_file: " + signers + "}"

// makeSigner makes a key that signs what is committed, once git is told to sign.
func makeSigner(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	makeKey(t, f, signingKey)
	f.MustRunOnBuild(t, "sh", "-c", `sed 's|^|operator@example.org |' "$0.pub" > "$1"`, signingKey, signers)
	inWorktree(t, f, "config", "gpg.format", "ssh")
	inWorktree(t, f, "config", "user.signingkey", signingKey)
}

// commitOnly commits a change of every host's app, and pushes nothing.
func commitOnly(t *testing.T, f *fleet.Fleet, app string) proto.Revision {
	t.Helper()
	rev, err := f.Commit(t.Context(), app, func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App(app)) })
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// pushTo pushes what was committed to a branch, whatever is there.
func pushTo(t *testing.T, f *fleet.Fleet, branch string) {
	t.Helper()
	inWorktree(t, f, "push", "--quiet", "--force", "origin", "HEAD:"+branch)
}

// head returns the revision where the operator works.
func head(t *testing.T, f *fleet.Fleet) proto.Revision {
	t.Helper()
	return parseRevision(t, f.MustRunOnBuild(t, "git", "-C", fleet.Worktree, "rev-parse", "HEAD"))
}

func parseRevision(t *testing.T, line string) proto.Revision {
	t.Helper()
	rev, err := proto.ParseRevision(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// inWorktree runs git where the operator works.
func inWorktree(t *testing.T, f *fleet.Fleet, args ...string) {
	t.Helper()
	f.MustRunOnBuild(t, append([]string{"git", "-C", fleet.Worktree}, args...)...)
}

// source returns how the controller stands to a channel's repository.
func source(t *testing.T, f *fleet.Fleet, channel string) proto.SourceStatus {
	t.Helper()
	var r proto.FleetReply
	if err := json.Unmarshal([]byte(f.MustKedge(t, "status", "--json")), &r); err != nil {
		t.Fatalf("read what `kedge status` said: %v", err)
	}
	i := slices.IndexFunc(r.Sources, func(s proto.SourceStatus) bool { return s.Channel == channel })
	if i < 0 {
		return proto.SourceStatus{}
	}
	return r.Sources[i]
}

// awaitSource waits until a channel's source is ok.
func awaitSource(t *testing.T, f *fleet.Fleet, channel, what string, ok func(s proto.SourceStatus) bool) proto.SourceStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		s := source(t, f, channel)
		if ok(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("wait for %s of channel %s: it is %+v", what, channel, s)
		}
	}
}

// settledOn reports whether all was done, and went well, for a revision.
func settledOn(rev proto.Revision) func(s proto.SourceStatus) bool {
	return func(s proto.SourceStatus) bool {
		return s.Revision == rev && s.IsBuilt() && !s.Working && s.Error == "" && !s.Checked.IsZero()
	}
}

// requireRefused pushes a revision to main, and fails unless the controller refuses it
// for the reason, and says these words about it.
func requireRefused(t *testing.T, f *fleet.Fleet, rev proto.Revision, reason proto.Reason, words ...string) {
	t.Helper()
	pushTo(t, f, "main")
	requireHook(t, f, "main", "main", hookPassword, "202")
	s := awaitSource(t, f, "main", "a refusal of "+rev.Short(), func(s proto.SourceStatus) bool {
		return s.Revision == rev && !s.Working && s.Error != ""
	})
	if s.Reason != reason || s.Built == rev {
		t.Errorf("revision %s was refused because of %q: %s; want %q", rev.Short(), s.Reason, s.Error, reason)
	}
	requireSays(t, "the source's error", s.Error, words...)
	requireSays(t, "`kedge status`", f.MustKedge(t, "status"), string(reason))
}

// requirePublishedAny returns what is published for a host.
func requirePublishedAny(t *testing.T, h *fleet.Host) proto.Target {
	t.Helper()
	v, err := h.View(t.Context())
	if err != nil || v.Want.Serial == 0 {
		t.Fatalf("%s: nothing is published (%v)", h.Name(), err)
	}
	return v.Want
}

// requireUntouched fails unless the host is as it was, and was told nothing new.
func requireUntouched(t *testing.T, h *fleet.Host, before fleet.Facts, told proto.Target) {
	t.Helper()
	requireSame(t, h, before)
	if now := requirePublishedAny(t, h); now != told {
		t.Errorf("%s: %+v is published, want %+v as before", h.Name(), now, told)
	}
}
