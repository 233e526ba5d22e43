package profile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kedge/proto"
)

func TestInUse(t *testing.T) {
	const special = "/nix/store/22222222222222222222222222222222-nixos-system-special"
	a, b := parse(t, pathA), parse(t, pathB)
	for _, tt := range []struct {
		name, current, booted string
		want                  []proto.StorePath
	}{
		{"two generations", pathA, pathB, []proto.StorePath{a, b}},
		{"one", pathA, pathA, []proto.StorePath{a}},
		{"a specialisation of one", special, pathA, []proto.StorePath{b, a}},
		{"a specialisation, through its generation", pathA, pathB + "/specialisation/debug", []proto.StorePath{a, b}},
		{"what is no generation", "/nix/store/33333333333333333333333333333333-x", "/nix/store/33333333333333333333333333333333-x", nil},
		{"nothing", "", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			links := map[string]string{profiles + "system-1-link": pathA, profiles + "system-2-link": pathB, profiles + "system-3-link": pathA}
			if tt.current != "" {
				links["run/current-system"], links["run/booted-system"] = tt.current, tt.booted
			}
			s, _ := newSystem(t, links)
			dir := filepath.Join(s.Root, pathB, "specialisation")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(special, filepath.Join(dir, "debug")); err != nil {
				t.Fatal(err)
			}
			all, err := s.Generations()
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.InUse(all)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(proto.StorePath{})); err != nil || diff != "" {
				t.Errorf("%v, (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestDrop(t *testing.T) {
	for _, tt := range []struct {
		name    string
		current int
		drop    string
		want    []string
	}{
		{"the newest one", 2, pathA, []string{"delete [3]"}},
		{"not one of another system", 2, pathB, nil},
		{"not the current one", 3, pathA, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, f := newSystem(t, map[string]string{
				profiles + "system-1-link": pathA, profiles + "system-2-link": pathB, profiles + "system-3-link": pathA,
				profiles + "system": fmt.Sprintf("system-%d-link", tt.current),
			})
			if err := s.Drop(t.Context(), parse(t, tt.drop)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, f.calls); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	s, f := newSystem(t, nil)
	if err := s.Drop(t.Context(), parse(t, pathA)); err != nil || len(f.calls) > 0 {
		t.Errorf("without a profile: %v, %v", err, f.calls)
	}
}

func TestRaise(t *testing.T) {
	const other = "/nix/store/33333333333333333333333333333333-nixos-system-c"
	for _, tt := range []struct {
		name        string
		generations []string
		want        []string
	}{
		{"the newest one already", []string{pathB, pathA}, nil},
		{"the newest one but the other's", []string{pathA, pathB}, nil},
		{"newer ones of somebody", []string{pathA, other}, []string{"set " + pathA}},
		{"newer ones of somebody below the other's", []string{pathA, other, pathB}, []string{"set " + pathA}},
		{"two of the other's", []string{pathA, pathB, pathB}, []string{"set " + pathA}},
		{"only the other's", []string{pathB}, []string{"set " + pathA}},
		{"no profile", nil, []string{"set " + pathA}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			links := map[string]string{}
			for i, system := range tt.generations {
				links[fmt.Sprintf("%ssystem-%d-link", profiles, i+1)] = system
				links[profiles+"system"] = "system-1-link"
			}
			s, f := newSystem(t, links)
			if err := s.Raise(t.Context(), parse(t, pathA), parse(t, pathB)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, f.calls); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestALinkThatCannotBeReadIsNotOutOfUse(t *testing.T) {
	s, _ := newSystem(t, nil)
	if err := os.Mkdir(filepath.Join(s.Root, bootedLink), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := s.InUse(nil); err == nil {
		t.Error("no error")
	}
}

func TestDeleteGenerations(t *testing.T) {
	s, f := newSystem(t, nil)
	s.Sync = func(dirs ...string) error {
		for _, dir := range dirs {
			f.calls = append(f.calls, "sync "+filepath.Base(dir))
		}
		return nil
	}
	if err := s.DeleteGenerations(t.Context(), 3, 4); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"delete [3 4]", "sync profiles"}, f.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	f.err = errors.New("the profile is locked")
	if err := s.DeleteGenerations(t.Context(), 3); !errors.Is(err, f.err) {
		t.Errorf("got %v", err)
	}
}
