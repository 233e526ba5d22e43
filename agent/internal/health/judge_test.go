package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/check"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

const (
	grace    = 10 * time.Second
	deadline = time.Minute
)

func TestJudge(t *testing.T) {
	declared := func(unit string, required bool) deployment.Check {
		return deployment.Check{Name: "app", Unit: unit, Required: required}
	}
	const app = "app.service"
	tests := []struct {
		name     string
		prepare  func(h *host)
		p        deployment.Probation
		before   deployment.Baseline
		reason   proto.Reason // empty: good
		at       time.Duration
		lag      time.Duration // how much later than at is fine
		contact  bool
		messages string
	}{
		{name: "good at the end of the grace period", at: grace, contact: true},
		{
			name: "good at contact, after the grace period", at: 20*time.Second + headStart, contact: true,
			prepare: func(h *host) { h.contactAfter = 20 * time.Second },
		},
		{
			name: "good when the last check passes", at: 30 * time.Second, lag: check.DefaultInterval, contact: true,
			prepare: func(h *host) {
				h.units = from(30*time.Second, systemd.Unit{Name: app, LoadState: "loaded", ActiveState: systemd.Activating}, active(app))
			},
			p: deployment.Probation{Checks: []deployment.Check{declared(app, true)}},
		},
		{
			name: "agent that made contact and was stopped", reason: proto.ReasonNoContact, at: deadline, messages: "inactive",
			prepare: func(h *host) { h.stopsAfter = 5 * time.Second },
		},
		{
			name: "unit failed", reason: proto.ReasonUnitsFailed, at: grace, contact: true, messages: app,
			prepare: func(h *host) { h.units = always(failed(app)) },
		},
		{
			name: "unit fails within the grace period, without contact", reason: proto.ReasonUnitsFailed, at: grace, messages: "no contact",
			prepare: func(h *host) {
				h.contactAfter = 0
				h.units = from(2*time.Second, active(app), failed(app))
			},
		},
		{
			name: "unit that recovers within the grace period", at: grace, contact: true,
			prepare: func(h *host) { h.units = from(9*time.Second, failed(app), active(app)) },
		},
		{
			name: "unit that fails after the grace period, before contact", reason: proto.ReasonUnitsFailed, at: 20*time.Second + headStart, contact: true,
			prepare: func(h *host) {
				h.contactAfter = 20 * time.Second
				h.units = from(15*time.Second, active(app), failed(app))
			},
		},
		{
			name: "unit that failed before", at: grace, contact: true, before: deployment.Baseline{Failed: []string{app}},
			prepare: func(h *host) { h.units = always(failed(app)) },
		},
		{
			name: "unit that flapped before", at: grace, contact: true, before: deployment.Baseline{Restarting: []string{app}},
			prepare: func(h *host) {
				h.units = restartsEvery(2*time.Second, app)
				h.journal = map[string][]string{app: {"app.service: Failed with result 'exit-code'."}}
			},
		},
		{
			name: "unit that flapped before and does not run any more", reason: proto.ReasonUnitsFailed, at: grace, contact: true,
			before:  deployment.Baseline{Restarting: []string{app}},
			prepare: func(h *host) { h.units = always(failed(app)) },
		},
		{
			name: "unit waits to be restarted after a failure", reason: proto.ReasonUnitsFailed, at: grace, contact: true, messages: app,
			prepare: func(h *host) { h.units = always(autoRestarting(app, 1)) },
		},
		{
			name: "unit waits to be restarted after it ended well", at: grace, contact: true,
			prepare: func(h *host) { h.units = always(autoRestarting(app, 0)) },
		},
		{
			name: "unit flaps", reason: proto.ReasonUnitsFailed, at: grace, contact: true, messages: app,
			prepare: func(h *host) {
				h.units = restartsEvery(2*time.Second, app)
				h.journal = map[string][]string{app: {"app.service: Failed with result 'exit-code'."}}
			},
		},
		{
			name: "unit flaps and logs much", reason: proto.ReasonUnitsFailed, at: grace, contact: true, messages: app,
			prepare: func(h *host) {
				h.units = restartsEvery(2*time.Second, app)
				h.journal = map[string][]string{app: append([]string{"app.service: Failed with result 'exit-code'."}, slices.Repeat([]string{"trying"}, 1000)...)}
			},
		},
		{
			name: "unit flaps, and its log cannot be read", reason: proto.ReasonUnitsFailed, at: grace, contact: true, messages: app,
			prepare: func(h *host) {
				h.units = restartsEvery(2*time.Second, app)
				h.journalErr = errors.New("journalctl took too long")
			},
		},
		{
			name: "unit flaps, and its log is from before, as the clock was set back", reason: proto.ReasonUnitsFailed, at: grace, contact: true, messages: app,
			prepare: func(h *host) {
				h.units = restartsEvery(2*time.Second, app)
				h.setClock(3*time.Second, -time.Minute)
			},
		},
		{
			name: "unit that is meant to end and be restarted, and the clock is set forward", at: grace, contact: true,
			prepare: func(h *host) {
				h.units = restartsEvery(2*time.Second, app)
				h.setClock(3*time.Second, time.Hour)
			},
		},
		{
			name: "unit that is meant to end and be restarted, and the clock is corrected a little", at: grace, contact: true,
			prepare: func(h *host) {
				h.units = restartsEvery(2*time.Second, app)
				h.setClock(3*time.Second, -time.Second)
			},
		},
		{
			name: "unit that is meant to end and be restarted, and logs what others failed with", at: grace, contact: true,
			prepare: func(h *host) {
				h.units = restartsEvery(2*time.Second, app)
				h.journal = map[string][]string{app: {"job 7: Failed with result 3", "app.service: Deactivated successfully."}}
			},
		},
		{
			name: "unit that is meant to end and be restarted", at: grace, contact: true,
			prepare: func(h *host) {
				h.units = restartsEvery(2*time.Second, app)
				h.journal = map[string][]string{app: {"app.service: Deactivated successfully."}}
			},
		},
		{
			name: "unit that was restarted until its database was there", at: grace, contact: true,
			prepare: func(h *host) {
				h.units = func(at time.Duration) systemd.Units {
					return restartsEvery(time.Second, app)(min(at, 4*time.Second))
				}
				h.journal = map[string][]string{app: {"app.service: Failed with result 'exit-code'."}}
			},
		},
		{
			name: "unit that was restarted before, and once, late", at: grace, contact: true,
			prepare: func(h *host) {
				once, twice := active(app), active(app)
				once.NRestarts, twice.NRestarts = 1, 2
				h.units = from(7*time.Second, once, twice)
				h.journal = map[string][]string{app: {"app.service: Failed with result 'exit-code'."}}
			},
		},
		{
			name: "unit that was restarted once, late", at: grace, contact: true,
			prepare: func(h *host) {
				once := active(app)
				once.NRestarts = 1
				h.units = from(7*time.Second, active(app), once)
				h.journal = map[string][]string{app: {"app.service: Failed with result 'exit-code'."}}
			},
		},
		{
			name: "units that do not count", at: grace, contact: true,
			prepare: func(h *host) {
				h.units = always(
					transient(failed("podman-1234.service")), failed("session-3.scope"), failed("dev-sda.device"),
					failed("user@1000.service"), failed("backup-home.service"))
			},
			p: deployment.Probation{IgnoreUnits: []string{"backup-*.service", "[malformed"}},
		},
		{
			name: "required check does not pass", reason: proto.ReasonCheckFailed, at: deadline, contact: true, messages: "inactive",
			prepare: func(h *host) {
				h.units = always(systemd.Unit{Name: app, LoadState: "loaded", ActiveState: systemd.Inactive})
			},
			p: deployment.Probation{Checks: []deployment.Check{declared(app, true)}},
		},
		{
			name: "required check of no unit", reason: proto.ReasonCheckFailed, at: deadline, contact: true, messages: "there is no unit app.service",
			p: deployment.Probation{Checks: []deployment.Check{declared(app, true)}},
		},
		{
			name: "wanted check does not pass", at: grace, contact: true, messages: "(not required)",
			p: deployment.Probation{Checks: []deployment.Check{declared(app, false)}},
		},
		{
			name: "no contact", reason: proto.ReasonNoContact, at: deadline, messages: "did not read its desired state",
			prepare: func(h *host) { h.contactAfter = 0 },
		},
		{
			name: "agent refuses its desired state", reason: proto.ReasonNoContact, at: deadline, messages: "unknown-key",
			prepare: func(h *host) { h.refused = proto.ReasonUnknownKey },
		},
		{
			name: "receipt of another boot", reason: proto.ReasonNoContact, at: deadline, messages: "did not read",
			prepare: func(h *host) {
				h.contactAfter = 0
				h.receipt = statefile.Contact{InvocationID: "agent at 1s", BootID: "boot-0", Accepted: true}
			},
		},
		{
			name: "the old agent's receipt does not count", reason: proto.ReasonNoContact, at: deadline, messages: "was not restarted",
			prepare: func(h *host) { h.restartErr = &systemd.JobError{Unit: AgentUnit, Job: "restart", Result: "canceled"} },
		},
		{
			name: "agent cannot start", reason: proto.ReasonUnitsFailed, at: grace, messages: AgentUnit,
			prepare: func(h *host) {
				h.restartErr = &systemd.JobError{Unit: AgentUnit, Job: "restart", Result: "failed"}
				h.units = func(at time.Duration) systemd.Units {
					h.agent = autoRestarting(AgentUnit, 1)
					h.agent.NRestarts = uint32(at / (2 * time.Second))
					return nil
				}
			},
		},
		{
			name: "agent was killed and waits for its restart as the grace period ends", at: 12 * time.Second, contact: true,
			prepare: func(h *host) {
				go func() {
					become := func(after time.Duration, u systemd.Unit) {
						_ = pause(context.Background(), after) // it never ends early
						h.mu.Lock()
						defer h.mu.Unlock()
						h.agent = u
					}
					become(9*time.Second, autoRestarting(AgentUnit, 1))
					second := active(AgentUnit)
					second.InvocationID = "second"
					become(2*time.Second, second)
					h.contact(context.Background(), "second", time.Second)
				}()
			},
		},
		{
			name: "agent is replaced after its contact and comes back", at: 12 * time.Second, contact: true,
			prepare: func(h *host) {
				h.contactAfter = 3 * time.Second
				h.units = func(at time.Duration) systemd.Units {
					if at >= 9*time.Second && h.agent.InvocationID == "agent at 1s" {
						h.agent.InvocationID = "second"
						h.receipt = statefile.Contact{}
						go h.contact(context.Background(), "second", 3*time.Second-(at-9*time.Second))
					}
					return nil
				}
			},
		},
		{
			name: "systemd does not answer for a while", at: 11*time.Second + headStart, lag: 2 * retryPause, contact: true,
			prepare: func(h *host) {
				h.deaf = 10 * time.Second
			},
		},
		{
			name: "grace period longer than the deadline", at: deadline, contact: true,
			p: deployment.Probation{Grace: time.Hour},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				if tt.prepare != nil {
					tt.prepare(h)
				}
				if tt.p.Grace == 0 {
					tt.p.Grace = grace
				}
				tt.p.Deadline = deadline
				got, err := h.judge(t).Judge(t.Context(), tt.p, tt.before)
				at := time.Since(h.start)
				if err != nil {
					t.Fatal(err)
				}
				if got.Good != (tt.reason == "") || got.Reason != tt.reason || got.Contact != tt.contact ||
					!strings.Contains(got.Message, tt.messages) {
					t.Errorf("got %+v, want reason %q, contact %v, message with %q", got, tt.reason, tt.contact, tt.messages)
				}
				if (len(got.Failed) > 0) != (tt.reason == proto.ReasonUnitsFailed) {
					t.Errorf("failed units: got %+v", got.Failed)
				}
				if at < tt.at || at > tt.at+tt.lag {
					t.Errorf("decided after %v, want %v and at most %v more", at, tt.at, tt.lag)
				}
			})
		})
	}
}

// In a bubble there is no monotonic clock, so that the cases above cannot see it.
func TestTheClockIsTheOneThatSomebodyMaySet(t *testing.T) {
	for _, j := range []Judge{{}, {Now: time.Now}} {
		if now := j.now().String(); strings.Contains(now, " m=") {
			t.Errorf("%s has the monotonic one", now)
		}
	}
}

func TestJudgeAsksAboutTheAgentOnceItLeftAReceipt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.contactAfter = 5 * time.Second
		got, err := h.judge(t).Judge(t.Context(), deployment.Probation{Grace: grace, Deadline: deadline}, deployment.Baseline{})
		if err != nil || !got.Good {
			t.Errorf("got %+v, %v", got, err)
		}
		// Before the restart, at the receipt, and at the last look.
		if h.asked != 3 {
			t.Errorf("asked %d times, want 3", h.asked)
		}
	})
}

func TestJudgeStopsWhenCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		shutdown := errors.New("the host shuts down")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(shutdown) })
		got, err := h.judge(t).Judge(ctx, deployment.Probation{Grace: grace, Deadline: deadline}, deployment.Baseline{})
		if !errors.Is(err, shutdown) || time.Since(h.start) != 5*time.Second {
			t.Errorf("got %+v, %v after %v", got, err, time.Since(h.start))
		}
	})
}

func TestJudgeTakesTheCallersDeadlineForItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.contactAfter = 0
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		got, err := h.judge(t).Judge(ctx, deployment.Probation{Grace: grace, Deadline: deadline}, deployment.Baseline{})
		if err != nil || got.Reason != proto.ReasonNoContact || time.Since(h.start) != 15*time.Second {
			t.Errorf("got %+v, %v after %v", got, err, time.Since(h.start))
		}
	})
}

func TestJudgeFailsIfSystemdNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.deaf = time.Hour
		got, err := h.judge(t).Judge(t.Context(), deployment.Probation{Grace: grace, Deadline: deadline}, deployment.Baseline{})
		if !errors.Is(err, errDeaf) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// What was activated starts first, and the agent's restart has most of the grace period left.
func TestJudgeGivesServicesAHeadStart(t *testing.T) {
	for grace, want := range map[time.Duration]string{10 * time.Second: "agent at 1s", time.Hour: "agent at 1s", 2 * time.Second: "agent at 200ms", 0: "agent at 0s"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost()
			if _, err := h.judge(t).Judge(t.Context(), deployment.Probation{Grace: grace, Deadline: 2 * time.Hour}, deployment.Baseline{}); err != nil {
				t.Fatal(err)
			}
			if h.agent.InvocationID != want {
				t.Errorf("grace period of %v: %s, want %s", grace, h.agent.InvocationID, want)
			}
		})
	}
}

func TestJudgeRetriesToRestartTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.restartErr = errors.New("connection closed")
		time.AfterFunc(2*time.Second, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.restartErr = nil
		})
		got, err := h.judge(t).Judge(t.Context(), deployment.Probation{Grace: grace, Deadline: deadline}, deployment.Baseline{})
		if err != nil || !got.Good || h.restarts < 2 {
			t.Errorf("got %+v, %v after %d restarts", got, err, h.restarts)
		}
	})
}

func TestJudgementIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		var units systemd.Units
		h.journal = make(map[string][]string)
		for i := range 100 {
			name := fmt.Sprintf("app-%02d.service", i)
			units = append(units, failed(name))
			for range maxLogLines {
				h.journal[name] = append(h.journal[name], strings.Repeat("ü", 1000))
			}
		}
		h.units = always(units...)
		got, err := h.judge(t).Judge(t.Context(), deployment.Probation{Grace: grace, Deadline: deadline}, deployment.Baseline{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Failed) != maxNamed || !strings.Contains(got.Message, "and 95 more") {
			t.Errorf("%d units are named, message %q", len(got.Failed), got.Message)
		}
		bytes := 0
		for i, f := range got.Failed {
			if (len(f.Log) > 0) != (i < maxLogged) {
				t.Errorf("%s has %d lines", f.Name, len(f.Log))
			}
			bytes += len(strings.Join(f.Log, ""))
		}
		if limit := maxLogged * maxLogLines * (maxLineBytes + 4); bytes > limit {
			t.Errorf("log lines have %d bytes, want at most %d", bytes, limit)
		}
		if diff := cmp.Diff("app-00.service", got.Failed[0].Name); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheRestartsOfAllAreCountedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.contactAfter = 2 * grace // so that the units are looked at twice
		got, err := h.judge(t).Judge(t.Context(), deployment.Probation{Grace: grace, Deadline: deadline}, deployment.Baseline{})
		if err != nil || !got.Good || h.counted != 2 {
			t.Errorf("got %+v, %v; systemd was asked %d times how often each service was restarted, want 2", got, err, h.counted)
		}
	})
}
