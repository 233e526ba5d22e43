package agent

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/logind"
	"kedge/agent/internal/statefile"
)

// A fakeLogind knows locks and users, or fails.
type fakeLogind struct {
	locks              []logind.Lock
	users              []string
	locksErr, usersErr error
}

func (f fakeLogind) Locks(context.Context) ([]logind.Lock, error) { return f.locks, f.locksErr }
func (f fakeLogind) Users(context.Context) ([]string, error)      { return f.users, f.usersErr }

func TestWhatThoseHoldBackThatLogindKnows(t *testing.T) {
	apt := logind.Lock{Who: "apt", Why: "unpacks", UID: 0, PID: 12}
	lock := statefile.Veto{Who: "apt (user 0, process 12)", Why: "unpacks"}
	login := statefile.Veto{Who: "ada", Why: "is logged in"}
	broken := errors.New("the bus is gone")
	for _, tt := range []struct {
		name          string
		locks, logins InhibitWhen
		logind        fakeLogind
		live, reboot  []statefile.Veto
		told          bool
	}{
		{name: "nobody if nobody may", locks: InhibitNever, logins: InhibitNever, logind: fakeLogind{locksErr: broken, usersErr: broken}},
		{name: "a reboot", locks: InhibitReboot, logins: InhibitReboot, reboot: []statefile.Veto{lock, login}},
		{name: "a lock everything, a login a reboot", locks: InhibitAlways, logins: InhibitReboot, live: []statefile.Veto{lock}, reboot: []statefile.Veto{lock, login}},
		{name: "a login everything, a lock nothing", locks: InhibitNever, logins: InhibitAlways, live: []statefile.Veto{login}, reboot: []statefile.Veto{login}},
		{name: "who can be asked if others cannot", locks: InhibitReboot, logins: InhibitReboot, logind: fakeLogind{locksErr: broken}, reboot: []statefile.Veto{login}, told: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.logind.locksErr == nil {
				tt.logind.locks = []logind.Lock{apt}
			}
			if tt.logind.usersErr == nil {
				tt.logind.users = []string{"ada"}
			}
			asked := logindInhibitors{logind: tt.logind, locks: tt.locks, logins: tt.logins}
			live, reboot, err := asked.Vetoes(t.Context())
			if want := len(tt.live) > 0; asked.Live() != want {
				t.Errorf("Live = %t, want %t", !want, want)
			}
			if diff := cmp.Diff(tt.live, live); diff != "" {
				t.Errorf("activations (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.reboot, reboot); diff != "" {
				t.Errorf("reboots (-want +got):\n%s", diff)
			}
			if (err != nil) != tt.told {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestWhatUsersWriteIsClipped(t *testing.T) {
	var v vetoes
	v.add(InhibitReboot, statefile.Veto{Who: "x", Why: strings.Repeat("ä", 1000)})
	if got := len(v.reboot[0].Why); got != 200 {
		t.Errorf("%d bytes, want 200", got)
	}
}

func TestWhenToInhibitIsOneOfThree(t *testing.T) {
	c := DefaultConfig()
	c.Inhibit.Logind, c.Inhibit.Users = "sometimes", ""
	for _, want := range []string{`inhibit.logind: must be never, reboot or always, got "sometimes"`, `inhibit.users: must be`} {
		if text := c.Validate().Error(); !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if text := DefaultConfig().Validate().Error(); strings.Contains(text, "inhibit.") {
		t.Errorf("%q", text)
	}
}
