package bootloader

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A lab is a boot partition, a profile folder, and a store to link from.
type lab struct {
	Disk
	t     *testing.T
	store string
}

func newLab(t *testing.T) lab {
	return lab{Disk: Disk{Boot: t.TempDir(), Profiles: t.TempDir()}, t: t, store: t.TempDir()}
}

// system makes a toplevel with a kernel of the version, and links it as generation n unless n is 0.
func (l lab) system(name, kernel string, n int) string {
	l.t.Helper()
	toplevel, linux := filepath.Join(l.store, name), filepath.Join(l.store, "linux-"+kernel)
	for file, text := range map[string]string{
		linux + "/bzImage": kernel, linux + "/initrd": "i" + kernel,
		toplevel + "/nixos-version": "26.05", toplevel + "/kernel-params": "quiet",
	} {
		l.must(os.MkdirAll(filepath.Dir(file), 0o755))
		l.must(os.WriteFile(file, []byte(text), 0o644))
	}
	l.must(os.Symlink(linux+"/bzImage", toplevel+"/kernel"))
	l.must(os.Symlink(linux+"/initrd", toplevel+"/initrd"))
	if n > 0 {
		l.must(os.Symlink(toplevel, l.link(n)))
	}
	return toplevel
}

func (l lab) link(n int) string {
	return filepath.Join(l.Profiles, "system-"+string(rune('0'+n))+"-link")
}

func (l lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l lab) files() []string {
	l.t.Helper()
	var all []string
	l.must(filepath.WalkDir(l.Boot, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, l.Boot+"/"))
		}
		return err
	}))
	return all
}

func (l lab) defaultSystem() string {
	text, _ := os.ReadFile(filepath.Join(l.Boot, "loader/default")) // none is an empty default
	return strings.TrimSpace(string(text))
}

func TestInstallWritesAnEntryForEveryGeneration(t *testing.T) {
	l := newLab(t)
	a := l.system("a", "6.1", 1)
	b := l.system("b", "6.2", 2)
	l.must(l.Install(b, false))
	want := []string{
		"EFI/nixos/linux-6.1-bzImage.efi", "EFI/nixos/linux-6.1-initrd.efi", "EFI/nixos/linux-6.2-bzImage.efi", "EFI/nixos/linux-6.2-initrd.efi",
		"loader/default", "loader/entries/nixos-generation-1.conf", "loader/entries/nixos-generation-2.conf", "loader/loader.conf",
	}
	if diff := cmp.Diff(want, l.files()); diff != "" {
		t.Errorf("boot partition (-want +got):\n%s", diff)
	}
	if l.defaultSystem() != b {
		t.Errorf("default = %q, want %q", l.defaultSystem(), b)
	}
	entry, err := os.ReadFile(filepath.Join(l.Boot, "loader/entries/nixos-generation-1.conf"))
	l.must(err)
	if want := "options init=" + a + "/init quiet\n"; !strings.HasSuffix(string(entry), want) {
		t.Errorf("entry = %q, want it to end with %q", entry, want)
	}
}

func TestInstallRemovesWhatNoGenerationHas(t *testing.T) {
	l := newLab(t)
	a := l.system("a", "6.1", 1)
	l.must(l.Install(a, false))
	b := l.system("b", "6.2", 2)
	l.must(os.Remove(l.link(1)))
	l.must(l.Install(b, true))
	want := []string{
		"EFI/BOOT/BOOTX64.EFI", "EFI/nixos/linux-6.2-bzImage.efi", "EFI/nixos/linux-6.2-initrd.efi", "EFI/systemd/systemd-bootx64.efi",
		"loader/default", "loader/entries/nixos-generation-2.conf", "loader/loader.conf",
	}
	if diff := cmp.Diff(want, l.files()); diff != "" {
		t.Errorf("boot partition (-want +got):\n%s", diff)
	}
}

func TestInstallConfiguresTheRealLoader(t *testing.T) {
	l := newLab(t)
	l.Loader = filepath.Join(l.store, "systemd-boot")
	l.must(os.WriteFile(l.Loader, []byte("the real one"), 0o644))
	l.system("a", "6.1", 1)
	b := l.system("b", "6.1", 2)
	l.must(os.Symlink(b, l.link(3))) // set again after something else
	l.must(l.Install(b, true))
	for name, want := range map[string]string{
		"EFI/BOOT/BOOTX64.EFI":            "the real one",
		"EFI/systemd/systemd-bootx64.efi": "the real one",
		"loader/loader.conf":              "timeout 0\ndefault nixos-generation-3.conf\nconsole-mode keep\n",
	} {
		if got, err := os.ReadFile(filepath.Join(l.Boot, name)); err != nil || string(got) != want {
			t.Errorf("%s = %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestInstallMovesTheRealLoadersDefault(t *testing.T) {
	l := newLab(t)
	for n, name := range []string{"a", "b"} {
		l.must(l.Install(l.system(name, "6.1", n+1), false))
	}
	got, err := os.ReadFile(filepath.Join(l.Boot, "loader/loader.conf"))
	if err != nil || !strings.Contains(string(got), "\ndefault nixos-generation-2.conf\n") {
		t.Errorf("loader.conf = %q, %v, want the second generation to be the default", got, err)
	}
}

func TestInstallKeepsTheCountOfBoots(t *testing.T) {
	l := newLab(t)
	l.must(l.Install(l.system("a", "6.1", 1), false)) // from before boots were counted
	l.must(os.WriteFile(filepath.Join(l.Boot, "e2e-count"), nil, 0o644))
	b := l.system("b", "6.1", 2)
	l.must(l.Install(b, false))
	entry := filepath.Join(l.Boot, "loader/entries/nixos-generation-2")
	l.must(os.Rename(entry+"+3.conf", entry+"+2-1.conf")) // as the loader does when it boots it
	l.must(l.Install(b, false))
	want := []string{"loader/entries/nixos-generation-1.conf", "loader/entries/nixos-generation-2+2-1.conf"}
	got := slices.DeleteFunc(l.files(), func(name string) bool { return !strings.HasPrefix(name, "loader/entries/") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestInstallGRUB(t *testing.T) {
	l := newLab(t)
	l.GRUB = filepath.Join(l.store, "grub")
	l.must(os.WriteFile(l.GRUB, []byte("GRUB"), 0o644))
	l.must(os.Mkdir(filepath.Join(l.Boot, "grub"), 0o755))
	a := l.system("a", "6.1", 1)
	b := l.system("b", "6.2", 2)
	docked := l.system("docked", "6.2", 0)
	l.must(os.Mkdir(filepath.Join(b, "specialisation"), 0o755))
	l.must(os.Symlink(docked, filepath.Join(b, "specialisation/docked")))
	l.must(l.Install(a, true))
	if diff := cmp.Diff([]string{"efi/EFI/BOOT/BOOTX64.EFI", "grub/grub.cfg", "loader/default"}, l.files()); diff != "" {
		t.Errorf("boot partition (-want +got):\n%s", diff)
	}
	menu, err := os.ReadFile(filepath.Join(l.Boot, "grub/grub.cfg"))
	l.must(err)
	var entries []string
	for line := range strings.Lines(string(menu)) {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word == "menuentry" || word == "submenu" || word == "linux" {
			entries = append(entries, strings.TrimSpace(line))
		}
	}
	want := []string{
		`menuentry "NixOS" --class nixos --unrestricted {`,
		"linux ($drive2)" + l.store + "/linux-6.1/bzImage init=" + a + "/init quiet",
		`submenu "NixOS - All configurations" --class submenu {`,
		`submenu "> NixOS - Configuration 2 (2026-11-26 - 26.05)" --class submenu {`,
		`menuentry "NixOS - Configuration 2 - Default (2026-11-26 - 26.05)" --class nixos {`,
		"linux ($drive2)" + l.store + "/linux-6.2/bzImage init=" + b + "/init quiet",
		`menuentry "NixOS - Configuration 2 - (docked - 2026-11-26 - 26.05)" --class nixos {`,
		"linux ($drive2)" + l.store + "/linux-6.2/bzImage init=" + docked + "/init quiet",
		`menuentry "NixOS - Configuration 1 (2026-11-26 - 26.05)" --class nixos {`,
		"linux ($drive2)" + l.store + "/linux-6.1/bzImage init=" + a + "/init quiet",
	}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Errorf("menu (-want +got):\n%s", diff)
	}
	if l.defaultSystem() != a {
		t.Errorf("default = %q, want %q", l.defaultSystem(), a)
	}
}

func TestInstallOfNoGenerationKeepsTheDefault(t *testing.T) {
	l := newLab(t)
	a := l.system("a", "6.1", 1)
	l.must(l.Install(a, false))
	l.must(l.Install(l.system("b", "6.1", 0), false))
	if l.defaultSystem() != a {
		t.Errorf("default = %q, want %q as before", l.defaultSystem(), a)
	}
}

func TestInstallFailsWhenATestAsksForIt(t *testing.T) {
	l := newLab(t)
	a := l.system("a", "6.1", 1)
	l.must(os.WriteFile(filepath.Join(l.Boot, "e2e-fail"), nil, 0o644))
	if err := l.Install(a, false); !errors.Is(err, ErrInjected) {
		t.Errorf("Install = %v, want %v", err, ErrInjected)
	}
	if l.defaultSystem() != "" {
		t.Errorf("default = %q after a failure, want none", l.defaultSystem())
	}
}

// TestInstallWritesAnEntryForEverySpecialisation: which never becomes the default.
func TestInstallWritesAnEntryForEverySpecialisation(t *testing.T) {
	l := newLab(t)
	a := l.system("a", "6.1", 1)
	b := l.system("b", "6.2", 2)
	special := l.system("b-docked", "6.3", 0)
	l.must(os.MkdirAll(b+"/specialisation", 0o755))
	l.must(os.Symlink(special, b+"/specialisation/docked"))
	l.must(l.Install(a, false))
	entry, err := os.ReadFile(filepath.Join(l.Boot, "loader/entries/nixos-generation-2-specialisation-docked.conf"))
	if err != nil || !strings.Contains(string(entry), "init="+special+"/init") || !strings.Contains(string(entry), "linux-6.3") {
		t.Errorf("its entry is %q, %v", entry, err)
	}
	l.must(l.Install(special, false))
	if got := l.defaultSystem(); got != a {
		t.Errorf("the default is %s, want %s", got, a)
	}
	l.must(os.Remove(l.link(2)))
	l.must(l.Install(a, false))
	for _, file := range l.files() {
		if strings.Contains(file, "docked") || strings.Contains(file, "6.3") {
			t.Errorf("%s is left", file)
		}
	}
}
