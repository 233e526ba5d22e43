package health

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

func TestJudgeByChecks(t *testing.T) {
	const app = "app.service"
	dead := systemd.Unit{Name: app, LoadState: "loaded", ActiveState: systemd.Inactive, SubState: "dead"}
	passed := proto.CheckResult{Name: "app", Passed: true}
	failed := func(remark string) proto.CheckResult {
		return proto.CheckResult{Name: "app", Message: "app.service is inactive (dead)" + remark}
	}
	required := func(r proto.CheckResult) proto.CheckResult {
		r.Required = true
		return r
	}
	tests := []struct {
		name   string
		units  func(at time.Duration) systemd.Units
		check  deployment.Check
		good   bool
		at     time.Duration
		result proto.CheckResult
	}{
		{"required and passes", always(active(app)), deployment.Check{Required: true}, true, grace, required(passed)},
		{"required and fails", always(dead), deployment.Check{Required: true}, false, deadline, required(failed(""))},
		{"required, whatever was before", always(dead), deployment.Check{Required: true, Before: deployment.BeforeFailed}, false, deadline, required(failed(""))},
		{"fails and passed before", always(dead), deployment.Check{Before: deployment.BeforePassed}, false, deadline, failed(" (passed before)")},
		{"passed before and passes late", from(30*time.Second, dead, active(app)), deployment.Check{Before: deployment.BeforePassed}, true, 30 * time.Second, passed},
		{"failed before too", always(dead), deployment.Check{Before: deployment.BeforeFailed}, true, grace, failed(" (not required, failed before too)")},
		{"failed before and passes", always(active(app)), deployment.Check{Before: deployment.BeforeFailed}, true, grace, passed},
		{"not tried before", always(dead), deployment.Check{}, true, grace, failed(" (not required)")},
		{
			"fails as often as it may", always(dead),
			deployment.Check{Required: true, Interval: 5 * time.Second, Retries: 4},
			false, 15 * time.Second, required(failed("")),
		},
		{
			"fails as often as it may within the grace period", always(dead),
			deployment.Check{Required: true, Retries: 4},
			false, grace, required(failed("")),
		},
		{
			"fails as often as it may and then would pass", from(5*time.Second, dead, active(app)),
			deployment.Check{Required: true, Retries: 4},
			false, grace, required(failed("")),
		},
		{
			"fails as often as it may and does not count", always(dead),
			deployment.Check{Retries: 1},
			true, grace, failed(" (not required)"),
		},
		{"passes and then fails again", from(5*time.Second, active(app), dead), deployment.Check{Required: true}, false, deadline, required(failed(""))},
		{
			"begins late", from(25*time.Second, active(app), dead),
			deployment.Check{Required: true, StartDelay: 30 * time.Second},
			false, deadline, required(failed("")),
		},
		{
			"begins late and passes", from(29*time.Second, dead, active(app)),
			deployment.Check{Required: true, StartDelay: 30 * time.Second, Retries: 1},
			true, 30 * time.Second, required(passed),
		},
		{
			"begins too late, but does not count", always(active(app)),
			deployment.Check{StartDelay: 30 * time.Second},
			true, grace, passed,
		},
		{
			"must pass twice in a row", from(20*time.Second, dead, active(app)),
			deployment.Check{Required: true, Successes: 2, Interval: 5 * time.Second},
			true, 25 * time.Second, required(passed),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				h.units = tt.units
				tt.check.Name, tt.check.Unit = "app", app
				p := deployment.Probation{Grace: grace, Deadline: deadline, Checks: []deployment.Check{tt.check}}
				got, err := h.judge(t).Judge(t.Context(), p, deployment.Baseline{})
				if err != nil {
					t.Fatal(err)
				}
				if at := time.Since(h.start); at != tt.at {
					t.Errorf("decided after %v, want %v", at, tt.at)
				}
				if got.Good != tt.good || !tt.good && got.Reason != proto.ReasonCheckFailed {
					t.Errorf("got %+v, want good is %t", got, tt.good)
				}
				if diff := cmp.Diff([]proto.CheckResult{tt.result}, got.Checks, cmpopts.IgnoreFields(proto.CheckResult{}, "Time", "Duration")); diff != "" {
					t.Errorf("results (-want +got):\n%s", diff)
				}
				message := ""
				if !tt.result.Passed {
					message = "check app: " + tt.result.Message
				}
				if got.Message != message {
					t.Errorf("message is %q, want %q", got.Message, message)
				}
				if r := got.Checks[0]; r.Time.Before(h.start) || tt.good && tt.result.Passed && time.Since(r.Time) > 0 {
					t.Errorf("last tried at %v, want at the end if it passes", r.Time.Sub(h.start))
				}
			})
		})
	}
}

// A check that has failed for good is not waited for any more, whatever else is
// missing; one that does not count decides nothing.
func TestJudgeByChecksWithoutContact(t *testing.T) {
	for _, tt := range []struct {
		name    string
		counts  bool
		contact time.Duration // after the restart
		good    bool
		at      time.Duration
	}{
		{"failed for good, no contact", true, 0, false, 15 * time.Second},
		{"failed, but does not count", false, 40 * time.Second, true, 40*time.Second + headStart},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				h.contactAfter = tt.contact
				c := deployment.Check{Name: "app", Unit: "app.service", Required: tt.counts, Interval: 5 * time.Second, Retries: 4}
				p := deployment.Probation{Grace: grace, Deadline: deadline, Checks: []deployment.Check{c}}
				got, err := h.judge(t).Judge(t.Context(), p, deployment.Baseline{})
				if at := time.Since(h.start); err != nil || got.Good != tt.good || at != tt.at {
					t.Errorf("got %+v, %v after %v; want good is %t after %v", got, err, at, tt.good, tt.at)
				}
			})
		})
	}
}

// A check that passed and fails in the last look is tried again at once.
func TestJudgeDelaysTheFirstTryOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.contactAfter = 25 * time.Second
		h.units = func(at time.Duration) systemd.Units {
			if at < 22*time.Second {
				return systemd.Units{active("app.service")}
			}
			return from(29*time.Second, failed("other.service"), active("app.service"))(at)
		}
		p := deployment.Probation{Grace: grace, Deadline: deadline, Checks: []deployment.Check{
			{Name: "app", Unit: "app.service", Required: true, StartDelay: 20 * time.Second},
		}}
		got, err := h.judge(t).Judge(t.Context(), p, deployment.Baseline{Failed: []string{"other.service"}})
		if at := time.Since(h.start); err != nil || !got.Good || at < 29*time.Second || at > 31*time.Second {
			t.Errorf("got %+v, %v after %v, want a good one after 30s", got, err, at)
		}
	})
}

// A check that passed is not asked for again until the last look.
func TestJudgeAsksSystemdSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.contactAfter = 40 * time.Second
		asked := 0
		h.units = func(time.Duration) systemd.Units {
			asked++
			return systemd.Units{active("app-0.service")}
		}
		judge := func(checks int) int {
			p := deployment.Probation{Grace: grace, Deadline: deadline}
			for i := range checks {
				p.Checks = append(p.Checks, deployment.Check{Name: fmt.Sprint(i), Unit: "app-0.service", Required: true})
			}
			before := asked
			if got, err := h.judge(t).Judge(t.Context(), p, deployment.Baseline{}); err != nil || !got.Good {
				t.Fatalf("got %+v, %v", got, err)
			}
			return asked - before
		}
		if without, with := judge(0), judge(10); with-without != 20 {
			t.Errorf("10 checks asked %d times, want twice each", with-without)
		}
	})
}
