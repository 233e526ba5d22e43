package diff

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestBetween has a closure before and one after in each file below testdata, and
// beside it what changes.
func TestBetween(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before, after, _ := strings.Cut(string(text), "--\n")
			c := Between(path(t, "nixos-system-before"), path(t, "nixos-system-after"), closure(t, before), closure(t, after))
			got, err := json.MarshalIndent(c, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".txt") + ".json"
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
				t.Errorf("changes (-golden +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNamedIsBounded(t *testing.T) {
	var after strings.Builder
	for i := range 2 * proto.MaxChangedPackages {
		fmt.Fprintf(&after, "package%c%c-1.0 1\n", 'a'+i/26, 'a'+i%26)
	}
	c := Between(path(t, "a"), path(t, "b"), nil, closure(t, after.String()))
	if c.Added != 2*proto.MaxChangedPackages || len(c.Packages) != proto.MaxChangedPackages {
		t.Errorf("added: got %d with %d names, want %d with %d", c.Added, len(c.Packages), 2*proto.MaxChangedPackages, proto.MaxChangedPackages)
	}
}

// TestCompareVersions has what the manual of Nix says of builtins.compareVersions,
// and what its own tests have.
func TestCompareVersions(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"1.0", "2.3", -1},
		{"2.1", "2.3", -1},
		{"2.3", "2.3", 0},
		{"2.5", "2.3", 1},
		{"3.1", "2.3", 1},
		{"2.3.1", "2.3", 1},
		{"2.3.1", "2.3a", 1},
		{"2.3pre1", "2.3", -1},
		{"2.3pre3", "2.3pre12", -1},
		{"2.3a", "2.3c", -1},
		{"2.3pre1", "2.3c", -1},
		{"2.3pre1", "2.3q", -1},
		{"5.2p37", "5.2p26", 1},
		{"", "1", -1},
	} {
		if got := compareVersions(tt.a, tt.b); got != tt.want {
			t.Errorf("compare %q with %q: got %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := compareVersions(tt.b, tt.a); got != -tt.want {
			t.Errorf("compare %q with %q: got %d, want %d", tt.b, tt.a, got, -tt.want)
		}
	}
}

func TestBootTellsWhatTakesARebootOnly(t *testing.T) {
	store, before, after := t.TempDir(), path(t, "before"), path(t, "after")
	for p, version := range map[proto.StorePath]string{before: "6.12.1", after: "6.12.8"} {
		dir := filepath.Join(store, p.Base())
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for link, to := range map[string]string{"kernel": "linux-" + version, "initrd": "initrd"} {
			if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := Boot(store, before, after)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"kernel"}, got); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

// closure has a path for each line: its name, and its size.
func closure(t *testing.T, text string) proto.Closure {
	t.Helper()
	var c proto.Closure
	for line := range strings.Lines(text) {
		var name string
		var size uint64
		if _, err := fmt.Sscan(line, &name, &size); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		c = append(c, proto.ClosurePath{Path: path(t, name), NarSize: size})
	}
	return c
}

func path(t *testing.T, name string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-" + name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
