package closure

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"kedge/internal/nix"
	"kedge/proto"
)

// A fakeReader is a store in which every system has itself and what it needs.
type fakeReader struct {
	needs   map[proto.StorePath][]proto.StorePath
	changed []proto.StorePath
	repair  func(o nix.SubstituteOptions) error
	asked   []string
	nice    string // of a process that reads
}

func (f *fakeReader) Invalid(_ context.Context, paths ...proto.StorePath) ([]proto.StorePath, error) {
	return slices.DeleteFunc(slices.Clone(paths), func(p proto.StorePath) bool { return f.needs[p] != nil }), nil
}

func (f *fakeReader) Requisites(_ context.Context, paths ...proto.StorePath) (all []proto.StorePath, err error) {
	for _, p := range paths {
		if f.needs[p] == nil {
			return nil, errors.New("not valid")
		}
		all = append(append(all, p), f.needs[p]...)
	}
	slices.SortFunc(all, proto.StorePath.Compare)
	return slices.Compact(all), nil
}

func (f *fakeReader) Changed(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error) {
	out, err := exec.CommandContext(ctx, "nice").Output()
	f.nice = strings.TrimSpace(string(out))
	return slices.DeleteFunc(slices.Clone(paths), func(p proto.StorePath) bool { return !slices.Contains(f.changed, p) }), err
}

func (f *fakeReader) Repair(_ context.Context, o nix.SubstituteOptions) error {
	f.asked = append(f.asked, o.From)
	return f.repair(o)
}

func TestAddedIsWhatSystemsHaveThatAnotherDoesNot(t *testing.T) {
	path := func(c string) proto.StorePath {
		p, err := proto.ParseStorePath("/nix/store/" + strings.Repeat(c, 32) + "-x")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b, c, both, ofB := path("a"), path("b"), path("c"), path("d"), path("f")
	i := Integrity{Nix: &fakeReader{needs: map[proto.StorePath][]proto.StorePath{a: {both}, b: {both, ofB}}}}
	for _, tt := range []struct {
		name    string
		since   proto.StorePath
		systems []proto.StorePath
		want    []proto.StorePath
	}{
		{"of the new one what the old one lacks", a, []proto.StorePath{b}, []proto.StorePath{b, ofB}},
		{"of two what the old one lacks", a, []proto.StorePath{a, b}, []proto.StorePath{b, ofB}},
		{"nothing of the same", a, []proto.StorePath{a}, nil},
		{"nothing of what was not fetched whole", a, []proto.StorePath{a, c}, nil},
		{"everything if the old one is gone", c, []proto.StorePath{b}, []proto.StorePath{b, both, ofB}},
		{"everything if none is known", proto.StorePath{}, []proto.StorePath{a, {}}, []proto.StorePath{a, both}},
	} {
		got, err := i.Added(t.Context(), tt.since, tt.systems...)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestMendAsksOneCacheAfterTheOther(t *testing.T) {
	p, err := proto.ParseStorePath("/nix/store/" + strings.Repeat("a", 32) + "-x")
	if err != nil {
		t.Fatal(err)
	}
	r := &fakeReader{repair: func(o nix.SubstituteOptions) error {
		if o.From == "http://one" {
			return errors.New("it lacks it")
		}
		return nil
	}}
	i := Integrity{Nix: r}
	if err := i.Mend(t.Context(), p, []string{"http://one", "http://two", "http://three"}); err != nil || !slices.Equal(r.asked, []string{"http://one", "http://two"}) {
		t.Errorf("Mend = %v after %q, want it mended by the second", err, r.asked)
	}
	if err := i.Mend(t.Context(), p, []string{"http://one"}); err == nil || !strings.Contains(err.Error(), "http://one: it lacks it") {
		t.Errorf("Mend = %v, want why", err)
	}
	if err := i.Mend(t.Context(), p, nil); err == nil {
		t.Error("mended without a cache")
	}
	r.changed = []proto.StorePath{p}
	if err := i.Mend(t.Context(), p, []string{"http://two"}); err == nil || !strings.Contains(err.Error(), "still") {
		t.Errorf("Mend = %v, want it not to be taken for mended", err)
	}
}

func TestWhatReadsGivesWay(t *testing.T) {
	p, err := proto.ParseStorePath("/nix/store/" + strings.Repeat("a", 32) + "-x")
	if err != nil {
		t.Fatal(err)
	}
	r := &fakeReader{changed: []proto.StorePath{p}}
	before, err := exec.CommandContext(t.Context(), "nice").Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Integrity{Nix: r}.Changed(t.Context(), []proto.StorePath{p})
	if err != nil || !slices.Equal(got, r.changed) || r.nice != "19" {
		t.Errorf("Changed = %v, %v, read with niceness %s, want %v with 19", got, err, r.nice, p)
	}
	after, err := exec.CommandContext(t.Context(), "nice").Output()
	if err != nil || string(after) != string(before) {
		t.Errorf("niceness is %s, %v afterwards, want %s as before", after, err, before)
	}
}
