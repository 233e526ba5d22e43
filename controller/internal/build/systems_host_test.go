//go:build host

package build

import (
	"debug/elf"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kedge/e2e/aarch64"
	"kedge/e2e/sshd"
	"kedge/internal/nix"
)

// armSystem is a host of another system than web1: it is built by a program for aarch64,
// which only runs on what can.
const armSystem = `arm.config.system.build.toplevel = derivation {
  name = "nixos-system-arm"; system = "aarch64-linux"; builder = ./builder; now = "@NOW@"; };`

// builds are the three ways to have somebody build for another system.
func builds(t *testing.T) map[string]func(*sshd.Server) *Builder {
	with := func(name, value string) *Builder {
		b := realBuilder(t)
		b.o.Nix = &nix.CLI{Settings: []nix.Setting{{Name: name, Value: value}}}
		return b
	}
	return map[string]func(*sshd.Server) *Builder{
		"on a build host": func(s *sshd.Server) *Builder { return elsewhereBuilder(t, s.Store) },
		"on a machine beside this one": func(s *sshd.Server) *Builder {
			known, err := os.ReadFile(s.Store.KnownHostsFile)
			must(t, err)
			_, key, _ := strings.Cut(strings.TrimSpace(string(known)), " ")
			// Nix 2.26 takes no port here.
			t.Setenv("NIX_SSHOPTS", "-p 2299 -o HostKeyAlias=127.0.0.1")
			return with("builders", "ssh-ng://root@127.0.0.1 aarch64-linux "+s.Store.KeyFile+" 1 1 - - "+base64.StdEncoding.EncodeToString([]byte(key)))
		},
		"here": func(*sshd.Server) *Builder { return with("extra-platforms", "aarch64-linux") },
	}
}

// TestRealFleetOfTwoSystems builds a fleet with hosts for x86_64 and for aarch64: what is for
// aarch64 by a program that is, which an emulator runs.
func TestRealFleetOfTwoSystems(t *testing.T) {
	program, err := os.ReadFile(aarch64.Builder)
	must(t, err)
	for name, way := range builds(t) {
		t.Run(name, func(t *testing.T) {
			s, err := sshd.Start(t.Context(), t.TempDir(), "extra-platforms = aarch64-linux")
			must(t, err)
			defer s.Stop()
			b := way(s)
			ref := flake(t, realHosts, strings.ReplaceAll(armSystem, "@NOW@", t.Name()+s.Dir))
			must(t, os.WriteFile(filepath.Join(strings.TrimPrefix(ref, "path:"), "builder"), program, 0o755))
			evaluations, err := b.Evaluate(t.Context(), ref)
			must(t, err)
			for host := range evaluations.Hosts {
				if !slices.Contains([]string{"web1", "arm"}, host.String()) {
					delete(evaluations.Hosts, host)
				}
			}
			built, err := b.Build(t.Context(), evaluations, heard(t))
			must(t, err)
			arm := built.Toplevels[host(t, "arm")]
			if len(built.Toplevels) != 2 || len(built.Failed) != 0 {
				t.Fatalf("built %v, failed %v; want both", built.Toplevels, built.Failed)
			}
			must(t, CheckToplevel(arm))
			if machine, err := os.ReadFile(filepath.Join(arm.String(), "nixos-version")); err != nil || string(machine) != "aarch64" {
				t.Errorf("it was built on %q, %v, want aarch64", machine, err)
			}
			activate, err := elf.Open(filepath.Join(arm.String(), "bin/switch-to-configuration"))
			must(t, err)
			defer activate.Close()
			if activate.Machine != elf.EM_AARCH64 {
				t.Errorf("its program is for %s, want %s", activate.Machine, elf.EM_AARCH64)
			}
			if _, err := os.Stat(filepath.Join(s.Dir, arm.Base())); (err == nil) == (name == "here") {
				t.Errorf("in the store of the other machine: %v", err)
			}
		})
	}
}
