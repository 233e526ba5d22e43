//go:build host

package machine

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/profile"
	"kedge/agent/internal/statefile"
	"kedge/internal/nix"
	"kedge/proto"
)

// TestTheWayBackOnADiskWithoutInodes: what a way back writes finds its place, as what
// is right already stays, and the reserve is there for the rest.
func TestTheWayBackOnADiskWithoutInodes(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "nr_inodes=200"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	files := statefile.Dir{State: filepath.Join(disk, "state"), Runtime: t.TempDir()}
	if err := files.Prepare(); err != nil {
		t.Fatal(err)
	}
	s := Store{Files: files, Roots: closure.Roots{Dir: filepath.Join(disk, "gcroots/kedge"), Reserve: files.WithReserve}}
	m := &Machine{files: files, profile: profile.System{Root: disk, Nix: nix.Links{Root: disk}, Sync: func(...string) error { return nil }}}
	proven, other := parse(t, toplevelText), parse(t, "/nix/store/11111111111111111111111111111111-nixos-system-new")
	for _, p := range []proto.StorePath{proven, other} {
		if err := os.MkdirAll(filepath.Join(disk, p.String()), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(disk, "nix/var/nix/profiles"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := deployment.Proven{Toplevel: proven, Generation: 1}
	for _, prepare := range []func() error{
		func() error { _, err := m.Register(t.Context(), proven); return err },
		func() error { _, err := m.Register(t.Context(), other); return err },
		func() error { return s.Prove(p) },
		func() error { return s.Hold(other) },
		func() error { return s.Save(deployment.Deployment{ID: "d1"}) },
	} {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; ; i++ {
		err := os.WriteFile(filepath.Join(disk, strconv.Itoa(i)), nil, 0o600)
		if errors.Is(err, unix.ENOSPC) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Roots.Stage(other); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a new root for a fetch = %v, want that the disk is full", err)
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"keep what is kept already", func() error { return s.Roots.Prove(proven) }},
		{"keep what somebody goes back to", func() error { return s.Roots.Back(proven) }},
		{"save the record", func() error { return s.Save(deployment.Deployment{ID: "d2"}) }},
		{"hold the proven system", func() error { return s.Hold(proven) }},
		{"point the profile back", func() error { return m.Restore(t.Context(), p) }},
		{"prove it", func() error { return s.Prove(p) }},
		{"quarantine the new one", func() error { return s.Quarantine(other, proto.ReasonUnitsFailed, p.Since) }},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.what, err)
		}
	}
}
