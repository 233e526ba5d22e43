package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kedge/controller/internal/build"
	"kedge/controller/internal/source"
	"kedge/internal/nix"
	"kedge/proto"
)

// TestSourceReason requires, too, that the list has every reason that there is,
// and no other.
func TestSourceReason(t *testing.T) {
	failed := func(name string, reason proto.Reason) *build.HostError {
		return build.NewHostError(host(t, name), reason, errors.New("no such thing"))
	}
	full := &fs.PathError{Op: "write", Path: "rollout.json", Err: syscall.ENOSPC}
	reached := map[proto.Reason]bool{}
	for name, c := range map[string]struct {
		err  error
		want proto.Reason
	}{
		"a repository that does not answer":    {fmt.Errorf("check: %w: timeout", source.ErrUnreachable), proto.ReasonSourceUnreachable},
		"a build host that does not answer":    {fmt.Errorf("%w: build: %w", errBuild, nix.ErrUnreachable), proto.ReasonNoBuildHost},
		"a system that nobody builds for":      {&missedError{hosts: []*build.HostError{failed("arm1", proto.ReasonNoBuilder)}}, proto.ReasonNoBuilder},
		"a branch that is not there":           {fmt.Errorf("check: %w", source.ErrNoBranch), proto.ReasonNoBranch},
		"a revision that is not there":         {fmt.Errorf("fetch: %w", source.ErrRevisionGone), proto.ReasonRetrying},
		"a submodule that is gone":             {fmt.Errorf("check out: %w: lib: %w", source.ErrSubmodule, source.ErrUnreachable), proto.ReasonNoSubmodule},
		"a commit that nobody signed":          {fmt.Errorf("%w: 1 by x", source.ErrUnsigned), proto.ReasonUnsigned},
		"a branch that was pushed over":        {fmt.Errorf("%w: 1", source.ErrForcePushed), proto.ReasonForcePushed},
		"no flake in the tree":                 {fmt.Errorf("check out: %w", source.ErrNoFlake), proto.ReasonNoFlake},
		"no flake, as Nix says":                {&build.FlakeError{Missing: "flake.nix", Err: errors.New("error")}, proto.ReasonNoFlake},
		"no configurations":                    {&build.FlakeError{Missing: "nixosConfigurations", Err: errors.New("error")}, proto.ReasonNoConfigurations},
		"a flake that does not evaluate":       {&build.FlakeError{Err: errors.New("syntax error")}, proto.ReasonEvalFailed},
		"rollouts that cannot be":              {&build.SpecError{Err: errors.New("kedge.rolout: there is no such attribute")}, proto.ReasonBadSpec},
		"no room to evaluate":                  {&build.FlakeError{Err: &nix.CommandError{Stderr: "error: No space left on device", Err: errors.New("exit status 1")}}, proto.ReasonDiskFull},
		"a build of all that failed":           {fmt.Errorf("%w: %w", errBuild, errors.New("no root could be made")), proto.ReasonBuildFailed},
		"no room to build":                     {fmt.Errorf("%w: %w", errBuild, full), proto.ReasonDiskFull},
		"no room for the rollout":              {fmt.Errorf("publish: %w", full), proto.ReasonDiskFull},
		"no room for what git fetches":         {fmt.Errorf("fetch: %w: git fetch: exit status 128: fatal: write error: No space left on device", source.ErrUnreachable), proto.ReasonDiskFull},
		"anything else":                        {errors.New("the key is gone"), proto.ReasonRetrying},
		"hosts that were missed: the first's":  {&missedError{hosts: []*build.HostError{failed("db1", proto.ReasonNotAToplevel), failed("web1", proto.ReasonEvalFailed)}}, proto.ReasonNotAToplevel},
		"a host that two channels claim":       {&missedError{hosts: []*build.HostError{failed("db1", proto.ReasonTwoChannels)}}, proto.ReasonTwoChannels},
		"a bad name, of which nothing else is": {&missedError{names: []*build.NameError{{Name: "Web_1"}}, hosts: []*build.HostError{failed("db1", proto.ReasonEvalFailed)}}, proto.ReasonBadHostName},
	} {
		got := sourceReason(fmt.Errorf("revision 1: %w", c.err))
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		reached[got] = true
	}
	for _, r := range sourceReasons() {
		if !reached[r] {
			t.Errorf("the list has %q, which nothing comes to", r)
		}
		delete(reached, r)
	}
	for r := range reached {
		t.Errorf("the list lacks %q", r)
	}
	for _, r := range append(buildFailures(), string(proto.ReasonRetrying), string(proto.ReasonNotInRevision)) {
		if !slices.Contains(hostReasons(), proto.Reason(r)) {
			t.Errorf("the list of the hosts' reasons lacks %q", r)
		}
	}
}

func TestMissedErrorNamesTheHostsFirst(t *testing.T) {
	_, err := proto.ParseHostName("Web_1")
	e := &missedError{
		names: []*build.NameError{{Name: "Web_1", Err: err}},
		hosts: []*build.HostError{{Host: host(t, "db1")}, {Host: host(t, "web1")}},
	}
	want := `not published for db1, web1; nixosConfigurations."Web_1" is left out: ` + err.Error()
	if got := e.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPipelineSaysWhyInAWord(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		shows := func(when string, want proto.Reason) {
			t.Helper()
			synctest.Wait()
			if s := p.fleet.SourceStatus("main"); s.Reason != want || (s.Error == "") != (want == "") {
				t.Errorf("%s: source = %+v, want reason %q", when, s, want)
			}
		}
		asked := func() {
			p.Trigger()
			time.Sleep(2 * time.Second)
		}
		asked()
		shows("at first", "")
		p.repository.set(proto.Revision{}, source.ErrUnreachable)
		asked()
		shows("a repository that does not answer", proto.ReasonSourceUnreachable)
		p.repository.set(revision(t, "b"), nil)
		p.deployer.set(time.Second, source.ErrNoFlake)
		asked()
		shows("a revision that cannot be used", proto.ReasonNoFlake)
		time.Sleep(24 * time.Hour)
		shows("a day later", proto.ReasonNoFlake)
		p.repository.set(proto.Revision{}, source.ErrNoBranch)
		asked()
		shows("no branch any more", proto.ReasonNoBranch)
		p.repository.set(revision(t, "b"), nil)
		p.deployer.set(time.Second, nil)
		asked()
		shows("in the end", "")
	})
}

func TestPipelineSaysThatItWorks(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		for step, takes := range []time.Duration{time.Hour, 0} {
			p.deployer.set(takes, errors.New("does not build"))
			p.repository.set(revision(t, fmt.Sprint(step)), nil)
			p.Trigger()
			time.Sleep(takes / 2) // many looks
			synctest.Wait()
			if got, want := p.fleet.SourceStatus("main").Working, takes > 0; got != want {
				t.Errorf("step %d: working = %t, want %t", step, got, want)
			}
		}
		p.deployer.set(0, nil)
		p.Trigger()
		synctest.Wait()
		if p.fleet.SourceStatus("main").Working {
			t.Error("still working when it went well")
		}
	})
}
