package activation

import (
	"strings"
	"syscall"
	"testing"

	"kedge/proto"
)

const (
	oldPath   = "/nix/store/00000000000000000000000000000000-nixos-system-old"
	newPath   = "/nix/store/11111111111111111111111111111111-nixos-system-new"
	otherPath = "/nix/store/22222222222222222222222222222222-nixos-system-other"
)

func path(t *testing.T, s string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What the programs print. The texts are those of the contract.
const (
	stopping   = "stopping the following units: app.service"
	activating = "activating the configuration..."
	refusal    = "Pre-switch check 'rootIsMounted' failed\nPre-switch checks failed"
	inhibitor  = "Checking switch inhibitors...\nThere are changes to critical components of the system:\n\n" +
		"dbus-implementation : dbus -> broker\nSwitching into this system is not recommended.\n" +
		"Pre-switch check 'switchInhibitors' failed\nPre-switch checks failed"
	unitsFailed   = "warning: the following units failed: app.service, db.service\n× app.service - The app\n"
	snippetFailed = "Activation script snippet 'x' failed (1)"
	lockText      = "Could not acquire lock"
)

func TestClassify(t *testing.T) {
	switched := func(code int, lines ...string) Run {
		return Run{ExitCode: code, Output: lines, After: path(t, newPath)}
	}
	unmoved := func(code int, lines ...string) Run {
		return Run{ExitCode: code, Output: lines, After: path(t, oldPath)}
	}
	tests := []struct {
		name    string
		run     Run
		effect  Effect
		reason  proto.Reason
		message string
	}{
		// Exit codes.
		{"0 and the new system is current", switched(0, stopping, activating), Active, "", ""},
		{"0 but another system is current", Run{After: path(t, otherPath), Output: []string{activating}}, Broken, proto.ReasonActivationFailed, otherPath},
		{"0 but no system is current", Run{Output: []string{activating}}, Broken, proto.ReasonActivationFailed, "names  and not"},
		{"0 though the activation script failed", switched(0, activating, "Failed to run activate script"), Broken, proto.ReasonActivationFailed, "script failed"},
		{"1 by a pre-switch check", unmoved(1, strings.Split(refusal, "\n")...), Untouched, proto.ReasonCheckRefused, "rootIsMounted"},
		{"1 by a switch inhibitor", unmoved(1, strings.Split(inhibitor, "\n")...), Untouched, proto.ReasonCheckRefused, "dbus -> broker"},
		{"1 for not being root", unmoved(1, "Error: must be root"), Untouched, proto.ReasonActivationFailed, "must be root"},
		{"1 with a usage text", unmoved(1, "Usage: switch-to-configuration [check|switch]"), Untouched, proto.ReasonActivationFailed, "exit code 1"},
		{"1 by the boot loader", unmoved(1, "Failed to install bootloader"), Untouched, proto.ReasonActivationFailed, "Failed to install bootloader"},
		{"1 without a word", unmoved(1), Untouched, proto.ReasonActivationFailed, "printed nothing"},
		{"1 by systemd's reload taking too long", switched(1, stopping, activating, "Error: reload timed out"), Partial, proto.ReasonActivationFailed, "reload timed out"},
		{"1 without a word, but another system is current", switched(1), Partial, proto.ReasonActivationFailed, "exit code 1"},
		{"1 after units were stopped", unmoved(1, stopping, "Error: D-Bus"), Partial, proto.ReasonActivationFailed, "D-Bus"},
		{"1 by a check's text after units were stopped", unmoved(1, stopping, "Pre-switch checks failed"), Partial, proto.ReasonActivationFailed, ""},
		{"2", switched(2, activating, "chown: no such user", "Failed to run activate script"), Broken, proto.ReasonActivationFailed, "no such user"},
		{"2 with the old system current", unmoved(2, activating, "Failed to run activate script"), Broken, proto.ReasonActivationFailed, "script failed"},
		{"3 of the Perl program", switched(3, activating), Broken, proto.ReasonActivationFailed, "exit code 3"},
		{"4 and the new system is current", switched(4, activating, unitsFailed), Active, "", "app.service, db.service"},
		{"4 for a user's units only", switched(4, activating, "warning: user activation for alice failed"), Active, "", ""},
		{"4 that hides a 2", switched(4, activating, "Failed to run activate script", unitsFailed), Broken, proto.ReasonActivationFailed, "script failed"},
		{"4 of the Perl program that hides a 2", switched(4, activating, snippetFailed, "setting up /etc...", unitsFailed), Broken, proto.ReasonActivationFailed, "script failed: " + snippetFailed},
		{"4 that hides a 2, with the failed snippet long before", switched(4, activating, snippetFailed, "setting up /etc...", "Failed to run activate script", unitsFailed), Broken, proto.ReasonActivationFailed, "script failed: " + snippetFailed},
		{"4 that hides a 2, with two failed snippets", switched(4, activating, snippetFailed, "Activation script snippet 'y' failed (2)", unitsFailed), Broken, proto.ReasonActivationFailed, "script failed: " + snippetFailed},
		{"4 for a unit whose log tells of a snippet", switched(4, activating, unitsFailed, "Jan 01 00:00:00 host app[7]: "+snippetFailed), Active, "", "app.service"},
		{"4 but the old system is current", unmoved(4, activating, unitsFailed), Broken, proto.ReasonActivationFailed, oldPath},
		{"100", unmoved(100, "won't take effect until you reboot the system"), Untouched, proto.ReasonRebootNeeded, "reboot"},
		{"101 before the first message", unmoved(101), Partial, proto.ReasonActivationFailed, "crashed"},
		{"101 while the activation script ran", switched(101, stopping, activating), Partial, proto.ReasonActivationFailed, "crashed"},
		{"11 and the lock's text", unmoved(11, lockText), Busy, proto.ReasonBusy, lockText},
		{"11 without a text", unmoved(11), Busy, proto.ReasonBusy, ""},
		{"another code and the lock's text", unmoved(1, lockText), Busy, proto.ReasonBusy, lockText},
		{"11 after units were stopped", unmoved(11, stopping), Partial, proto.ReasonActivationFailed, ""},
		{"an errno before anything", unmoved(2+3, "This is not a NixOS installation!"), Untouched, proto.ReasonActivationFailed, "not a NixOS installation"},
		{"an errno in the middle", switched(5, stopping, activating, "logind ListUsers failed"), Partial, proto.ReasonActivationFailed, "ListUsers"},
		{"124 of a wrapper", unmoved(124, stopping), Partial, proto.ReasonActivationFailed, "124"},

		// Observed.
		{"good to good", switched(0, stopping, activating, "starting the following units: app.service"), Active, "", ""},
		{"nothing changed", Run{Before: path(t, newPath), After: path(t, newPath), Output: []string{activating}}, Active, "", ""},
		{"start job of a unit fails", switched(4, activating, "Failed to start app.service", unitsFailed), Active, "", "app.service"},
		{"service dies after its start", switched(0, activating), Active, "", ""},
		{"activation snippet fails", switched(2, activating, snippetFailed, "Failed to run activate script"), Broken, proto.ReasonActivationFailed, "snippet 'x' failed"},
		{"activation snippet exits", unmoved(2, activating, "Failed to run activate script"), Broken, proto.ReasonActivationFailed, "script failed"},
		{"failing snippet and failing unit", switched(4, activating, "Failed to run activate script", unitsFailed), Broken, proto.ReasonActivationFailed, "script failed"},
		{"killed while the activation script ran", Run{ExitCode: -1, Signal: syscall.SIGKILL, After: path(t, oldPath), Output: []string{stopping, activating}}, Partial, proto.ReasonActivationFailed, "killed"},
		{"killed before anything", Run{ExitCode: -1, Signal: syscall.SIGKILL, After: path(t, oldPath)}, Partial, proto.ReasonActivationFailed, "killed"},
		{"deadline", Run{ExitCode: -1, Signal: syscall.SIGTERM, TimedOut: true, After: path(t, newPath), Output: []string{activating, "starting the following units: slow.service"}}, Broken, proto.ReasonActivationHung, "slow.service"},
		{"ended well at the very deadline", Run{TimedOut: true, After: path(t, newPath), Output: []string{activating}}, Broken, proto.ReasonActivationHung, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.run.Toplevel = path(t, newPath)
			if tt.run.Before.IsZero() {
				tt.run.Before = path(t, oldPath)
			}
			got := Classify(tt.run)
			if got.Effect != tt.effect || got.Reason != tt.reason || !strings.Contains(got.Message, tt.message) {
				t.Errorf("%+v:\ngot  %+v\nwant %v %v, message with %q", tt.run, got, tt.effect, tt.reason, tt.message)
			}
			if got.Effect != Active && got.Message == "" {
				t.Error("no message")
			}
		})
	}
}

func TestClassifyClipsLongLines(t *testing.T) {
	got := Classify(Run{
		Toplevel: path(t, newPath), Before: path(t, oldPath), After: path(t, oldPath),
		ExitCode: 1, Output: []string{"Error: " + strings.Repeat("ä", 10_000)},
	})
	if len(got.Message) > 2*messageLimit {
		t.Errorf("message has %d bytes", len(got.Message))
	}
}
