package rootfs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kedge/e2e/internal/command"
)

// apt is what the machine's own apt configuration says about where Debian packages come from.
type apt struct {
	mirror string   // URL of the Debian archive
	proxy  string   // HTTP proxy, "" for none
	set    []string // further settings to pass on, as KEY=VALUE
}

// options returns the settings as apt-get's own arguments.
func (a apt) options() (args []string) {
	for _, s := range a.set {
		args = append(args, "-o"+s)
	}
	return args
}

// proxyEnv returns the environment that makes a program use the proxy.
func (a apt) proxyEnv() []string {
	if a.proxy == "" {
		return nil
	}
	return []string{"http_proxy=" + a.proxy}
}

// readApt reads the apt configuration of this machine.
func readApt(ctx context.Context) (apt, error) {
	dump, err := command.Run(ctx, command.Command{Args: []string{"apt-config", "dump"}})
	if err != nil {
		return apt{}, fmt.Errorf("read apt configuration: %w", err)
	}
	a := parseSettings(dump)
	lists, err := filepath.Glob("/etc/apt/sources.list.d/*")
	if err != nil {
		return apt{}, fmt.Errorf("read apt sources: %w", err)
	}
	var found []source
	for _, name := range append([]string{"/etc/apt/sources.list"}, lists...) {
		content, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return apt{}, fmt.Errorf("read apt sources: %w", err)
		}
		switch filepath.Ext(name) {
		case ".list":
			found = append(found, parseList(string(content))...)
		case ".sources":
			found = append(found, parseDeb822(string(content))...)
		}
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return apt{}, fmt.Errorf("read the name of this Debian release: %w", err)
	}
	a.mirror, err = debianArchive(found, codename(string(release)))
	if err != nil {
		return apt{}, err
	}
	if list, ok := strings.CutPrefix(a.mirror, "mirror+file:"); ok {
		if a.mirror, err = firstMirror(strings.TrimPrefix(list, "//")); err != nil {
			return apt{}, err
		}
	}
	return a, nil
}

// parseSettings picks out of apt-config's dump what the hosts' own apt-get needs too.
func parseSettings(dump string) (a apt) {
	for line := range strings.Lines(dump) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.Trim(value, `";`)
		if !ok || value == "" {
			continue
		}
		switch key {
		case "Acquire::http::Proxy":
			a.proxy = value
		case "Acquire::Check-Valid-Until", "Acquire::Check-Date":
			a.set = append(a.set, key+"="+value)
		}
	}
	return a
}

// debianArchive returns the URI of the main archive of the release that this machine itself runs: the archive that also
// has [suite].
func debianArchive(found []source, codename string) (string, error) {
	for _, s := range found {
		if slices.Contains(s.suites, codename) && slices.Contains(s.components, "main") {
			return strings.TrimSuffix(s.uri, "/"), nil
		}
	}
	return "", fmt.Errorf("find a Debian mirror: no source of %q with component main in /etc/apt/sources.list or /etc/apt/sources.list.d", codename)
}

// codename returns VERSION_CODENAME of the content of an os-release file, "" if it has none.
func codename(release string) string {
	for line := range strings.Lines(release) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return ""
}

// firstMirror returns the first URI of a mirror list file.
func firstMirror(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("read mirror list: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if uri, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), "\t"); uri != "" && !strings.HasPrefix(uri, "#") {
			return strings.TrimSuffix(uri, "/"), nil
		}
	}
	return "", errors.Join(fmt.Errorf("read mirror list %s: no mirror in it", name), lines.Err())
}
