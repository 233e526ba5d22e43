package stc

import (
	"fmt"
	"regexp"
	"strings"
)

// An environment is what the wrapper bin/switch-to-configuration sets, and what the caller may.
type environment struct {
	out, toplevel   string
	distroID        string
	installLoader   []string
	preSwitchCheck  []string
	systemd         string
	noCheck, noSync bool
	showAll         bool
}

func readEnvironment(getenv func(string) string) (environment, error) {
	var missing string
	required := func(name string) string {
		v := getenv(name)
		if v == "" && missing == "" {
			missing = name
		}
		return v
	}
	e := environment{
		out:            required("OUT"),
		toplevel:       required("TOPLEVEL"),
		distroID:       required("DISTRO_ID"),
		preSwitchCheck: strings.Fields(required("PRE_SWITCH_CHECK")),
		installLoader:  strings.Fields(required("INSTALL_BOOTLOADER")),
		systemd:        required("SYSTEMD"),
		noCheck:        getenv("NIXOS_NO_CHECK") == "1",
		noSync:         getenv("NIXOS_NO_SYNC") == "1",
		showAll:        getenv("STC_DISPLAY_ALL_UNITS") == "1",
	}
	if missing != "" {
		return environment{}, fmt.Errorf("missing required environment variable $%s", missing)
	}
	return e, nil
}

// isDistro tells whether an os-release names the distribution.
func isDistro(osRelease, id string) (bool, error) {
	pattern, err := regexp.Compile(`^"?(?:` + id + `)"?$`)
	if err != nil {
		return false, fmt.Errorf("distribution id %q: %w", id, err)
	}
	for line := range strings.Lines(osRelease) {
		if v, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "ID="); ok && pattern.MatchString(v) {
			return true, nil
		}
	}
	return false, nil
}
