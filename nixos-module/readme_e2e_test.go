//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kedge/e2e/hosts"
)

// nixBlock matches Nix in Markdown.
var nixBlock = regexp.MustCompile("(?s)```nix\n(.*?)```")

// TestReadme evaluates the systems and fleets that the README and the page about the installation show, as
// somebody who copies them.
func TestReadme(t *testing.T) {
	m := newMachine(t, "readme")
	for _, page := range []string{"README.md", "docs/install.md"} {
		t.Run(filepath.Base(page), func(t *testing.T) { testSystemsOf(t, m, page) })
	}
}

func testSystemsOf(t *testing.T, m *hosts.Machine, page string) {
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	// The fleet's hosts are files beside it.
	for _, name := range []string{"web1", "web2"} {
		if err := m.WriteFile("/srv/"+filepath.Base(page)+"/"+name+".nix", []byte("{ boot.of = \""+name+"\"; }\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var files []string
	for i, block := range nixBlock.FindAllStringSubmatch(string(text), -1) {
		file := fmt.Sprintf("/srv/%s/%d.nix", filepath.Base(page), i)
		if err := m.WriteFile(file, []byte(block[1]), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	out, err := m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json",
		"--arg", "examples", "[ "+strings.Join(files, " ")+" ]", project+"/nixos-module/tests/readme.nix")
	if err != nil {
		t.Fatal(err)
	}
	var systems []map[string]string
	if err := json.Unmarshal([]byte(out), &systems); err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, system := range systems {
		for name := range system {
			services = append(services, name)
		}
	}
	slices.Sort(services)
	services = slices.Compact(services)
	if want := []string{"kedge-agent", "kedge-controller", "kedge-trial"}; !slices.Equal(services, want) {
		t.Errorf("the systems run %q, want %q", services, want)
	}
}
