package tidy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/profile"
	"kedge/agent/internal/statefile"
	"kedge/internal/nix"
	"kedge/proto"
)

var errCrash = errors.New("it died")

// A host has generations as links, and boot entries as a list.
type host struct {
	t       *testing.T
	root    string
	pruner  Pruner
	entries []proto.Generation
	calls   []string
	fail    map[string]error // of a call; after its effect
	refuse  map[string]error // of a call; before its effect
	between func()           // after the deletion
}

// commit is the deployment that committed: of the newest generation, over the
// system x.
func (h *host) commit() deployment.Deployment {
	s, err := h.pruner.Profile.Systems()
	if err != nil {
		h.t.Fatal(err)
	}
	return deployment.Deployment{
		ID: "7-x", Phase: proto.PhaseCommitted, Toplevel: s.Profile, Proven: deployment.Proven{Toplevel: system(h.t, 'x')},
	}
}

// newHost has a generation and a boot entry for each letter, runs and registered
// the last, and keeps two.
func newHost(t *testing.T, letters string) *host {
	t.Helper()
	root := t.TempDir()
	h := &host{t: t, root: root, fail: map[string]error{}, refuse: map[string]error{}, between: func() {}}
	files := statefile.Dir{State: filepath.Join(root, "state"), Runtime: filepath.Join(root, "run")}
	h.pruner = Pruner{Keep: 2, Profile: profile.System{Root: root, Nix: h}, Loader: h, Files: files}
	for _, dir := range []string{"state", "run", "nix/store", "nix/var/nix/profiles"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range systems(t, letters) {
		h.link(g.Path.String(), fmt.Sprintf("nix/var/nix/profiles/system-%d-link", g.Number))
		h.entries = append(h.entries, g.Number)
	}
	h.link(fmt.Sprintf("system-%d-link", len(letters)), "nix/var/nix/profiles/system")
	last := system(t, rune(letters[len(letters)-1])).String()
	h.link(last, "run/current-system")
	h.link(last, "run/booted-system")
	if err := files.Save(h.commit()); err != nil {
		t.Fatal(err)
	}
	return h
}

// link makes or replaces a link.
func (h *host) link(target, name string) {
	h.t.Helper()
	name = filepath.Join(h.root, name)
	if err := errors.Join(os.RemoveAll(name), os.Symlink(target, name)); err != nil {
		h.t.Fatal(err)
	}
}

// did is a call with its effect.
func (h *host) did(call string, effect func()) error {
	h.calls = append(h.calls, call)
	if err := h.refuse[call]; err != nil {
		return err
	}
	effect()
	return h.fail[call]
}

func (h *host) DeleteGenerations(_ context.Context, link string, numbers ...proto.Generation) error {
	err := h.did("delete", func() {
		if begun, err := h.pruner.Files.Pruning(); err != nil || !begun {
			h.t.Errorf("it is not on the disk that generations are deleted: %v", err)
		}
		for _, n := range numbers {
			if err := os.Remove(fmt.Sprintf("%s-%d-link", link, n)); err != nil {
				h.t.Error(err)
			}
		}
	})
	h.between()
	return err
}

func (h *host) SetProfile(context.Context, string, proto.StorePath) error {
	return errors.New("the profile is not to be changed")
}

func (h *host) SwitchGeneration(context.Context, string, proto.Generation) error {
	return errors.New("the profile is not to be changed")
}

func (h *host) SetDefault(_ context.Context, toplevel proto.StorePath) error {
	return h.did("boot", func() {
		if _, err := h.pruner.Files.LockTransaction(); !errors.Is(err, statefile.ErrLocked) {
			h.t.Errorf("a transaction could begin meanwhile: %v", err)
		}
		if want := h.commit().Toplevel; toplevel != want {
			h.t.Errorf("%s was made the boot default, want %s", toplevel, want)
		}
		h.entries = h.generations()
	})
}

func (h *host) generations() []proto.Generation {
	all, err := h.pruner.Profile.Generations()
	if err != nil {
		h.t.Error(err)
	}
	return numbers(all)
}

// prune fails unless these calls are made.
func (h *host) prune(calls ...string) (deleted []proto.Generation, err error) {
	h.t.Helper()
	h.calls = nil
	deleted, err = h.pruner.Prune(h.t.Context(), h.commit())
	if !slices.Equal(h.calls, calls) {
		h.t.Errorf("did %q, want %q", h.calls, calls)
	}
	return deleted, err
}

// requireLeft fails unless these generations are left, with boot entries.
func (h *host) requireLeft(want ...proto.Generation) {
	h.t.Helper()
	if got := h.generations(); !slices.Equal(got, want) {
		h.t.Errorf("generations %v are left, want %v", got, want)
	}
	if !slices.Equal(h.entries, want) {
		h.t.Errorf("boot entries %v are left, want %v", h.entries, want)
	}
}

func TestPrune(t *testing.T) {
	h := newHost(t, "abcdef")
	deleted, err := h.prune("delete", "boot")
	if diff := cmp.Diff([]proto.Generation{1, 2, 3, 4}, deleted); err != nil || diff != "" {
		t.Errorf("%v, deleted (-want +got):\n%s", err, diff)
	}
	h.requireLeft(5, 6)
	if deleted, err := h.prune(); err != nil || len(deleted) > 0 { // nothing to do
		t.Errorf("again: %v, %v", deleted, err)
	}
}

func TestPruneLeavesWhatMayBeNeeded(t *testing.T) {
	path := func(name rune) string { return system(t, name).String() }
	for name, change := range map[string]func(h *host){
		"what was booted":            func(h *host) { h.link(path('b'), "run/booted-system") },
		"what runs":                  func(h *host) { h.link(path('b'), "run/current-system") },
		"what was booted in a guise": func(h *host) { h.link(path('b')+"/specialisation/debug", "run/booted-system") },
		"what is proven": func(h *host) {
			if err := h.pruner.Files.SaveProven(deployment.Proven{Toplevel: system(t, 'b')}); err != nil {
				t.Fatal(err)
			}
		},
		"what somebody may go back to by hand": func(h *host) {
			p := deployment.Proven{Toplevel: system(t, 'f'), Previous: deployment.Previous{Toplevel: system(t, 'b')}}
			if err := h.pruner.Files.SaveProven(p); err != nil {
				t.Fatal(err)
			}
		},
		"what it would be gone back to": func(h *host) { h.link(path('x'), "nix/var/nix/profiles/system-2-link") },
		"another generation of what was committed": func(h *host) {
			h.link(path('f'), "nix/var/nix/profiles/system-2-link")
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, "abcdef")
			change(h)
			if _, err := h.prune("delete", "boot"); err != nil {
				t.Error(err)
			}
			h.requireLeft(2, 5, 6)
		})
	}
	t.Run("what is newer than what was committed", func(t *testing.T) {
		h := newHost(t, "abcdef")
		h.link("system-4-link", "nix/var/nix/profiles/system")
		if err := h.pruner.Files.Save(h.commit()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.prune("delete", "boot"); err != nil {
			t.Error(err)
		}
		h.requireLeft(3, 4, 5, 6)
	})
}

func TestPruneDoesNothing(t *testing.T) {
	for name, change := range map[string]func(h *host) error{
		"where all are kept":              func(h *host) error { h.pruner.Keep = 0; return nil },
		"where another one is registered": func(h *host) error { h.link("system-5-link", "nix/var/nix/profiles/system"); return nil },
		"while a deployment is under way": func(h *host) error {
			return h.pruner.Files.Save(deployment.Deployment{ID: "7-x", Phase: proto.PhaseProbation})
		},
		"after a deployment that ended badly": func(h *host) error {
			return h.pruner.Files.Save(deployment.Deployment{ID: "8-x", Phase: proto.PhaseRolledBack})
		},
		"after another one's commit": func(h *host) error {
			return h.pruner.Files.Save(deployment.Deployment{ID: "8-x", Phase: proto.PhaseCommitted})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, "abcdef")
			d := h.commit()
			if err := change(h); err != nil {
				t.Fatal(err)
			}
			deleted, err := h.pruner.Prune(t.Context(), d)
			if err != nil || len(deleted) > 0 || len(h.calls) > 0 {
				t.Errorf("deleted %v, %v, did %q", deleted, err, h.calls)
			}
			h.requireLeft(1, 2, 3, 4, 5, 6)
		})
	}
	t.Run("during a transaction", func(t *testing.T) {
		h := newHost(t, "abcdef")
		lock, err := h.pruner.Files.LockTransaction()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.prune(); !errors.Is(err, statefile.ErrLocked) {
			t.Errorf("got %v", err)
		}
		if err := lock.Unlock(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("if it is not known what was booted", func(t *testing.T) {
		h := newHost(t, "abcdef")
		d, booted := h.commit(), filepath.Join(h.root, "run/booted-system")
		if err := errors.Join(os.Remove(booted), os.Mkdir(booted, 0o755)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.pruner.Prune(t.Context(), d); err == nil {
			t.Error("no error")
		}
		h.requireLeft(1, 2, 3, 4, 5, 6)
	})
}

// Wherever it dies, no boot entry names for good what is gone.
func TestPruneGoesOnAfterACrash(t *testing.T) {
	for name, crash := range map[string]func(h *host){
		"before the deletion":    func(h *host) { h.refuse["delete"] = errCrash },
		"after the deletion":     func(h *host) { h.fail["delete"] = errCrash },
		"before the boot loader": func(h *host) { h.refuse["boot"] = errCrash },
		"after the boot loader":  func(h *host) { h.fail["boot"] = errCrash },
		"somebody else switches": func(h *host) {
			h.refuse["boot"] = &activation.DefaultError{Err: fmt.Errorf("%w, %w", activation.ErrBusy, errCrash)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, "abcdef")
			crash(h)
			if _, err := h.pruner.Prune(t.Context(), h.commit()); !errors.Is(err, errCrash) {
				t.Fatalf("got %v", err)
			}
			clear(h.fail)
			clear(h.refuse)
			if _, err := h.pruner.Prune(t.Context(), h.commit()); err != nil {
				t.Fatal(err)
			}
			h.requireLeft(5, 6)
			if _, err := h.prune(); err != nil { // it is over
				t.Error(err)
			}
		})
	}
}

// What somebody registered in the middle is not taken from the boot loader.
func TestPruneYieldsToASwitch(t *testing.T) {
	h := newHost(t, "abcdef")
	h.between = func() { h.link("system-5-link", "nix/var/nix/profiles/system") }
	d := h.commit()
	deleted, err := h.pruner.Prune(t.Context(), d)
	if err != nil || len(deleted) != 4 || !slices.Equal(h.calls, []string{"delete"}) {
		t.Errorf("deleted %v, %v, did %q", deleted, err, h.calls)
	}
}

var (
	_ profile.Setter = (*host)(nil)
	_ profile.Setter = nix.Links{}
	_ Loader         = activation.Runner{}
)
