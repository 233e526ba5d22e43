package check

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

// units is systemd, which answers by a function of the number of the question,
// from 1, after a while.
type units struct {
	asked  int
	after  time.Duration
	answer func(n int) (systemd.Unit, error)
}

func (u *units) Unit(ctx context.Context, _ string) (systemd.Unit, error) {
	u.asked++
	if !pause(ctx, u.after) {
		return systemd.Unit{}, context.Cause(ctx)
	}
	return u.answer(u.asked)
}

// passes is a unit that is up when it is asked for as often as one of these.
func passes(times ...int) *units {
	return &units{answer: func(n int) (systemd.Unit, error) {
		u := systemd.Unit{LoadState: "loaded", ActiveState: systemd.Activating, SubState: "start"}
		for _, at := range times {
			if n == at {
				u.ActiveState = systemd.Active
			}
		}
		return u, nil
	}}
}

func TestUnit(t *testing.T) {
	for _, tt := range []struct {
		name string
		unit systemd.Unit
		err  error
		want string // message; empty if it passes
	}{
		{"active", systemd.Unit{LoadState: "loaded", ActiveState: systemd.Active}, nil, ""},
		{"reloading", systemd.Unit{LoadState: "loaded", ActiveState: systemd.Reloading}, nil, ""},
		{"ended", systemd.Unit{LoadState: "loaded", ActiveState: systemd.Inactive, SubState: "dead"}, nil, "app.service is inactive (dead)"},
		{"missing", systemd.Unit{LoadState: "not-found", ActiveState: systemd.Inactive}, nil, "there is no unit app.service"},
		{"unknown", systemd.Unit{}, errors.New("connection\nclosed"), "connection closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Runner{Units: &units{answer: func(int) (systemd.Unit, error) { return tt.unit, tt.err }}}
			requireResult(t, r, deployment.Check{Unit: "app.service"}, tt.want)
		})
	}
}

// requireResult tries c, which must not pass for a reason with want in it, or
// pass if that is empty.
func requireResult(t *testing.T, r *Runner, c deployment.Check, want string) proto.CheckResult {
	t.Helper()
	c.Name, c.Required = "app", true
	start := time.Now()
	got := r.Try(t.Context(), c)
	if got.Passed != (want == "") || !contains(got.Message, want) || got.Passed && got.Message != "" {
		t.Errorf("got %+v, want a message with %q", got, want)
	}
	if got.Name != "app" || !got.Required || got.Time.Before(start) || got.Duration < 0 || len(got.Message) > messageLimit+len("…") {
		t.Errorf("got %+v", got)
	}
	return got
}

func TestAwait(t *testing.T) {
	for _, tt := range []struct {
		name    string
		units   *units
		check   deployment.Check
		delay   time.Duration
		passed  bool
		decided bool
		asked   int
		took    time.Duration
		message string
	}{
		{"passes at once", passes(1), deployment.Check{}, 0, true, true, 1, 0, ""},
		{"passes at the third try", passes(3), deployment.Check{}, 0, true, true, 3, 2 * time.Second, ""},
		{"has an interval", passes(3), deployment.Check{Interval: 5 * time.Second}, 0, true, true, 3, 10 * time.Second, ""},
		{"begins later", passes(1), deployment.Check{}, 7 * time.Second, true, true, 1, 7 * time.Second, ""},
		{"passes until ctx ends", passes(), deployment.Check{}, 0, false, false, 20, 20 * time.Second, "is activating (start)"},
		{"passes as often in a row as it must", passes(1, 2, 4, 5, 6), deployment.Check{Successes: 3}, 0, true, true, 6, 5 * time.Second, ""},
		{"never passes as often in a row", passes(20), deployment.Check{Successes: 2}, 0, false, false, 20, 20 * time.Second, "passed 1 times in a row, not 2"},
		{"fails as often in a row as it may", passes(2), deployment.Check{Successes: 2, Retries: 3}, 0, false, true, 5, 4 * time.Second, "is activating"},
		{"begins too late", passes(1), deployment.Check{}, time.Minute, false, false, 0, 20 * time.Second, "not tried yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 19*time.Second+999*time.Millisecond)
				defer cancel()
				start := time.Now()
				tt.check.Name, tt.check.Unit = "app", "app.service"
				got, decided := (&Runner{Units: tt.units}).Await(ctx, tt.check, tt.delay)
				took := time.Since(start).Round(time.Second)
				if got.Name != "app" || got.Passed != tt.passed || decided != tt.decided || !contains(got.Message, tt.message) {
					t.Errorf("got %+v, %t; want passed %t, decided %t, message with %q", got, decided, tt.passed, tt.decided, tt.message)
				}
				if tt.units.asked != tt.asked || took != tt.took {
					t.Errorf("took %v and %d tries, want %v and %d", took, tt.units.asked, tt.took, tt.asked)
				}
				if got.Time.IsZero() != (tt.asked == 0) {
					t.Errorf("tried at %v after %d tries", got.Time, tt.asked)
				}
			})
		})
	}
}

// A try that is cut short by the end of the waiting does not count.
func TestAwaitForgetsATryThatIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		u := passes()
		u.after = 3 * time.Second
		got, decided := (&Runner{Units: u}).Await(ctx, deployment.Check{Unit: "app.service"}, 0)
		if decided || !contains(got.Message, "is activating") || got.Duration != 3*time.Second {
			t.Errorf("got %+v, %t; want the result of the first try", got, decided)
		}
	})
}

func TestTryEndsAtItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := passes(1)
		u.after = time.Hour
		for timeout, want := range map[time.Duration]time.Duration{0: DefaultTimeout, 9 * time.Second: 9 * time.Second} {
			got := (&Runner{Units: u}).Try(t.Context(), deployment.Check{Unit: "app.service", Timeout: timeout})
			if got.Passed || got.Duration != want || got.Message != "not decided within "+want.String() {
				t.Errorf("got %+v, want one that is not decided within %v", got, want)
			}
		}
	})
}

func TestTryAllTriesAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var checks []deployment.Check
		for _, name := range []string{"a", "b", "c"} {
			checks = append(checks, deployment.Check{Name: name, Unit: name + ".service"})
		}
		got := (&Runner{Units: slow{}}).TryAll(t.Context(), checks)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want a second", took)
		}
		for i, c := range checks {
			if len(got) != 3 || got[i].Name != c.Name || !got[i].Passed {
				t.Fatalf("got %+v", got)
			}
		}
	})
}

// slow has every unit, and takes a second to say so.
type slow struct{}

func (slow) Unit(ctx context.Context, _ string) (systemd.Unit, error) {
	pause(ctx, time.Second)
	return systemd.Unit{ActiveState: systemd.Active}, nil
}
