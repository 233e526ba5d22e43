//go:build e2e

package hosts_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"kedge/e2e/hosts"
	"kedge/e2e/rootfs"
)

// childCheck is set in the environment of a copy of this test that only checks the machine.
const childCheck = "KEDGE_E2E_CHILD_CHECK"

func TestCheck(t *testing.T) {
	if err := rootfs.EnsureTools(t.Context(), func(line string) { t.Log(line) }); err != nil {
		t.Fatal(err)
	}
	if err := hosts.Check(t.Context()); err != nil {
		t.Error(err)
	}
	checkNothingLeft(t, "check-")
	t.Run("many at once", func(t *testing.T) {
		var g errgroup.Group
		for range 8 {
			g.Go(func() error {
				for range 4 {
					if err := hosts.Check(t.Context()); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		checkNothingLeft(t, "check-")
	})

	for name, machine := range map[string]struct {
		script string   // makes the machine, in a mount namespace, one without something
		want   []string // in the error
	}{
		"no cgroup v2": {
			`for at in $(findmnt --noheadings --output=TARGET --types=cgroup2); do mount -t tmpfs none "$at"; done`,
			[]string{"need a cgroup v2 hierarchy", "mount -t cgroup2"},
		},
		"cgroup v2 is read-only": {
			`for at in $(findmnt --noheadings --output=TARGET --types=cgroup2); do mount --bind "$at" "$at"; mount -o remount,bind,ro "$at"; done`,
			[]string{"need a cgroup v2 hierarchy", "read-only", "mount -t cgroup2"},
		},
		"no overlay can be written to": {
			`mkdir -p /var/tmp/kedge-e2e; mount -t tmpfs -o ro none /var/tmp/kedge-e2e`,
			[]string{"need overlays", "read-only", "mount -t tmpfs none /var/tmp/kedge-e2e"},
		},
		"neither overlays nor firewall": {
			`mkdir -p /var/tmp/kedge-e2e; mount -t tmpfs -o ro none /var/tmp/kedge-e2e; mount --bind "$(which false)" "$(which nft)"`,
			[]string{"need overlays", "need network namespaces", "modprobe"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-e", "-c", machine.script+`; exec "$0"`, os.Args[0])
			cmd.Env = append(os.Environ(), childCheck+"=1")
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Errorf("the check finds nothing missing: %s", out)
			}
			for _, want := range machine.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("the check does not say %q:\n%s", want, out)
				}
			}
			checkNothingLeft(t, "check-")
		})
	}
}
