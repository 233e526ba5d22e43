package nix

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kedge/proto"
)

// newLinks returns links with a store that has a and b, and a profile that does
// not exist yet.
func newLinks(t *testing.T) (l Links, profile string, a, b proto.StorePath) {
	t.Helper()
	l = Links{Root: t.TempDir()}
	a, b = parsePath(t, pathA), parsePath(t, pathB)
	for _, p := range []proto.StorePath{a, b} {
		if err := os.MkdirAll(filepath.Join(l.Root, p.String()), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return l, filepath.Join(t.TempDir(), "system"), a, b
}

func requireCurrent(t *testing.T, profile string, number proto.Generation, path proto.StorePath) {
	t.Helper()
	if got, err := CurrentGeneration(profile); err != nil || got != (Generation{number, path}) {
		t.Errorf("current: got %v, %v; want %d, %v", got, err, number, path)
	}
}

func TestLinksSetAndSwitch(t *testing.T) {
	l, profile, a, b := newLinks(t)
	for _, step := range []struct {
		path proto.StorePath
		want proto.Generation
	}{{a, 1}, {a, 1}, {b, 2}, {a, 3}} {
		if err := l.SetProfile(t.Context(), profile, step.path); err != nil {
			t.Fatal(err)
		}
		requireCurrent(t, profile, step.want, step.path)
	}
	if err := l.SwitchGeneration(t.Context(), profile, 2); err != nil {
		t.Fatal(err)
	}
	requireCurrent(t, profile, 2, b)
	if err := l.SetProfile(t.Context(), profile, a); err != nil { // what the newest one names
		t.Fatal(err)
	}
	requireCurrent(t, profile, 3, a)
	if target, err := os.Readlink(profile); err != nil || target != "system-3-link" {
		t.Errorf("the profile is a link to %q, %v", target, err)
	}
	names, err := os.ReadDir(filepath.Dir(profile))
	if err != nil || len(names) != 4 { // three generations and the profile
		t.Errorf("got %v, %v", names, err)
	}
}

// TestLinksSweepWhatACrashLeft, and nothing of anybody else.
func TestLinksSweepWhatACrashLeft(t *testing.T) {
	l, profile, a, b := newLinks(t)
	dir := filepath.Dir(profile)
	others := []string{".system-profiles-1-link.tmp-X", ".other.tmp-X", ".system-2-link", "system-7-link.tmp-X"}
	for _, name := range append([]string{".system-1-link.tmp-X", ".system.tmp-Y"}, others...) {
		if err := os.Symlink(b.String(), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.SetProfile(t.Context(), profile, a); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := append(others, "system", "system-1-link")
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("there are %q, want %q", names, want)
	}
}

func TestLinksNeedWhatTheyAreToName(t *testing.T) {
	l, profile, a, _ := newLinks(t)
	if err := l.SetProfile(t.Context(), profile, a); err != nil {
		t.Fatal(err)
	}
	if err := l.SwitchGeneration(t.Context(), profile, 7); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such generation: got %v, want %v", err, fs.ErrNotExist)
	}
	gone := parsePath(t, "/nix/store/00000000000000000000000000000000-gone")
	if err := l.SetProfile(t.Context(), profile, gone); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such path: got %v, want %v", err, fs.ErrNotExist)
	}
	requireCurrent(t, profile, 1, a)
	if all, err := Generations(profile); err != nil || len(all) != 1 {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestLinksGoOnFromForeignGenerations(t *testing.T) {
	l, profile, a, b := newLinks(t)
	link(t, pathA, profile+"-9-link")
	link(t, "/etc/passwd", profile+"-10-link")
	link(t, pathB, profile+"-profiles-11-link") // of another profile
	if err := l.SetProfile(t.Context(), profile, a); err != nil {
		t.Fatal(err)
	}
	requireCurrent(t, profile, 11, a)
	if err := l.SetProfile(t.Context(), profile, b); err != nil {
		t.Fatal(err)
	}
	requireCurrent(t, profile, 12, b)
}

func TestLinksDelete(t *testing.T) {
	l, profile, a, b := newLinks(t)
	for _, p := range []proto.StorePath{a, b, a} {
		if err := l.SetProfile(t.Context(), profile, p); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name    string
		numbers []proto.Generation
		wrong   bool
		left    []Generation
	}{
		{"none given", nil, true, []Generation{{1, a}, {2, b}, {3, a}}},
		{"the current one among them", []proto.Generation{1, 3}, true, []Generation{{1, a}, {2, b}, {3, a}}},
		{"one that is not there", []proto.Generation{9, 1}, false, []Generation{{2, b}, {3, a}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := l.DeleteGenerations(t.Context(), profile, tt.numbers...); (err != nil) != tt.wrong {
				t.Errorf("got %v", err)
			}
			if got, err := Generations(profile); err != nil || !slices.Equal(got, tt.left) {
				t.Errorf("left: %v, %v; want %v", got, err, tt.left)
			}
		})
	}
}

func TestLinksWaitForTheLock(t *testing.T) {
	changes := map[string]func(Links, context.Context, string, proto.StorePath) error{
		"set": func(l Links, ctx context.Context, profile string, b proto.StorePath) error {
			return l.SetProfile(ctx, profile, b)
		},
		"switch": func(l Links, ctx context.Context, profile string, _ proto.StorePath) error {
			return l.SwitchGeneration(ctx, profile, 1)
		},
		"delete": func(l Links, ctx context.Context, profile string, _ proto.StorePath) error {
			return l.DeleteGenerations(ctx, profile, 1)
		},
	}
	for name, change := range changes {
		for _, lock := range []struct {
			name, content string
			held          bool
		}{
			{"that somebody has", "", true},
			{"whose file somebody is about to remove", "d", false},
		} {
			t.Run(name+", a lock "+lock.name, func(t *testing.T) {
				l, profile, a, b := newLinks(t)
				for _, p := range []proto.StorePath{a, b, a} {
					if err := l.SetProfile(t.Context(), profile, p); err != nil {
						t.Fatal(err)
					}
				}
				before := look(t, profile)
				f := holdLock(t, profile, lock.content, lock.held)
				ended, end := context.WithCancel(t.Context())
				end()
				if err := change(l, ended, profile, b); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "system.lock") {
					t.Errorf("got %v, want %v", err, context.Canceled)
				}
				if after := look(t, profile); after != before {
					t.Errorf("changed without the lock: %s became %s", before, after)
				}
				changed := make(chan error, 1)
				go func() { changed <- change(l, t.Context(), profile, b) }()
				// As Nix gives it back.
				_, written := f.WriteString("d")
				if err := errors.Join(os.Remove(f.Name()), written, f.Close()); err != nil {
					t.Fatal(err)
				}
				if err := <-changed; err != nil {
					t.Errorf("once it is free: %v", err)
				}
				if after := look(t, profile); after == before {
					t.Error("not changed")
				}
				if _, err := os.Lstat(f.Name()); err == nil {
					t.Error("the lock is left behind")
				}
			})
		}
	}
}

// holdLock makes the profile's lock as somebody else's.
func holdLock(t *testing.T, profile, content string, held bool) *os.File {
	t.Helper()
	f, err := os.Create(profile + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if held {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// look returns the profile and its generations.
func look(t *testing.T, profile string) string {
	t.Helper()
	target, err := os.Readlink(profile)
	if err != nil {
		t.Fatal(err)
	}
	all, err := Generations(profile)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		target += " " + g.Number.String() + "=" + g.Path.String()
	}
	return target
}
