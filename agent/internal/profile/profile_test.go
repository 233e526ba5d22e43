package profile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/internal/nix"
	"kedge/proto"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const (
	pathA = "/nix/store/00000000000000000000000000000000-nixos-system-a"
	pathB = "/nix/store/11111111111111111111111111111111-nixos-system-b"
)

func parse(t *testing.T, s string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fakeNix does what nix-env does to profiles.
type fakeNix struct {
	calls []string
	err   error
	lies  bool // succeeds without an effect
}

func (f *fakeNix) SetProfile(_ context.Context, profile string, path proto.StorePath) error {
	f.calls = append(f.calls, "set "+path.String())
	if f.err != nil || f.lies {
		return f.err
	}
	all, err := nix.Generations(profile)
	if err != nil {
		return err
	}
	var last nix.Generation
	if len(all) > 0 {
		last = all[len(all)-1]
	}
	if last.Path != path {
		last.Number++
		if err := os.Symlink(path.String(), fmt.Sprintf("%s-%d-link", profile, last.Number)); err != nil {
			return err
		}
	}
	return point(profile, last.Number)
}

func (f *fakeNix) SwitchGeneration(_ context.Context, profile string, number proto.Generation) error {
	f.calls = append(f.calls, "switch "+number.String())
	if f.err != nil || f.lies {
		return f.err
	}
	return point(profile, number)
}

func (f *fakeNix) DeleteGenerations(_ context.Context, _ string, numbers ...proto.Generation) error {
	f.calls = append(f.calls, fmt.Sprint("delete ", numbers))
	return f.err
}

func point(profile string, number proto.Generation) error {
	if err := os.Remove(profile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(fmt.Sprintf("system-%d-link", number), profile)
}

// newSystem has the given links: name → target.
func newSystem(t *testing.T, links map[string]string) (System, *fakeNix) {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"run", "nix/store", "nix/var/nix/profiles"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	f := new(fakeNix)
	return System{Root: root, Nix: f}, f
}

const profiles = "nix/var/nix/profiles/"

func TestSystems(t *testing.T) {
	s, _ := newSystem(t, map[string]string{
		"run/current-system":       pathB,
		"run/booted-system":        pathA,
		profiles + "system-7-link": pathA,
		profiles + "system":        "system-7-link",
	})
	got, err := s.Systems()
	if err != nil {
		t.Fatal(err)
	}
	want := proto.Systems{Current: parse(t, pathB), Booted: parse(t, pathA), Profile: parse(t, pathA), Generation: 7}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(proto.StorePath{}, proto.Revision{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSystemsOfAFreshHost(t *testing.T) {
	s, _ := newSystem(t, nil)
	got, err := s.Systems()
	if err != nil || got != (proto.Systems{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSystemsNamesTheLinkThatIsWrong(t *testing.T) {
	tests := []struct{ name, link, target, want string }{
		{"specialisation", "run/current-system", pathA + "/specialisation/debug", "specialisation/debug"},
		{"outside the store", "run/current-system", "/tmp/system", "/tmp/system"},
		{"profile that is no generation", profiles + "system", pathA, pathA},
		{"profile whose generation is no toplevel", profiles + "system", "system-3-link", "/tmp/system"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newSystem(t, map[string]string{tt.link: tt.target, profiles + "system-3-link": "/tmp/system"})
			_, err := s.Systems()
			var le *LinkError
			if !errors.As(err, &le) || !strings.HasSuffix(le.Link, tt.link) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error of %s with %q", err, tt.link, tt.want)
			}
		})
	}
}

func TestSystemsCanBeReadWhateverWasBooted(t *testing.T) {
	s, _ := newSystem(t, map[string]string{
		"run/current-system": pathA,
		"run/booted-system":  pathA + "/specialisation/debug",
	})
	if got, err := s.Systems(); err != nil || got.Current != parse(t, pathA) || !got.Booted.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSystemsOfADiskThatCannotBeReadAreNobodysFault(t *testing.T) {
	s, _ := newSystem(t, nil)
	if err := os.Mkdir(filepath.Join(s.Root, profiles, "system"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := s.Systems()
	var le *LinkError
	if err == nil || errors.As(err, &le) {
		t.Errorf("got %v", err)
	}
}

func TestRegister(t *testing.T) {
	a, b := parse(t, pathA), parse(t, pathB)
	s, f := newSystem(t, nil)
	steps := []struct {
		name  string
		path  proto.StorePath
		want  proto.Generation
		calls int // in all
	}{
		{"first", a, 1, 1},
		{"again", a, 1, 1},
		{"another", b, 2, 2},
		{"the first once more", a, 3, 3},
	}
	for _, step := range steps {
		got, err := s.Register(t.Context(), step.path)
		if err != nil || got != step.want || len(f.calls) != step.calls {
			t.Errorf("%s: got %v, %v, calls %q; want %v", step.name, got, err, f.calls, step.want)
		}
		systems, err := s.Systems()
		if err != nil || systems.Profile != step.path {
			t.Errorf("%s: profile names %s, %v", step.name, systems.Profile, err)
		}
	}
}

func TestRestore(t *testing.T) {
	a, b := parse(t, pathA), parse(t, pathB)
	links := func() map[string]string {
		return map[string]string{
			profiles + "system-3-link": pathA,
			profiles + "system-4-link": pathB,
			profiles + "system":        "system-4-link",
		}
	}
	tests := []struct {
		name   string
		change func(map[string]string)
		path   proto.StorePath
		number proto.Generation
		want   proto.Generation
		calls  []string
	}{
		{"its own generation", func(map[string]string) {}, a, 3, 3, []string{"switch 3"}},
		{"names it already", func(map[string]string) {}, b, 4, 4, nil},
		{"unknown number", func(map[string]string) {}, a, 0, 3, []string{"switch 3"}},
		{"the number was given to another", func(l map[string]string) { l[profiles+"system-5-link"] = pathB }, a, 5, 3, []string{"switch 3"}},
		{"deleted generation", func(l map[string]string) { delete(l, profiles+"system-3-link") }, a, 3, 5, []string{"set " + pathA}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := links()
			tt.change(l)
			s, f := newSystem(t, l)
			got, err := s.Restore(t.Context(), tt.path, tt.number)
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
			if diff := cmp.Diff(tt.calls, f.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			systems, err := s.Systems()
			if err != nil || systems.Profile != tt.path {
				t.Errorf("profile names %s, %v", systems.Profile, err)
			}
		})
	}
}

// What a power cut could still take away is named by nothing on the disk.
func TestTheStoreIsOnTheDiskBeforeTheProfileChanges(t *testing.T) {
	s, f := newSystem(t, map[string]string{profiles + "system-1-link": pathA, profiles + "system": "system-1-link"})
	s.Sync = func(dirs ...string) error {
		for _, dir := range dirs {
			f.calls = append(f.calls, "sync "+strings.TrimPrefix(dir, s.Root))
		}
		return nil
	}
	const store, profile = "sync /nix/store", "sync /nix/var/nix/profiles"
	for _, step := range []struct {
		name   string
		change func() error
		want   []string
	}{
		{"register", func() error { _, err := s.Register(t.Context(), parse(t, pathB)); return err }, []string{store, profile, "set " + pathB}},
		{"again, as after a crash", func() error { _, err := s.Register(t.Context(), parse(t, pathB)); return err }, []string{store, profile}},
		{"restore", func() error { _, err := s.Restore(t.Context(), parse(t, pathA), 1); return err }, []string{"switch 1", store, profile}},
	} {
		f.calls = nil
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, f.calls); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestADiskThatFails(t *testing.T) {
	s, f := newSystem(t, map[string]string{profiles + "system-1-link": pathA, profiles + "system": "system-1-link"})
	s.Sync = func(...string) error { return unix.EIO }
	if _, err := s.Register(t.Context(), parse(t, pathB)); !errors.Is(err, unix.EIO) || len(f.calls) > 0 {
		t.Errorf("register: got %v, and Nix was asked for %q", err, f.calls)
	}
	if _, err := s.Restore(t.Context(), parse(t, pathB), 0); !errors.Is(err, unix.EIO) || len(f.calls) != 1 {
		t.Errorf("restore: got %v, and Nix was asked for %q, want it to be in spite of the disk", err, f.calls)
	}
}

func TestRegisterReportsFailure(t *testing.T) {
	s, f := newSystem(t, nil)
	f.err = errors.New("disk full")
	if _, err := s.Register(t.Context(), parse(t, pathA)); !errors.Is(err, f.err) || !strings.Contains(err.Error(), pathA) {
		t.Errorf("got %v", err)
	}
	f.err, f.lies = nil, true
	if _, err := s.Register(t.Context(), parse(t, pathA)); err == nil {
		t.Error("no error though the profile does not name it")
	}
}

func TestRegistered(t *testing.T) {
	s, _ := newSystem(t, map[string]string{
		profiles + "system-7-link": pathA, profiles + "system-8-link": pathB, profiles + "system": "system-8-link",
	})
	for number, want := range map[proto.Generation]proto.StorePath{7: parse(t, pathA), 8: parse(t, pathB), 9: {}, 0: {}} {
		if got, err := s.Registered(number); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", number, got, err, want)
		}
	}
}
