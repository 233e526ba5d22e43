package nixosmodule_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An option of NixOS: the first release that has it, and the first where it has another name; empty if it is
// as old as what we support, or still has it.
type option struct{ since, renamed string }

// documented returns the options that the documents below name, as nixpkgs declares them.
func documented() map[string]option {
	return map[string]option{
		"boot.kernelParams":                           {},
		"boot.loader.grub.default":                    {},
		"boot.loader.grub.mirroredBoots":              {},
		"boot.loader.grub.users":                      {},
		"boot.loader.systemd-boot.bootCounting":       {since: "26.11"},
		"systemd.settings.Manager.RuntimeWatchdogSec": {since: "25.11"}, // systemd.settings.Manager takes any setting
		"systemd.watchdog.runtimeTime":                {renamed: "25.11"},
	}
}

// TestTheDocumentsNameOptionsThatThereAre: whoever names another option looks it up first, and says which NixOS
// has it if not all have.
func TestTheDocumentsNameOptionsThatThereAre(t *testing.T) {
	name := regexp.MustCompile("`((?:boot|systemd)\\.[A-Za-z0-9.-]+[A-Za-z0-9])(?: = [^`]*)?`")
	all := ""
	named := map[string]bool{}
	for _, file := range []string{"docs/reboots.md", "docs/boot-loaders.md"} {
		b, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	for _, match := range name.FindAllStringSubmatch(all, -1) {
		named[match[1]] = true
	}
	want := documented()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(named))); diff != "" {
		t.Errorf("options (-checked +named):\n%s", diff)
	}
	for name, o := range want {
		for _, release := range []string{o.since, o.renamed} {
			if said := regexp.MustCompile("NixOS " + regexp.QuoteMeta(release)); release != "" && !said.MatchString(all) {
				t.Errorf("no document says that %s depends on NixOS %s", name, release)
			}
		}
	}
}
