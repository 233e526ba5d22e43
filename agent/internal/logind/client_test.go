package logind

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

type inhibitor struct {
	What, Who, Why, Mode string
	UID, PID             uint32
}

type session struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

func TestLocksAreThoseThatBlockAShutdown(t *testing.T) {
	c := serve(t, map[string]answer{"ListInhibitors": {body: []any{[]inhibitor{
		{"shutdown", "apt", "unpacks", "block", 0, 12},
		{"sleep:shutdown:idle", "burner", "burns a disc", "block", 1000, 13},
		{"shutdown:sleep", "NetworkManager", "turns off", "delay", 0, 14},
		{"shutdown", "gnome", "asks its user", "block-weak", 1000, 15},
		{"sleep:handle-power-key", "desktop", "handles it", "block", 1000, 16},
	}}}})
	got, err := c.Locks(t.Context())
	want := []Lock{{Who: "apt", Why: "unpacks", PID: 12}, {Who: "burner", Why: "burns a disc", UID: 1000, PID: 13}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Locks = %+v, %v, want %+v", got, err, want)
	}
}

func TestUsersAreThoseLoggedIn(t *testing.T) {
	properties := func(class, state string) answer {
		return answer{body: []any{map[string]dbus.Variant{
			"Class": dbus.MakeVariant(class), "State": dbus.MakeVariant(state), "Active": dbus.MakeVariant(true),
		}}}
	}
	answers := map[string]answer{}
	var sessions []session
	for i, s := range []struct {
		user string
		answer
	}{
		{"grace", properties("user", "online")},
		{"ada", properties("user", "active")},
		{"ada", properties("user", "active")},
		{"alan", properties("user", "closing")},
		{"root", properties("user-early", "active")},
		{"gdm", properties("greeter", "active")},
		{"edsger", properties("manager", "active")},
		{"gone", answer{error: "org.freedesktop.DBus.Error.UnknownObject"}},
	} {
		path := dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/login1/session/_%d", i))
		sessions = append(sessions, session{ID: fmt.Sprint(i), User: s.user, Path: path})
		answers[string(path)] = s.answer
	}
	answers["ListSessions"] = answer{body: []any{sessions}}
	got, err := serve(t, answers).Users(t.Context())
	if want := []string{"ada", "grace", "root"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Users = %q, %v, want %q", got, err, want)
	}
}

func TestALogindThatDoesNotRunKnowsNobody(t *testing.T) {
	for _, name := range []string{"NameHasNoOwner", "ServiceUnknown"} {
		nobody := answer{error: "org.freedesktop.DBus.Error." + name}
		c := serve(t, map[string]answer{"ListInhibitors": nobody, "ListSessions": nobody})
		if locks, err := c.Locks(t.Context()); err != nil || len(locks) > 0 {
			t.Errorf("%s: Locks = %+v, %v, want none", name, locks, err)
		}
		if users, err := c.Users(t.Context()); err != nil || len(users) > 0 {
			t.Errorf("%s: Users = %q, %v, want none", name, users, err)
		}
	}
}

func TestABrokenBusIsAnError(t *testing.T) {
	for _, tt := range []struct {
		name   string
		client Client
		want   string
	}{
		{"no bus", Client{Address: "unix:path=" + filepath.Join(t.TempDir(), "none")}, "connect to the message bus"},
		{"no right", serve(t, map[string]answer{"ListInhibitors": {error: "org.freedesktop.DBus.Error.AccessDenied"}}), "list inhibitors"},
		{"another logind", serve(t, map[string]answer{"ListInhibitors": {body: []any{"text"}}}), "list inhibitors"},
	} {
		if locks, err := tt.client.Locks(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) || len(locks) > 0 {
			t.Errorf("%s: Locks = %+v, %v, want an error with %q", tt.name, locks, err, tt.want)
		}
	}
	silent := serve(t, nil)
	silent.Timeout = time.Millisecond
	if _, err := silent.Locks(t.Context()); !errors.Is(err, errNoAnswer) {
		t.Errorf("a bus that does not answer: %v, want %v", err, errNoAnswer)
	}
}
