package profile

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReboot(t *testing.T) {
	booted := map[string]string{"kernel": "/nix/store/linux-1/bzImage", "initrd": "/nix/store/initrd-1/initrd", "kernel-modules": "/nix/store/modules-1", "kernel-params": "quiet"}
	for _, tt := range []struct {
		name   string
		booted map[string]string
		change func(parts map[string]string)
		want   []string
	}{
		{"nothing changed", booted, func(map[string]string) {}, nil},
		{"another kernel", booted, func(p map[string]string) { p["kernel"] = "/nix/store/linux-2/bzImage" }, []string{"kernel"}},
		{"everything", booted, func(p map[string]string) {
			for name := range p {
				p[name] += "-2"
			}
		}, []string{"kernel", "initrd", "kernel-modules", "kernel-params"}},
		{"no initrd any more", booted, func(p map[string]string) { delete(p, "initrd") }, []string{"initrd"}},
		{"a container", map[string]string{}, func(map[string]string) {}, nil},
		{"what was booted is not known", nil, func(p map[string]string) { p["kernel"] = "/nix/store/linux-2/bzImage" }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			links := map[string]string{"run/current-system": pathB}
			if tt.booted != nil {
				links["run/booted-system"] = pathA
			}
			s, _ := newSystem(t, links)
			parts := map[string]string{}
			maps.Copy(parts, tt.booted)
			writeParts(t, filepath.Join(s.Root, pathA), parts)
			tt.change(parts)
			writeParts(t, filepath.Join(s.Root, pathB), parts)
			for link, dir := range map[string]string{"run/current-system": pathB, "run/booted-system": pathA} {
				if _, ok := links[link]; ok {
					relink(t, filepath.Join(s.Root, link), filepath.Join(s.Root, dir))
				}
			}
			for what, f := range map[string]func() ([]string, error){
				"RebootPending": s.RebootPending,
				"RebootFor":     func() ([]string, error) { return s.RebootFor(parse(t, pathB)) },
			} {
				got, err := f()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}

func TestRebootTellsWhatCannotBeRead(t *testing.T) {
	s, _ := newSystem(t, map[string]string{"run/booted-system": pathA})
	relink(t, filepath.Join(s.Root, "run/booted-system"), s.Root)
	if err := os.WriteFile(filepath.Join(s.Root, "kernel"), nil, 0o600); err != nil { // no link
		t.Fatal(err)
	}
	if got, err := s.RebootPending(); err == nil {
		t.Errorf("got %q, want an error", got)
	}
}

// writeParts makes the parts of a system: links, and one file.
func writeParts(t *testing.T, dir string, parts map[string]string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, is := range parts {
		file := filepath.Join(dir, name)
		err := os.WriteFile(file, []byte(is), 0o600)
		if name != "kernel-params" {
			err = os.Remove(file)
			if err == nil {
				err = os.Symlink(is, file)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// relink has a link of the host lead into its root.
func relink(t *testing.T, link, target string) {
	t.Helper()
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
}
