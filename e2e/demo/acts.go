package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"kedge/e2e/fleet"
	"kedge/proto"
)

const (
	canary     = "web1" // goes first, and is looked at before the others go
	brokenUnit = "frobnicate.service"
)

// breakWeb2 adds a service to web2 that fails to start.
func breakWeb2() fleet.Change {
	const before = "  networking."
	return fleet.Change{File: "hosts/web2.nix", Before: before, After: `  systemd.services.frobnicate = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      Type = "oneshot";
      ExecStart = "/bin/sh -c 'echo cannot open /dev/frobnicator: no such device; exit 1'";
    };
  };
` + before}
}

// mendWeb2 takes it away again.
func mendWeb2() fleet.Change {
	c := breakWeb2()
	c.Before, c.After = c.After, c.Before
	return c
}

// perform plays every act. It returns an error at the first claim that does
// not hold.
func (s *show) perform(ctx context.Context) error {
	for _, h := range s.fleet.Hosts() {
		if err := s.runs(ctx, h, 0); err != nil {
			return err
		}
	}
	for _, act := range []func(context.Context) error{s.first, s.changed, s.broken, s.powerLost} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	s.say("every claim holds")
	return nil
}

func (s *show) first(ctx context.Context) error {
	s.say("push revision 1")
	return s.everybodyCommits(ctx, 1)
}

func (s *show) changed(ctx context.Context) error {
	s.say("push revision 2: a changed service on every host")
	return s.everybodyCommits(ctx, 2)
}

func (s *show) everybodyCommits(ctx context.Context, revision int) error {
	pushed := time.Now()
	rev, err := s.push(ctx, revision)
	if err != nil {
		return err
	}
	if err := s.commit(ctx, rev, "web2", "db1"); err != nil {
		return err
	}
	s.say(fmt.Sprintf("  %.1f s from push to the last commit", time.Since(pushed).Seconds()))
	for _, h := range s.fleet.Hosts() {
		if err := s.runs(ctx, h, revision); err != nil {
			return err
		}
	}
	return s.table(ctx)
}

// push pushes a revision, whose services answer that they are of it, with further
// changes. The canary commits it, and somebody promotes it, who does not wait for as
// long as the flake says; then the others go.
func (s *show) push(ctx context.Context, revision int, changes ...fleet.Change) (proto.Revision, error) {
	rev, err := s.fleet.PushChanges(ctx, fmt.Sprintf("revision %d", revision), append(fleet.Revise(revision-1, revision), changes...)...)
	if err != nil {
		return rev, err
	}
	if err := s.commit(ctx, rev, canary); err != nil {
		return rev, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := s.fleet.Promote(ctx); err != nil {
		return rev, err
	}
	s.say("  the canary is well: `kedge rollout promote` ends its soak of 10 minutes")
	return rev, nil
}

// commit claims that hosts commit rev.
func (s *show) commit(ctx context.Context, rev proto.Revision, names ...string) error {
	for _, name := range names {
		if _, err := s.ends(ctx, s.fleet.Host(name), rev, proto.PhaseCommitted); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) broken(ctx context.Context) error {
	s.say("push revision 3: on web2 " + brokenUnit + " fails to start")
	web2 := s.fleet.Host("web2")
	before, err := web2.Facts(ctx)
	if err != nil {
		return err
	}
	rev, err := s.push(ctx, 3, breakWeb2())
	if err != nil {
		return err
	}
	if err := s.commit(ctx, rev, "db1"); err != nil {
		return err
	}
	for _, name := range []string{"web1", "db1"} {
		if err := s.runs(ctx, s.fleet.Host(name), 3); err != nil {
			return err
		}
	}
	v, err := s.ends(ctx, web2, rev, proto.PhaseRolledBack)
	if err != nil {
		return err
	}
	d := v.Status.Deployment
	named := slices.ContainsFunc(d.Failed, func(u proto.FailedUnit) bool {
		return u.Name == brokenUnit && strings.Contains(strings.Join(u.Log, "\n"), "no such device")
	})
	if err := s.claim(named && d.Reason == proto.ReasonUnitsFailed, "web2 says why: %s, with the unit and its log lines: %+v", d.Reason, d.Failed); err != nil {
		return err
	}
	after, err := web2.Facts(ctx)
	if err != nil {
		return err
	}
	if err := s.claim(after == before, "web2 is as it was before: %s answers %q", after.Generation, after.App); err != nil {
		return err
	}
	if _, err := web2.Run(ctx, "systemctl", "cat", brokenUnit); err == nil {
		return s.claim(false, "web2 has no %s any more", brokenUnit)
	}
	return s.table(ctx)
}

func (s *show) powerLost(ctx context.Context) error {
	s.say("push revision 4, without the broken unit, and cut db1's power in the middle")
	db1 := s.fleet.Host("db1")
	before, err := db1.Facts(ctx)
	if err != nil {
		return err
	}
	rev, err := s.push(ctx, 4, mendWeb2())
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if _, err := db1.AwaitRecord(waiting, "probation", func(r fleet.Record) bool {
		return r.Revision == rev && r.Phase == proto.PhaseProbation
	}); err != nil {
		return err
	}
	if err := db1.PowerCut(ctx); err != nil {
		return err
	}
	s.say("  db1 lost its power while revision 4 was in probation")
	if err := s.commit(ctx, rev, "web2"); err != nil {
		return err
	}
	for _, name := range []string{"web1", "web2"} {
		if err := s.runs(ctx, s.fleet.Host(name), 4); err != nil {
			return err
		}
	}
	if err := db1.Start(ctx); err != nil {
		return err
	}
	up, err := db1.Facts(ctx)
	if err != nil {
		return err
	}
	if err := s.claim(up.Booted == before.Profile, "db1 came up on the proven system, %s", before.Generation); err != nil {
		return err
	}
	if err := s.commit(ctx, rev, "db1"); err != nil {
		return err
	}
	if err := s.runs(ctx, db1, 4); err != nil {
		return err
	}
	events, err := s.fleet.Kedge(ctx, "events", "--host", "db1")
	if err != nil {
		return err
	}
	if err := s.claim(strings.Contains(events, string(proto.ReasonPowerLoss)), "db1 reported the power loss"); err != nil {
		return err
	}
	return s.table(ctx)
}
