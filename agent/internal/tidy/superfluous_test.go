package tidy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"kedge/internal/nix"
	"kedge/proto"
)

// system returns the path of one of a few systems.
func system(t *testing.T, name rune) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath(fmt.Sprintf("/nix/store/00000000000000000000000000000000-nixos-system-%c", name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// systems has one generation for each letter, numbered from 1; a space leaves a
// number out.
func systems(t *testing.T, letters string) (all []nix.Generation) {
	t.Helper()
	for i, name := range letters {
		if name != ' ' {
			all = append(all, nix.Generation{Number: proto.Generation(i + 1), Path: system(t, name)})
		}
	}
	return all
}

func numbers(all []nix.Generation) []proto.Generation {
	n := []proto.Generation{}
	for _, g := range all {
		n = append(n, g.Number)
	}
	return n
}

func TestSuperfluous(t *testing.T) {
	type n = []proto.Generation
	for _, tt := range []struct {
		name        string
		generations string
		keep        int
		committed   proto.Generation
		protected   string
		want        n
	}{
		{"all are kept", "abcdef", 0, 6, "", n{}},
		{"there are none", "", 2, 6, "", n{}},
		{"fewer than are kept", "ab", 3, 2, "", n{}},
		{"as many as are kept", "abc", 3, 3, "", n{}},
		{"the oldest go", "abcdef", 2, 6, "", n{1, 2, 3, 4}},
		{"only the committed one stays", "abc", 1, 3, "", n{1, 2}},
		{"what is protected stays on top of those", "abcdef", 2, 6, "bf", n{1, 3, 4}},
		{"each generation of what is protected does", "abacab", 1, 6, "a", n{2, 4}},
		{"numbers that are missing do not count", "a  b c", 2, 6, "", n{1}},
		{"what is newer than the committed one stays, and does not count", "abcdef", 2, 4, "", n{1, 2}},
		{"the committed one is the oldest", "abc", 1, 1, "", n{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Protected{Committed: tt.committed}
			for _, name := range tt.protected {
				p.Systems = append(p.Systems, system(t, name))
			}
			all := systems(t, tt.generations)
			before := slices.Clone(all)
			if got := numbers(Superfluous(all, tt.keep, p)); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !slices.Equal(all, before) {
				t.Errorf("the list that was given is %v now", all)
			}
		})
	}
}

// Whatever the generations are, what is promised of them holds.
func TestSuperfluousNeverGoesTooFar(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same worlds each time
		letters := make([]byte, r.IntN(12))
		for i := range letters {
			letters[i] = " abcdef"[r.IntN(7)]
		}
		all := systems(t, string(letters))
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		keep := r.IntN(5)
		p := Protected{Committed: proto.Generation(1 + r.IntN(12)), Systems: []proto.StorePath{system(t, rune('a'+r.IntN(6)))}}
		got := Superfluous(all, keep, p)

		fail := func(format string, args ...any) {
			t.Errorf("seed %d: %v, keep %d, %v: got %v: %s", seed, all, keep, p, got, fmt.Sprintf(format, args...))
		}
		left := slices.DeleteFunc(slices.Clone(all), func(g nix.Generation) bool { return slices.Contains(got, g) })
		old := 0 // what is left of those up to the committed one
		for _, g := range left {
			if g.Number <= p.Committed {
				old++
			}
		}
		for _, g := range got {
			switch {
			case !slices.Contains(all, g):
				fail("%v was never there", g)
			case g.Number >= p.Committed:
				fail("%v is not older than the committed one", g)
			case slices.Contains(p.Systems, g.Path):
				fail("%v is protected", g)
			}
			// Everything else that stays is newer, or has a reason.
			for _, l := range left {
				if l.Number < g.Number && !slices.Contains(p.Systems, l.Path) {
					fail("%v goes, and the older %v stays", g, l)
				}
			}
		}
		if !slices.IsSorted(numbers(got)) {
			fail("not oldest first")
		}
		if len(got) > 0 && old < keep {
			fail("%d are left", old)
		}
		if keep == 0 && len(got) > 0 {
			fail("all were to be kept")
		}
		if again := Superfluous(left, keep, p); len(again) > 0 {
			fail("%v would be superfluous then", again)
		}
	}
}
