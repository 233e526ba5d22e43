package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

const brokenUnit = "frobnicate.service"

// perform plays every act. It returns an error at the first claim that does
// not hold.
func (s *show) perform(ctx context.Context) error {
	for _, h := range s.fleet.Hosts() {
		if err := s.runs(ctx, h, "revision 0"); err != nil {
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
	return s.everybodyCommits(ctx, "revision 1", func(*toplevel.Fleet) {})
}

func (s *show) changed(ctx context.Context) error {
	s.say("push revision 2: a changed service")
	return s.everybodyCommits(ctx, "revision 2", func(*toplevel.Fleet) {})
}

// everybodyCommits pushes text to every host, with a further change.
func (s *show) everybodyCommits(ctx context.Context, text string, change func(w *toplevel.Fleet)) error {
	pushed := time.Now()
	rev, err := s.fleet.Push(ctx, text, func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App(text))
		change(w)
	})
	if err != nil {
		return err
	}
	for _, h := range s.fleet.Hosts() {
		if _, err := s.ends(ctx, h, rev, proto.PhaseCommitted); err != nil {
			return err
		}
	}
	s.say(fmt.Sprintf("  %.1f s from push to the last commit", time.Since(pushed).Seconds()))
	for _, h := range s.fleet.Hosts() {
		if err := s.runs(ctx, h, text); err != nil {
			return err
		}
	}
	return s.table(ctx)
}

func (s *show) broken(ctx context.Context) error {
	s.say("push revision 3: on web2 " + brokenUnit + " fails to start")
	web2 := s.fleet.Host("web2")
	before, err := web2.Facts(ctx)
	if err != nil {
		return err
	}
	rev, err := s.fleet.Push(ctx, "revision 3", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("revision 3"))
		fleet.Edit(w, fleet.AddUnit(brokenUnit, toplevel.FailsToStart("cannot open /dev/frobnicator: no such device")), "web2")
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"web1", "db1"} {
		if _, err := s.ends(ctx, s.fleet.Host(name), rev, proto.PhaseCommitted); err != nil {
			return err
		}
		if err := s.runs(ctx, s.fleet.Host(name), "revision 3"); err != nil {
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
	rev, err := s.fleet.Push(ctx, "revision 4", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("revision 4"))
		fleet.Edit(w, func(h *toplevel.Host) { delete(h.Units, brokenUnit) }, "web2")
	})
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
	for _, name := range []string{"web1", "web2"} {
		if _, err := s.ends(ctx, s.fleet.Host(name), rev, proto.PhaseCommitted); err != nil {
			return err
		}
		if err := s.runs(ctx, s.fleet.Host(name), "revision 4"); err != nil {
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
	if _, err := s.ends(ctx, db1, rev, proto.PhaseCommitted); err != nil {
		return err
	}
	if err := s.runs(ctx, db1, "revision 4"); err != nil {
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
