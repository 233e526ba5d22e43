package stc

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// full are the variables that the wrapper sets.
func full(name string) string {
	return map[string]string{
		"OUT": "/o", "TOPLEVEL": "/t", "DISTRO_ID": "nixos", "PRE_SWITCH_CHECK": "/c", "INSTALL_BOOTLOADER": "/i -x", "SYSTEMD": "/usr",
	}[name]
}

func TestRunEndsBeforeAnyEffect(t *testing.T) {
	tests := []struct {
		name string
		args []string
		euid int
		env  func(string) string
		want string
	}{
		{"prints its usage without an action", []string{"/x/switch-to-configuration"}, 0, full, "Usage: switch-to-configuration [check|"},
		{"prints its usage for an unknown action", []string{"stc", "swich"}, 0, full, "Usage: stc"},
		{"refuses to run as another user", []string{"stc", "switch"}, 1000, full, "Error: stc must be run as the root user"},
		{"names a missing variable", []string{"stc", "switch"}, 0, os.Getenv, "Error: missing required environment variable $OUT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			code := Run(t.Context(), Options{Args: tt.args, Getenv: tt.env, Stdout: w, Stderr: w, EUID: tt.euid})
			w.Close()
			out, _ := io.ReadAll(r)
			if code != codeError || !strings.HasPrefix(string(out), tt.want) {
				t.Errorf("code %d, output %q, want 1 and %q", code, out, tt.want)
			}
		})
	}
}

func TestRunPanicsWithoutAReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if got := Run(t.Context(), Options{Args: []string{"stc"}, Getenv: full, Stdout: w, Stderr: w}); got != codePanic {
		t.Errorf("Run = %d, want %d", got, codePanic)
	}
}

func TestExitCode(t *testing.T) {
	for _, tt := range []struct {
		err    error
		code   int
		unsaid bool
	}{
		{nil, codeOK, false},
		{exitError{codeInterface}, codeInterface, false},
		{errors.Join(exitError{codeUnits}), codeUnits, false},
		{errBusGone, codeError, true},
	} {
		if code, unsaid := exitCode(tt.err); code != tt.code || unsaid != tt.unsaid {
			t.Errorf("exitCode(%v) = %d, %v, want %d, %v", tt.err, code, unsaid, tt.code, tt.unsaid)
		}
	}
}

func TestDieExitsWithTheSystemsError(t *testing.T) {
	s := system{console: console{w: io.Discard}}
	if code, _ := exitCode(s.die(&os.PathError{Err: syscall.EAGAIN}, "Could not acquire lock")); code != 11 {
		t.Errorf("code = %d, want 11 (EAGAIN)", code)
	}
}

func TestListSortsWithoutRegardToCase(t *testing.T) {
	var out bytes.Buffer
	c := console{w: &out}
	if err := c.list("stopping the following units", set{"b.service": {}, "A.service": {}, "c.service": {}}); err != nil {
		t.Fatal(err)
	}
	if want := "stopping the following units: A.service, b.service, c.service\n"; out.String() != want {
		t.Errorf("list = %q, want %q", out.String(), want)
	}
}

func TestIsDistro(t *testing.T) {
	for _, tt := range []struct {
		release string
		want    bool
	}{{"NAME=x\nID=nixos\n", true}, {"ID=\"nixos\"\n", true}, {"ID=debian\n", false}, {"ID=nixos-like\n", false}, {"", false}} {
		if got, err := isDistro(tt.release, "nixos"); err != nil || got != tt.want {
			t.Errorf("isDistro(%q) = %v, %v, want %v", tt.release, got, err, tt.want)
		}
	}
}
