package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckDefault(t *testing.T) {
	systemdBoot := func(t *testing.T) lab { return newLab(t, "systemd-boot 257", 0x7f) }
	grub := func(t *testing.T) lab { return *newGRUBLab(t) }
	const elsewhere = "/nix/store/99999999999999999999999999999999-nixos-system-web1"
	for name, tt := range map[string]struct {
		lab    func(t *testing.T) lab
		change func(l lab)
		system string
		want   string // in the error; empty for none
	}{
		"systemd-boot boots it":                            {systemdBoot, func(lab) {}, provenText, ""},
		"systemd-boot boots another one":                   {systemdBoot, func(lab) {}, trialText, "nixos-generation-1.conf"},
		"systemd-boot that boots another one once":         {systemdBoot, func(l lab) { l.variable(oneShotEntry, utf16Text("x.conf")) }, trialText, ""},
		"systemd-boot with a bootctl that does not tell":   {systemdBoot, func(l lab) { l.write("list", list252) }, trialText, ""},
		"systemd-boot whose entries may be any":            {systemdBoot, func(lab) {}, elsewhere, ""},
		"systemd-boot with a bootctl that does not answer": {systemdBoot, func(l lab) { l.write("list", "entries:") }, trialText, ""},
		"another loader":                                   {func(t *testing.T) lab { return newLab(t, "Limine 9.3", 0x7f) }, func(lab) {}, trialText, ""},
		"GRUB boots it":                                    {grub, func(lab) {}, provenText, ""},
		"GRUB boots another one":                           {grub, func(lab) {}, trialText, "NixOS"},
		"GRUB that lists no entry of it":                   {grub, func(lab) {}, elsewhere, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := tt.lab(t)
			tt.change(l)
			err := l.CheckDefault(t.Context(), parse(t, tt.system))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrNotDefault) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %v, which names %s", err, ErrNotDefault, tt.want)
			}
		})
	}
}

// TestCheckDefaultWithoutAnEntry has a menu in which the system has none: what was
// written has no room for it, or it is not known what was.
func TestCheckDefaultWithoutAnEntry(t *testing.T) {
	const (
		cutText    = "/nix/store/99999999999999999999999999999999-nixos-system-web1"
		newestText = "/nix/store/88888888888888888888888888888888-nixos-system-web1"
		// What is booted by default was there when the host was booted.
		gone = `[
	{"type":"type1","id":"nixos-generation-3.conf","options":"init=` + trialText + `/init","isDefault":false},
	{"type":"loader","id":"nixos-generation-1.conf","isReported":true,"isDefault":true,"isSelected":true}
]`
		images = `[{"type":"type2","id":"nixos-generation-2.efi","isDefault":true}]`
	)
	for _, tt := range []struct {
		name        string
		generations []string
		list        string
		want        string // in the error; empty for none
	}{
		{"the newest generation has one", []string{cutText, provenText, trialText}, list257, "but one of generation 3"},
		{"the default that is named is gone", []string{cutText, provenText, trialText}, gone, "but one of generation 3"},
		{"a bootctl that does not tell what the default is", []string{cutText, trialText}, list252, "but one of generation 2"},
		{"the newest generation has none either, as where others are listed", []string{provenText, cutText, newestText}, list257, ""},
		{"it is the newest generation", []string{provenText, cutText}, list257, ""},
		{"images that do not tell what they boot", []string{cutText, trialText}, images, ""},
		{"a generation that cannot be read", []string{cutText, trialText, "/elsewhere"}, list257, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, "systemd-boot 257", 0x7f)
			l.write("list", tt.list)
			l.generations(tt.generations...)
			err := l.CheckDefault(t.Context(), parse(t, cutText))
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (!errors.Is(err, ErrNoEntry) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %v, %s", err, ErrNoEntry, tt.want)
			}
		})
	}
}

// generations makes those of the system profile, oldest first.
func (l lab) generations(systems ...string) {
	l.t.Helper()
	profile := filepath.Join(l.Root, systemLink)
	if err := os.MkdirAll(filepath.Dir(profile), 0o755); err != nil {
		l.t.Fatal(err)
	}
	for i, system := range systems {
		if err := os.Symlink(system, fmt.Sprintf("%s-%d-link", profile, i+1)); err != nil {
			l.t.Fatal(err)
		}
	}
}
