//go:build e2e

package e2e_test

import (
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/proto"
)

// pushBoth pushes a change to both channels, and returns its revision.
func pushBoth(t *testing.T, f *fleet.Fleet, app string) proto.Revision {
	t.Helper()
	rev := commitOnly(t, f, app)
	for _, name := range bothChannels() {
		pushTo(t, f, name)
		requireHook(t, f, name, name, hookPassword, "202")
	}
	return rev
}

// bothChannels returns those of one repository, one over each transport.
func bothChannels() []string { return []string{"main", "testing"} }

// requireCut has the channels look at a forge that no longer has the repository, or no
// longer lets them in, and fails unless they say it, each in its words, and hosts are as
// they were. Once that is mended what was pushed meanwhile is deployed.
func requireCut(t *testing.T, f *fleet.Fleet, app string, cut, mend func(), says map[string][]string) {
	t.Helper()
	before, told := map[string]fleet.Facts{}, map[string]proto.Target{}
	for _, h := range f.Hosts() {
		before[h.Name()], told[h.Name()] = h.MustFacts(t), requirePublishedAny(t, h)
	}
	cut()
	for name, words := range says {
		requireHook(t, f, name, name, hookPassword, "202")
		s := awaitSource(t, f, name, "that it cannot be read", func(s proto.SourceStatus) bool { return !s.Working && s.Error != "" })
		if s.Reason != proto.ReasonSourceUnreachable || strings.Contains(s.Error, "s3cret") {
			t.Errorf("channel %s: is wrong because of %q: %s; want %q, and no secret", name, s.Reason, s.Error, proto.ReasonSourceUnreachable)
		}
		requireSays(t, "the channel "+name, s.Error, words...)
		requireSays(t, "`kedge status`", f.MustKedge(t, "status"), string(proto.ReasonSourceUnreachable))
	}
	for _, h := range f.Hosts() {
		requireUntouched(t, h, before[h.Name()], told[h.Name()])
	}
	mend()
	rev := pushBoth(t, f, app)
	for _, h := range f.Hosts() {
		h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireOn(t, h, app)
	}
	for _, name := range bothChannels() {
		awaitSource(t, f, name, "an end of "+app, settledOn(rev))
	}
}

// requireStorm has a thief and the forge tell the channel of a host of pushes without
// end, and fails unless the repository is looked at now and then, and the push among them
// is deployed.
func requireStorm(t *testing.T, f *fleet.Fleet, host *fleet.Host) {
	t.Helper()
	const many = 300
	looksBefore, start := looksOverHTTPS(t, f), time.Now()
	requireHooks(t, f, "testing", "testing", "what a thief guesses", "401", many)
	requireHooks(t, f, "testing", "testing", hookPassword, "202", many)
	rev := commitOnly(t, f, "in a storm")
	pushTo(t, f, "testing")
	requireHooks(t, f, "testing", "testing", hookPassword, "202", many)
	host.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, host, "in a storm")
	awaitSource(t, f, "testing", "an end of the storm", settledOn(rev))
	looks, most := looksOverHTTPS(t, f)-looksBefore, 3+int(time.Since(start)/hookPause) // the first, the last, and what is fetched
	if looks > most {
		t.Errorf("the forge was asked %d times for %d webhooks, want %d at most", looks, 2*many, most)
	}
}

// hookPause is between two looks that webhooks ask for.
const hookPause = 2 * time.Second

// looksOverHTTPS returns how often git has asked the forge what there is.
func looksOverHTTPS(t *testing.T, f *fleet.Fleet) int {
	t.Helper()
	return strings.Count(f.MustRunOnBuild(t, "journalctl", "--output=cat", "--unit="+forgeUnit), "/info/refs")
}
