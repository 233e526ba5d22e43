package loader

import (
	"errors"
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
		"systemd-boot that lists no entry of it":           {systemdBoot, func(lab) {}, elsewhere, ""},
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
