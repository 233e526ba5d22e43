package statefile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

func TestBootIn(t *testing.T) {
	a, b := parse(t, pathA), parse(t, pathB)
	corrupt := []proto.StorePath{b}
	for _, tt := range []struct {
		name         string
		before, want Boot
	}{
		{"nothing is verified where nothing was known", Boot{}, Boot{ID: "2", Sound: b}},
		{"an agent that starts again changes nothing", Boot{ID: "2", Sound: a, Unverified: true}, Boot{ID: "2", Sound: a, Unverified: true}},
		{"one that starts again although the host went down begins anew", Boot{ID: "2", Sound: a, Clean: true}, Boot{ID: "2", Sound: a}},
		{"after an orderly end what runs is sound", Boot{ID: "1", Sound: a, Clean: true}, Boot{ID: "2", Sound: b}},
		{"after another end it is to be verified", Boot{ID: "1", Sound: a}, Boot{ID: "2", Sound: a, Unverified: true}},
		{"what was not verified still is to be", Boot{ID: "1", Sound: a, Clean: true, Unverified: true}, Boot{ID: "2", Sound: a, Unverified: true}},
		{"what is corrupt stays so, and nothing is sound", Boot{ID: "1", Sound: a, Clean: true, Corrupt: corrupt}, Boot{ID: "2", Sound: a, Corrupt: corrupt}},
	} {
		if diff := cmp.Diff(tt.want, tt.before.In("2", b), compareValues); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestBootVerifiedAndMended(t *testing.T) {
	a, b := parse(t, pathA), parse(t, pathB)
	before := Boot{ID: "1", Sound: a, Unverified: true}
	if diff := cmp.Diff(Boot{ID: "1", Sound: b}, before.Verified(b, nil), compareValues); diff != "" {
		t.Errorf("whole (-want +got):\n%s", diff)
	}
	found := before.Verified(b, []proto.StorePath{a, b})
	if diff := cmp.Diff(Boot{ID: "1", Sound: a, Corrupt: []proto.StorePath{a, b}}, found, compareValues); diff != "" {
		t.Errorf("corrupt (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Boot{ID: "1", Sound: a, Corrupt: []proto.StorePath{b}}, found.Mended(a), compareValues); diff != "" {
		t.Errorf("mended (-want +got):\n%s", diff)
	}
	if len(found.Corrupt) != 2 {
		t.Error("what was found was changed by mending")
	}
	files := Dir{State: t.TempDir(), Runtime: t.TempDir()}
	if err := files.SaveBoot(found); err != nil {
		t.Fatal(err)
	}
	if got, err := files.Boot(); err != nil || !cmp.Equal(got, found, compareValues) {
		t.Errorf("Boot = %+v, %v, want %+v", got, err, found)
	}
}

func TestWhatIsKnownOfTheStoreIsWrittenOnce(t *testing.T) {
	d := newDir(t)
	path := filepath.Join(d.State, bootFile)
	save := func(b Boot) os.FileInfo {
		t.Helper()
		if err := d.SaveBoot(b); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if got, readErr := d.Boot(); readErr != nil || err != nil || !cmp.Equal(got, b, compareValues) {
			t.Fatalf("Boot = %+v, %v, %v, want %+v", got, readErr, err, b)
		}
		return info
	}
	b := Boot{ID: "1", Corrupt: []proto.StorePath{parse(t, pathA)}}
	if first, second := save(b), save(b); !os.SameFile(first, second) {
		t.Error("what was known already was written again")
	}
	save(Boot{ID: "1", Clean: true})
	save(Boot{ID: "2"})
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	save(b)
}
